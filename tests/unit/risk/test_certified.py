"""Certified thresholds: the guarantee by simulation, an independent oracle, corner cases."""

import warnings
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.risk_control import BinaryClassificationController, BinaryRisk, control_fwer
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import beta, binom, norm

from ct_guard.certificates import Certificate
from ct_guard.errors import UsageError
from ct_guard.risk import (
    GRID,
    certify,
    corrected_risk,
    graded_alpha,
    least_abstention,
    least_answered,
)
from tests.present import present

ACCURACY, SHIFT = 0.594, np.sqrt(2) * norm.ppf(0.786)
"""Two normals, whose distance gives AUROC 0.786."""


def draw(n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Calibrated p of the two-normal model, and labels."""
    correct = rng.random(n) < ACCURACY
    score = rng.normal(SHIFT * correct)
    return expit(SHIFT * score - SHIFT**2 / 2 + logit(ACCURACY)), correct


def true_risk(threshold: float) -> Any:
    score = (logit(threshold) - logit(ACCURACY)) / SHIFT + SHIFT / 2
    right, wrong = ACCURACY * norm.sf(score - SHIFT), (1 - ACCURACY) * norm.sf(score)
    return wrong / (right + wrong)


@pytest.mark.parametrize(("n", "coverage"), [(200, 0.19), (1000, 0.39), (5000, 0.44)])
def test_the_claim_is_broken_in_at_most_delta_of_draws(n: int, coverage: float) -> None:
    """And the coverage is near the oracle's 0.50 as n grows."""
    rng = np.random.default_rng(0)
    results = [certify(*draw(n, rng), alpha=0.2, delta=0.1) for _ in range(400)]
    broken = [r.threshold is not None and true_risk(r.threshold) > 0.2 for r in results]
    # Two standard errors of 400 draws are 0.03.
    assert np.mean(broken) <= 0.1
    assert np.mean([r.coverage or 0.0 for r in results]) == pytest.approx(coverage, abs=0.03)


def test_the_empirical_threshold_breaks_it_in_about_half_of_them() -> None:
    """Why a certificate is needed: the best threshold in hindsight."""
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(200):
        p, correct = draw(1000, rng)
        order = np.argsort(-p)
        risk = np.cumsum(~correct[order]) / np.arange(1, 1001)
        broken += true_risk(p[order][np.flatnonzero(risk <= 0.2)[-1]]) > 0.2
    assert broken / 200 > 0.35


@pytest.mark.parametrize(
    ("values", "shares", "error_rates"),
    [
        # The stricter, the worse: every threshold breaks the claim.
        ([0.9, 0.8, 0.7, 0.6], [0.05, 0.1, 0.1, 0.75], [0.5, 0.3, 0.25, 0.19]),
        # Good, bad, good, bad: the error rate at thresholds is not monotone.
        ([0.9, 0.8, 0.7, 0.6], [0.15, 0.05, 0.3, 0.5], [0.15, 0.4, 0.15, 0.4]),
        # A single step of the grid holds all rows but a few, and these are wrong.
        ([0.9, 0.8], [0.03, 0.97], [1.0, 0.178]),
        ([0.9, 0.8], [0.06, 0.94], [0.6, 0.176]),
    ],
)
@pytest.mark.parametrize("n", [60, 200, 1000])
def test_the_claim_holds_for_scores_that_are_not_calibrated_nor_even_ordered(
    values: list[float], shares: list[float], error_rates: list[float], n: int
) -> None:
    value_of, share, error_rate = (np.array(x) for x in (values, shares, error_rates))
    cumulated = np.cumsum(share * error_rate) / np.cumsum(share)
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(300):
        value = rng.choice(value_of.size, n, p=share)
        correct = rng.random(n) >= error_rate[value]
        threshold = certify(value_of[value], correct, alpha=0.2, delta=0.1).threshold
        broken += threshold is not None and cumulated[value_of >= threshold][-1] > 0.2
    assert broken / 300 <= 0.1 + 0.03


def test_bad_luck_among_the_surest_answers_does_not_end_it_all() -> None:
    """Scores that rank nothing, and few enough errors to answer everything."""
    rng = np.random.default_rng(0)
    results = [certify(rng.random(4000), rng.random(4000) < 0.93) for _ in range(100)]
    assert np.mean([(r.coverage or 0.0) > 0.99 for r in results]) >= 0.9


@pytest.mark.parametrize("n", [700, 1000, 5000])
def test_of_scores_that_rank_nothing_above_alpha_hardly_anything_is_certified(n: int) -> None:
    """The claim is broken by whatever passes, at either start."""
    rng = np.random.default_rng(n)
    results = [certify(rng.random(n), rng.random(n) < 0.899) for _ in range(600)]
    # two standard errors of 600 draws are 0.025
    assert np.mean([r.threshold is not None for r in results]) <= 0.1 + 0.025


def test_agrees_with_mapie_on_the_same_grid_and_sequence() -> None:
    """Same p-values (MAPIE's may round an error count up, which is stricter), same sequence as from
    the first start."""
    wrong_if_answered = BinaryRisk(
        risk_occurrence=lambda y_true, y_pred: y_pred != y_true,
        risk_condition=lambda y_true, y_pred: y_pred == 1,
        higher_is_better=False,
    )
    same = 0
    for seed in range(10):
        p, correct = draw(1000, np.random.default_rng(seed))
        certificate = certify(p, correct, alpha=0.2, delta=0.1)
        # `certify` starts where 66 rows are answered: 6 times the least number of 11.
        start = np.count_nonzero([np.sum(p >= t) < 66 for t in GRID]) - 1
        controller = BinaryClassificationController(
            predict_function=lambda p: np.column_stack((1 - p, p)),
            risk=wrong_if_answered,
            target_level=0.2,
            confidence_level=1 - 0.09,  # of the first start; the second has the rest
            best_predict_param_choice="recall",
            list_predict_params=GRID[start:],
            fwer_method="fixed_sequence",
        )
        with warnings.catch_warnings():
            # The observed risk is never quite monotone, of which MAPIE warns.
            warnings.filterwarnings("ignore", message="Fixed sequence testing requires")
            controller.calibrate(p, correct)
        in_order = control_fwer(controller.p_values[:, 0], 0.09, fwer_method="fixed_sequence")
        assert certificate.threshold <= GRID[start:][in_order[-1]]
        assert controller.best_predict_param == GRID[start:][in_order[-1]]
        same += certificate.threshold == controller.best_predict_param
    assert same >= 8


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10_000),
    st.integers(20, 400),
    st.floats(0.02, 0.5),
    st.floats(0.02, 0.5),
)
def test_what_a_certificate_says_can_be_checked_from_the_rows(
    seed: int, n: int, alpha: float, delta: float
) -> None:
    p, correct = draw(n, np.random.default_rng(seed))
    certificate = certify(p, correct, alpha=alpha, delta=delta, split_hash="ab12")
    assert (certificate.n, certificate.alpha, certificate.delta) == (n, alpha, delta)
    assert certificate.split_hash == "ab12"
    if certificate.threshold is None:
        assert certificate.reason
        assert certificate.coverage is None
        return
    answered = p >= certificate.threshold
    assert certificate.answered == answered.sum() >= least_answered(alpha, delta)
    assert certificate.errors == np.sum(~correct[answered])
    # The Clopper-Pearson upper bound, computed independently.
    bound = beta.ppf(1 - delta, certificate.errors + 1, certificate.answered - certificate.errors)
    assert bound <= alpha + 1e-9
    assert certificate.reason == ""
    assert Certificate.model_validate_json(certificate.model_dump_json()) == certificate


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(seed: int, random: Random) -> None:
    p, correct = draw(150, np.random.default_rng(seed))
    rows = random.sample(range(150), 150)
    assert certify(p[rows], correct[rows], alpha=0.3) == certify(p, correct, alpha=0.3)


