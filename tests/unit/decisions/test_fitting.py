"""What graded decisions teach: probabilities that hold, and thresholds with a promise."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.certificates import Certificate
from ct_guard.decisions import (
    DecisionCalibration,
    DecisionCalibrator,
    Noul,
    fit_decisions,
    labels_of,
)
from ct_guard.errors import CalibrationError, UsageError

from .known import ANGER, RISKY, TEAM, graded


def only(made: DecisionCalibration) -> DecisionCalibrator:
    (one,) = made.calibrators
    return one


def test_slope_and_offsets_are_found_again() -> None:
    rows = graded(TEAM, 4000, slope=0.5, offsets=(1.0, 0.0, -1.0))
    found = only(fit_decisions(rows, by="theirs").calibration)
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert list(found.offsets.values()) == pytest.approx([1, 0, -1], abs=0.15)
    assert found.log_loss["after"] < found.log_loss["before"] - 0.1


@pytest.mark.parametrize("question", [RISKY, TEAM, ANGER], ids=["noul", "choice", "score"])
def test_calibrated_probabilities_are_kept_by_new_rows(question: Noul) -> None:
    found = only(fit_decisions(graded(question, 2000), by="theirs").calibration)
    new = graded(question, 4000, seed=1)
    made = [found.probabilities(row.scores or {}) for row in new]
    assert all(abs(sum(one.values()) - 1) < 1e-6 for one in made)
    sure = [max(one, key=one.__getitem__) for one in made]
    said = np.mean([one[label] for one, label in zip(made, sure, strict=True)])
    right = np.mean([row.label == label for row, label in zip(new, sure, strict=True)])
    assert said == pytest.approx(right, abs=0.03)


def test_labels_that_the_scores_separate_leave_the_fit_finite() -> None:
    rows = [
        replace(row, label="yes" if row.scores["yes"] > row.scores["no"] else "no")
        for row in graded(RISKY, 40)
        if row.scores is not None
    ]
    found = only(fit_decisions(rows, by="theirs").calibration)
    assert 0 < found.slope < 1e3
    assert all(0 < found.probabilities(row.scores or {})[row.label] < 1 for row in rows)


def test_scores_that_go_against_the_labels_are_not_used_and_said() -> None:
    made = fit_decisions(graded(RISKY, 300, slope=-0.8), by="theirs")
    assert only(made.calibration).slope == 0
    assert any("higher scores do not go with right labels" in line for line in made.remarks)


def test_a_label_that_was_never_right_is_said() -> None:
    rows = [row for row in graded(TEAM, 200) if row.label != "sales"]
    made = fit_decisions(rows, by="theirs")
    assert any("no graded row is sales" in line for line in made.remarks)
    assert only(made.calibration).offsets["sales"] < 0


def test_too_few_rows_and_labels_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(CalibrationError, match="question 'asked' has 9 graded rows"):
        fit_decisions(graded(RISKY, 9), by="theirs")
    same = [replace(row, label="no") for row in graded(RISKY, 50)]
    with pytest.raises(CalibrationError, match="all 50 rows to fit on have the label 'no'"):
        fit_decisions(same, by="theirs")


def test_certified_thresholds_are_kept_by_new_rows() -> None:
    rows = graded(RISKY, 4000, slope=1.0)
    found = only(fit_decisions(rows, by="theirs", alpha=0.05).calibration)
    assert found.n + found.certificates["no"].n == 4000
    threshold = found.certificates["no"].threshold
    assert threshold is not None
    passed = [
        row.label == "no"
        for row in graded(RISKY, 4000, slope=1.0, seed=1)
        if found.probabilities(row.scores or {})["no"] >= threshold
    ]
    assert len(passed) > 1000
    assert 1 - np.mean(passed) <= 0.06


def test_certification_counts_a_state_once() -> None:
    rows = graded(TEAM, 400)
    found = only(fit_decisions([*rows, *rows], by="theirs", alpha=0.2).calibration)
    assert found.certificates["*"].n < 260


def test_a_question_in_two_wordings_gets_two_calibrators() -> None:
    other = RISKY.model_copy(update={"instructions": "Is it dangerous?"})
    made = fit_decisions([*graded(RISKY, 50), *graded(other, 60)], by="theirs").calibration
    assert [one.n for one in made.calibrators] == [50, 60]
    calibrator = made.calibrator_of(other)
    assert calibrator is not None
    assert calibrator.n == 60
    assert made.calibrator_of(TEAM) is None


def certified(threshold: float | None) -> DecisionCalibrator:
    certificate = Certificate(
        alpha=0.05, delta=0.1, threshold=threshold, n=100, answered=0, errors=0
    )
    return DecisionCalibrator(
        name="risky",
        question=RISKY,
        slope=1,
        offsets=dict.fromkeys(labels_of(RISKY), 0.0),
        n=100,
        certificates={"no": certificate},
    )


@given(
    threshold=st.floats(0, 1),
    at=st.floats(0.05, 0.95),
    p=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
)
def test_a_client_with_a_fixed_threshold_passes_what_is_certified(
    threshold: float, at: float, p: list[float]
) -> None:
    one = certified(threshold)
    low, high = (one.passing_below(at, {"yes": yes, "no": 1 - yes}) for yes in p)
    assert 0 <= low <= high <= 1
    for yes, moved in zip(p, (low, high), strict=True):
        assert (moved < at) == (1 - yes >= threshold)


def test_without_a_threshold_nothing_passes_and_without_a_certificate_it_raises() -> None:
    assert certified(None).passing_below(0.5, {"yes": 0.0, "no": 1.0}) >= 0.5
    bare = certified(None).model_copy(update={"certificates": {}})
    with pytest.raises(UsageError, match="question 'risky' has no certificate"):
        bare.passing_below(0.5, {"yes": 0.1, "no": 0.9})
