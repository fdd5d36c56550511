"""`ct-guard` as a process in which the estimator `slow` takes its time over every row.

python -m tests.slow_runs SECONDS_A_ROW score answers.jsonl -e slow …
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import ct_guard.estimators
from ct_guard.backends import Adapter, Item, ScoreBatch, Want
from ct_guard.cli import main
from ct_guard.estimators import Estimator
from ct_guard.query import Query
from ct_guard.testing import FakeBackend

from .known_confidence import estimator_on


class Slow(FakeBackend):
    """Sleeps for every row, in native code that no signal shortens by more than a row."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        for _ in items:
            time.sleep(self._seconds)
        return super().score(items, query, adapter, want)


def run(seconds: float) -> None:
    known = ct_guard.estimators.load_estimator

    def load(name: Any, **options: Any) -> Estimator:
        return estimator_on(Slow(seconds)) if name == "slow" else known(name, **options)

    ct_guard.estimators.load_estimator = load  # type: ignore[assignment]
    main()


if __name__ == "__main__":
    run(float(sys.argv.pop(1)))