def test_the_candidates_do_not_depend_on_the_data() -> None:
    assert GRID[0] == 1.0
    assert GRID[-1] == 0.0
    assert (np.diff(GRID) < 0).all()
    assert -np.diff(GRID).min() < 0.0126


def test_all_right_is_certified_down_to_answering_everything() -> None:
    certificate = certify(np.linspace(0.1, 0.9, 100), np.ones(100, bool))
    assert (certificate.threshold, certificate.coverage, certificate.errors) == (0.0, 1.0, 0)


def test_a_saturated_score_can_be_certified() -> None:
    """Half of the rows share one value, as after isotonic regression."""
    p = np.array([0.97] * 100 + [0.2] * 100)
    certificate = certify(p, p > 0.5, alpha=0.1)
    assert 0.2 < present(certificate.threshold) <= 0.97
    assert certificate.answered >= 100
    assert certify([1.0] * 100, [True] * 100).coverage == 1.0


@pytest.mark.parametrize(("alpha", "rows"), [(0.05, 45), (0.10, 22), (0.20, 11)])
def test_least_answered_rows(alpha: float, rows: int) -> None:
    assert least_answered(alpha, 0.1) == rows
    assert certify([0.9] * rows, [True] * rows, alpha=alpha).threshold is not None
    refused = certify([0.9] * (rows - 1), [True] * (rows - 1), alpha=alpha)
    assert refused.threshold is None
    assert f"{rows} answered rows are needed" in refused.reason


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_least_answered_is_where_zero_errors_pass(alpha: float, delta: float) -> None:
    m = least_answered(alpha, delta)
    assert m >= 1
    assert binom.cdf(0, m, alpha) <= delta * (1 + 1e-9)
    assert m == 1 or binom.cdf(0, m - 1, alpha) > delta * (1 - 1e-9)


