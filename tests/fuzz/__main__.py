"""python -m tests.fuzz [--inputs 10000] [--only NAME] [--first 0]

Feeds each target that many damaged inputs, in processes of their own with a limit of memory, and
prints what broke a promise: an error that is not of our tree, more than 5 seconds, more than 1 GB,
an end of the process. Ends with status 1 where one did.
"""

import argparse
import sys

from .run import fuzz
from .targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="for each target")
    parser.add_argument("--first", type=int, default=0, help="seed of the first input")
    parser.add_argument("--only", choices=TARGETS, action="append", help="may be given again")
    options = parser.parse_args()
    broken = 0
    for name in options.only or TARGETS:
        found = fuzz({name: options.inputs}, options.first)[name]
        broken += len(found.broken)
        sys.stdout.write(f"{found}\n")
        sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
