"""A script that uses a guard over a real model, forks, and ends in several ways, one a child:

    python lifetimes.py

prints how each child ended, as JSON: negative for the signal that ended it, else its exit code.
"""

import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from tests.present import present

os.environ["OMP_NUM_THREADS"] = "1"
warnings.simplefilter("ignore")

from ct_guard import Guard, QuestionAnswer, load_estimator  # noqa: E402
from ct_guard.backends import Item, ScoreBatch  # noqa: E402

READ, WRITE = os.pipe()
ESTIMATOR = load_estimator("mini")
BACKEND = present(ESTIMATOR.backend)
SCORE = BACKEND.score
ONE = QuestionAnswer(question="What is 7 plus 5?", answer="12")
MANY = [QuestionAnswer(question=f"What is {n} plus 5?", answer=str(n)) for n in range(1500)]


def told(items: Sequence[Item], *rest: Any) -> ScoreBatch:
    """The model's score; says that many are being read."""
    if len(items) == len(MANY):
        os.write(WRITE, b"x")
    return SCORE(items, *rest)


BACKEND.score = told  # type: ignore[method-assign, assignment]
GUARD = Guard(ESTIMATOR, 0.5)


def scored_again() -> None:
    sys.exit(0 if GUARD.assess(ONE).p == BEFORE else 1)


def interrupted() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    GUARD.assess_batch(MANY)


def terminated() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    GUARD.assess_batch(MANY)


def terminated_and_cleaned_up() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    GUARD.assess_batch(MANY)


def abandoned() -> None:
    """The interpreter ends while a thread that nobody waits for is being answered."""
    threading.Thread(target=GUARD.assess_batch, args=(MANY,), daemon=True).start()
    os.read(READ, 1)


SIGNALS = {
    interrupted: signal.SIGINT,
    terminated: signal.SIGTERM,
    terminated_and_cleaned_up: signal.SIGTERM,
}


def ended(child: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        signal.alarm(100)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the traceback of an interrupt
        child()
        sys.exit(0)
    if child in SIGNALS:
        os.read(READ, 1)
        os.kill(pid, SIGNALS[child])
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    BEFORE = GUARD.assess(ONE).p
    made = {
        child.__name__: ended(child)
        for child in (scored_again, interrupted, terminated, terminated_and_cleaned_up, abandoned)
    }
    print(json.dumps(made))  # noqa: T201
