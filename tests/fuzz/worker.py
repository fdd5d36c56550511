"""Run as `python -m tests.fuzz.worker FOLDER [NAME FIRST END]...`: tells, as JSON lines, which seed
is next, what broke, and at the end of a target how often what happened."""

import faulthandler
import json
import os
import random
import resource
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path

from ct_guard.errors import CtGuardError

from .targets import TARGETS, watch

MEMORY = 1 << 30
"""Bytes that an input may take."""


TOLD = os.fdopen(os.dup(1), "w", encoding="ascii")
os.dup2(2, 1)  # what a library prints is not of the report


def tell(**what: object) -> None:
    TOLD.write(json.dumps(what) + "\n")
    TOLD.flush()


def limit_memory() -> None:
    """To what is used now, and MEMORY."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, most))


def allow_memory() -> None:
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def feed(name: str, first: int, end: int, folder: Path) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    outcomes: Counter[str] = Counter()
    for seed in seeds:  # everything that is imported late is there before the limit is set
        target.use(folder, seed)
    limit_memory()
    for at in range(first, end):
        rng = random.Random(f"{name} {at}")
        data = target.damage(rng.choice(seeds), rng)
        tell(seed=at)
        watch()
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
    allow_memory()
    tell(outcomes=outcomes)


def main(folder: Path, *asked: str) -> None:
    for name, first, end in zip(asked[::3], asked[1::3], asked[2::3], strict=True):
        (folder / name).mkdir()
        feed(name, int(first), int(end), folder / name)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), *sys.argv[2:])
