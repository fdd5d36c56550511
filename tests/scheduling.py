"""Which tests stay together when several processes run the suite: those of a file, which share what
its fixtures build, and those of all files that use the real language model, which is loaded and
checked once a process."""

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

__all__ = ["Together"]

ROOT = Path(__file__).parents[1]
SMOL = re.compile(r"\bsmol_(engine|estimator)\b")


class Together(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """As `--dist loadfile`, but files that name SMOL's fixtures count as one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "smol" if _uses_smol(file) else file


@cache
def _uses_smol(file: str) -> bool:
    return SMOL.search((ROOT / file).read_text(encoding="utf-8")) is not None
