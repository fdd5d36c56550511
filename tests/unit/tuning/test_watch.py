"""A run that learns nothing is told of early, once."""

import math

from ct_guard.tuning import Progress
from ct_guard.tuning.watch import EVALUATIONS, nothing_learnt


def run(*areas: float | None) -> list[Progress]:
    return [
        Progress(
            step=30 * (at + 1), steps=300, loss=0.7, validation_log_loss=0.69,
            validation_auroc=area, rows_per_second=1.0,
        )
        for at, area in enumerate(areas)
    ]  # fmt: skip


LABELS = [True] * 60 + [False] * 40


def test_chance_is_told_of_after_some_evaluations_with_what_to_try() -> None:
    said = nothing_learnt(run(0.51, 0.45, 0.56), LABELS, learning_rate=3e-4)
    assert said is not None
    for word in ("after 90 steps", "0.560 at best", "`method` hybrid", "9e-04", "1e-04"):
        assert word in said


def test_it_is_said_once() -> None:
    assert EVALUATIONS == 3
    for length in (1, 2, 4, 5):
        assert nothing_learnt(run(*[0.5] * length), LABELS, learning_rate=1e-4) is None


def test_what_chance_does_not_give_is_no_reason_to_speak() -> None:
    chance = 0.5 + 2 * math.sqrt(101 / (12 * 60 * 40))
    assert nothing_learnt(run(0.5, chance + 0.01, 0.5), LABELS, learning_rate=1e-4) is None
    assert nothing_learnt(run(0.5, chance - 0.01, 0.5), LABELS, learning_rate=1e-4) is not None


def test_labels_of_one_kind_say_nothing() -> None:
    assert nothing_learnt(run(None, None, None), [True] * 9, learning_rate=1e-4) is None
