"""P(a run succeeds) from labelled runs: calibrated, better than the share, and refused where there
is nothing to learn from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard.errors import CalibrationError, InputError
from ct_guard.evaluation.agent_runs import EACH, ENOUGH, LabelledRun, fit_runs, read_runs
from ct_guard.metrics import ece, ece_noise_floor
from ct_guard.runs import RunTurn
from tests.agent_runs import drawn_runs, write_runs


@pytest.fixture(scope="module")
def fitted() -> Any:
    return fit_runs(drawn_runs(600))


def test_it_says_more_than_the_share_of_runs_that_succeed(fitted: Any) -> None:
    assert fitted.layer.n == 600
    assert fitted.layer.log_loss < fitted.layer.base_rate - 0.05
    assert fitted.auroc > 0.7


@pytest.mark.parametrize("turns", [1, 2, None], ids=["first turn", "second turn", "end"])
def test_it_is_calibrated_on_as_many_other_runs_up_to_what_chance_does_to_either(
    turns: int | None,
) -> None:
    layer, others = fit_runs(drawn_runs(3000)).layer, drawn_runs(3000, seed=1)
    p = np.array([layer.p(run.turns[:turns]) for run in others])
    correct = np.array([run.correct for run in others])
    assert ece(p, correct) < 2 * ece_noise_floor(p), "of the runs it was fitted on, and of these"


def test_a_run_of_better_turns_is_likelier_to_succeed(fitted: Any) -> None:
    good, bad = RunTurn(p=(0.99,)), RunTurn(p=(0.3,))
    assert fitted.layer.p([good]) > fitted.layer.p([good, good, bad])


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (drawn_runs(12), rf"^12 labelled runs \(\d+ succeeded, \d+ failed\) are too few: at least"
         rf" {ENOUGH} with {EACH} of either outcome are needed, and 80 of either"),
        ([run for run in drawn_runs(300) if run.correct], r"\(\d+ succeeded, 0 failed\)"),
        ([run for run in drawn_runs(300) if not run.correct], r"\(0 succeeded, \d+ failed\)"),
    ],
    ids=["too few", "all succeeded", "all failed"],
)  # fmt: skip
def test_runs_that_teach_nothing_are_refused_with_how_many_would_do(
    runs: list[LabelledRun], said: str
) -> None:
    with pytest.raises(CalibrationError, match=said):
        fit_runs(runs)


def test_runs_without_a_label_or_a_score_are_counted_and_passed_over(tmp_path: Path) -> None:
    runs = drawn_runs(5)
    found = read_runs(
        write_runs(
            tmp_path / "runs.jsonl",
            runs,
            {"turns": [{"turn": "answer", "p": [0.5]}]},
            {"turns": [{"turn": "answer", "p": [None]}], "correct": True},
            {"turns": [], "correct": False},
        )
    )
    assert found.runs == tuple(runs)
    assert (found.unlabelled, found.unscored) == (1, 2)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"turns": [{"p": [0.5]}]}, "no run has both a label .*\\(1 without a label"),
        ({"turns": [{"p": [None]}], "correct": 1}, "no run has both .* 1 without a score"),
        ({"turns": "many", "correct": 1}, r"runs.jsonl, line 1: field 'turns' must be a list"),
        (
            {"turns": [{"p": [0.5]}, {"p": [1.5]}], "correct": 1},
            r"runs.jsonl, line 1: .*'turns.1.p.0'",
        ),
        ({"turns": [{"p": [0.5], "retries": -1}], "correct": 1}, "'turns.0.retries'"),
        ({"turns": [{"p": [0.5]}], "correct": "perhaps"}, "field 'correct'"),
    ],
)
def test_a_row_that_is_no_labelled_run_is_named(
    row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        read_runs(write_runs(tmp_path / "runs.jsonl", [], row))
