"""Run as `python -m tests.fuzz.worker NAME FIRST END FOLDER`: tells, as JSON lines, which seed is
next, what broke, and at the end how often what happened."""

import faulthandler
import json
import random
import resource
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path

from ct_guard.errors import CtGuardError

from .targets import TARGETS

MEMORY = 1 << 30
"""Bytes that an input may take."""
SECONDS = 5


def tell(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(name: str, first: int, end: int, folder: Path) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    outcomes: Counter[str] = Counter()
    for seed in seeds:  # everything that is imported late is there before the limit is set
        target.use(folder, seed)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for at in range(first, end):
        rng = random.Random(f"{name} {at}")
        data = target.damage(rng.choice(seeds), rng)
        tell(seed=at)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            target.use(folder, data)
            outcomes["read"] += 1
        except CtGuardError as error:
            outcomes[type(error).__name__] += 1
            if "\n" in str(error):
                tell(broken=f"{type(error).__name__} of several lines")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            frames = traceback.extract_tb(error.__traceback__)
            ours = [frame for frame in frames if "ct_guard" in frame.filename] or frames
            where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
            tell(broken=f"{type(error).__name__} at {where}: {str(error)[:120]!r}")
        finally:
            faulthandler.cancel_dump_traceback_later()
    tell(outcomes=outcomes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