def test_without_a_threshold_the_reason_says_what_would_help() -> None:
    p = np.linspace(0.1, 0.9, 200)
    certificate = certify(p, np.arange(200) % 2 == 0)
    assert certificate.threshold is None
    assert (certificate.answered, certificate.errors) == (0, 0)
    assert "32 errors among 64 answered" in certificate.reason
    assert "at most 2 would do" in certificate.reason
    assert "grade more rows, raise alpha" in certificate.reason
    assert "at least 44.4% of the answers must be abstained from" in certificate.reason


def test_least_abstention_is_reached_by_dropping_wrong_answers_only() -> None:
    assert least_abstention(0.5, 0.1) == pytest.approx(0.4 / 0.9)
    assert least_abstention(0.1, 0.2) == 0.0
    mu, alpha = 0.4, 0.15
    dropped = least_abstention(mu, alpha)
    assert (mu - dropped) / (1 - dropped) == pytest.approx(alpha)


def test_a_lenient_grader_is_corrected_for() -> None:
    assert corrected_risk(0.09, 0.1) == pytest.approx(0.1)
    assert corrected_risk(0.2, 0.0) == 0.2
    assert corrected_risk(0.9, 0.5) == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: certify([], []),
        lambda: certify([0.5], [True, False]),
        lambda: certify([[0.5]], [[True]]),
        lambda: certify([1.5], [True]),
        lambda: certify([float("nan")], [True]),
        lambda: certify(["high"], [True]),
        lambda: certify([0.5], ["yes"]),
        lambda: certify([0.5], [True], alpha=0.0),
        lambda: certify([0.5], [True], alpha=1.0),
        lambda: certify([0.5], [True], delta=float("nan")),
        lambda: least_answered(0.1, 0.0),
        lambda: least_abstention(1.2, 0.1),
        lambda: least_abstention(0.5, 1.0),
        lambda: corrected_risk(-0.1, 0.1),
        lambda: corrected_risk(0.1, 1.0),
    ],
)
def test_bad_arguments_are_usage_errors(call: Any) -> None:
    with pytest.raises(UsageError):
        call()


@given(alpha=st.floats(0.001, 0.999), share=st.floats(0.0, 0.99))
def test_certifying_the_graded_alpha_bounds_the_true_risk_by_alpha(
    alpha: float, share: float
) -> None:
    assert corrected_risk(graded_alpha(alpha, share), share) == pytest.approx(alpha)


@pytest.mark.parametrize(("alpha", "share"), [(0.0, 0.1), (1.0, 0.1), (0.1, 1.0), (0.1, -0.1)])
def test_a_graded_alpha_out_of_range_is_a_usage_error(alpha: float, share: float) -> None:
    with pytest.raises(UsageError, match="false-pass rate"):
        graded_alpha(alpha, share)
