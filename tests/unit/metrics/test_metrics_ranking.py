"""AUROC, AUPRC of errors, pair accuracy and AUROC within groups."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from ct_guard.errors import UsageError
from ct_guard.metrics import auprc_of_errors, auroc, pair_accuracy, within_auroc

relaxed = settings(deadline=None, max_examples=60)
# Twentieths, so that ties are common.
rows = st.lists(
    st.tuples(st.integers(0, 20), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40
)


def columns(
    rows: list[tuple[int, bool, int]],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    twentieths, correct, group = zip(*rows, strict=True)
    return np.array(twentieths) / 20, np.array(correct), np.array(group)


def naive_auroc(p: NDArray[np.float64], correct: NDArray[np.bool_]) -> float | None:
    pairs = [(float(a > b) + float(a == b) / 2) for a in p[correct] for b in p[~correct]]
    return sum(pairs) / len(pairs) if pairs else None


@relaxed
@given(rows)
def test_auroc_is_the_share_of_right_wrong_pairs_in_order(
    rows: list[tuple[int, bool, int]],
) -> None:
    p, correct, _ = columns(rows)
    assert auroc(p, correct) == pytest.approx(naive_auroc(p, correct))


@relaxed
@given(rows)
def test_auroc_survives_strictly_increasing_transforms(rows: list[tuple[int, bool, int]]) -> None:
    p, correct, _ = columns(rows)
    assert auroc(p**3 / 2 + p / 4, correct) == auroc(p, correct)


@relaxed
@given(rows)
def test_turning_the_score_around_mirrors_auroc(rows: list[tuple[int, bool, int]]) -> None:
    p, correct, _ = columns(rows)
    area = auroc(p, correct)
    if area is not None:
        assert auroc(1 - np.round(p, 2), correct) == pytest.approx(1 - area)
        assert 0 <= area <= 1


@relaxed
@given(rows, st.randoms(use_true_random=False))
def test_row_order_does_not_matter(rows: list[tuple[int, bool, int]], random: Random) -> None:
    shuffled = random.sample(rows, len(rows))
    (p, correct, group), (p2, correct2, group2) = columns(rows), columns(shuffled)
    assert auroc(p, correct) == auroc(p2, correct2)
    assert auprc_of_errors(p, correct) == pytest.approx(auprc_of_errors(p2, correct2))
    assert pair_accuracy(p, correct, group) == pair_accuracy(p2, correct2, group2)


@relaxed
@given(rows)
def test_within_groups_is_the_plain_average_of_the_groups_auroc(
    rows: list[tuple[int, bool, int]],
) -> None:
    p, correct, group = columns(rows)
    areas = [naive_auroc(p[group == g], correct[group == g]) for g in np.unique(group)]
    each = [area for area in areas if area is not None]
    expected = pytest.approx(np.mean(each)) if each else None
    assert within_auroc(p, correct, group) == expected
    assert pair_accuracy(p, correct, group) == (expected, len(each))


def test_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p = np.round(rng.random(500), 2)
    correct = rng.random(500) < p
    assert auroc(p, correct) == pytest.approx(roc_auc_score(correct, p))
    assert auprc_of_errors(p, correct) == pytest.approx(average_precision_score(~correct, 1 - p))


@pytest.mark.parametrize("label", [True, False])
def test_one_class_is_none_and_not_a_number(label: bool) -> None:
    p, correct = [0.2, 0.7], [label, label]
    assert auroc(p, correct) is None
    assert auprc_of_errors(p, correct) is None
    assert within_auroc(p, correct, [0, 0]) is None
    assert pair_accuracy(p, correct, [0, 0]) == (None, 0)


def test_a_score_of_the_question_alone_has_high_auroc_and_chance_pairs() -> None:
    question = np.array(["easy"] * 4 + ["hard"] * 4)
    correct = np.array([1, 1, 1, 0, 1, 0, 0, 0])
    p = np.where(question == "easy", 0.75, 0.25)
    assert auroc(p, correct) == 0.75
    assert pair_accuracy(p, correct, question) == (0.5, 2)


def test_pair_accuracy_by_hand() -> None:
    #            a: 1 of 2 pairs     b: a tie     c: no wrong answer, left out
    p = [0.6, 0.3, 0.9, 0.5, 0.5, 0.8]
    correct = [True, False, False, True, False, True]
    question = ["a", "a", "a", "b", "b", "c"]
    result = pair_accuracy(p, correct, question)
    assert result.value == 0.5
    assert result.questions == 2


def test_tiny_probabilities_are_not_rounded_into_ties() -> None:
    assert auprc_of_errors([1e-20, 2e-20], [False, True]) == 1.0


@pytest.mark.parametrize(
    ("p", "correct", "message"),
    [
        ([0.5, np.nan], [True, False], "row 1 is nan"),
        ([0.5, 1.5], [True, False], "row 1 is 1.5"),
        ([0.5, None], [True, False], "p must be"),
        (["high"], [True], "must be numbers"),
        ([[0.5]], [True], "one-dimensional"),
        ([], [], "not empty"),
        ([0.5, 0.5], [True], r"correct must have shape \(2,\)"),
        ([0.5], ["yes"], "correct must be booleans"),
        ([0.5], [0.5], "correct must be booleans"),
    ],
)
def test_bad_input_is_a_usage_error_that_says_where(p: Any, correct: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        auroc(p, correct)


def test_groups_must_fit_the_rows() -> None:
    with pytest.raises(UsageError, match="question must have shape"):
        pair_accuracy([0.5, 0.6], [True, False], ["a"])
