"""Guards that workers in other processes can make."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ct_guard.errors import MismatchError, PolicyError
from ct_guard.guard import Guard
from ct_guard.testing import FakeBackend

from .known_confidence import by_word, estimator_on


class Mortal(FakeBackend):
    """Its process is killed at the first row with "kill"; a file remembers that it was."""

    def __init__(self, killed: Path) -> None:
        super().__init__(logit=by_word)
        self._killed = killed

    def score(self, items: Sequence[Any], *more: Any) -> Any:
        if (
            any("kill" in self.encoder.decode(item.answer) for item in items)
            and not self._killed.exists()
        ):
            self._killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(items, *more)


def mortal(killed: Path) -> tuple[Guard, Sequence[str]]:
    return Guard(estimator_on(Mortal(killed)), 0.5), ["it may be killed"]


class Refusing(Guard):
    """Its policy cannot decide."""

    def decide_each(self, *arguments: Any) -> Any:
        raise PolicyError("no decision: give another `policy`")


def refusing() -> tuple[Guard, Sequence[str]]:
    return Refusing(estimator_on(FakeBackend()), 0.5), []


def unfit() -> tuple[Guard, Sequence[str]]:
    raise MismatchError("this base is another: give the right one with `base`")
