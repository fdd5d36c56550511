"""Clustered and paired bootstrap intervals."""

import numpy as np
import pytest

from ct_guard.errors import UsageError
from ct_guard.metrics import auroc, bootstrap, brier, ece, pair_accuracy, paired_bootstrap


def mean(x):
    return float(np.mean(x))


@pytest.fixture
def graded():
    rng = np.random.default_rng(0)
    p = rng.random(400)
    return p, rng.random(400) < p


def test_of_a_mean_it_is_the_normal_interval():
    x = np.random.default_rng(0).normal(size=2000)
    interval = bootstrap(mean, x)
    half = 1.96 * x.std() / np.sqrt(x.size)
    assert interval.value == pytest.approx(x.mean())
    assert interval.low == pytest.approx(x.mean() - half, abs=half / 8)
    assert interval.high == pytest.approx(x.mean() + half, abs=half / 8)
    assert interval.level == 0.95


def test_a_lower_level_is_narrower(graded):
    wide, narrow = bootstrap(auroc, *graded), bootstrap(auroc, *graded, level=0.5)
    assert wide.low < narrow.low < wide.value < narrow.high < wide.high


def test_same_seed_same_interval(graded):
    assert bootstrap(auroc, *graded, n=50) == bootstrap(auroc, *graded, n=50)
    assert bootstrap(auroc, *graded, n=50) != bootstrap(auroc, *graded, n=50, seed=1)


def test_copies_of_a_row_are_no_evidence_when_clustered():
    """Ten answers that all say the same count as one: the interval must not shrink."""
    x = np.random.default_rng(0).normal(size=100)
    once = bootstrap(mean, x)
    tenfold = np.repeat(x, 10)
    clustered = bootstrap(mean, tenfold, clusters=np.repeat(np.arange(100), 10))
    careless = bootstrap(mean, tenfold)
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low, rel=0.01)
    assert careless.high - careless.low < 0.5 * (once.high - once.low)


def test_clusters_of_any_size_and_any_name_stay_together():
    names = np.array(["b", "a", "b", "c", "b"])
    seen = []

    def record(rows):
        seen.append(sorted(rows.tolist()))
        return 0.0

    bootstrap(record, np.arange(5), clusters=names, n=30)
    for rows in seen[:-1]:
        assert rows.count(0) == rows.count(2) == rows.count(4)
        assert rows.count(0) + rows.count(1) + rows.count(3) == 3


def test_a_question_drawn_twice_counts_as_two_questions():
    """Else pair accuracy would be averaged over distinct questions, and look too certain."""
    rng = np.random.default_rng(0)
    question = np.repeat(np.arange(300), 2)
    correct = np.tile([True, False], 300)
    p = rng.random(600)
    counted = []

    def metric(p, correct, question):
        value, questions = pair_accuracy(p, correct, question)
        counted.append(questions)
        return value

    interval = bootstrap(metric, p, correct, question, clusters=question)
    assert set(counted) == {300}
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(300), rel=0.1)


def test_resamples_of_one_class_are_dropped():
    p, correct = np.linspace(0.1, 0.9, 10), np.array([False] * 2 + [True] * 8)
    interval = bootstrap(auroc, p, correct)
    assert interval.low == interval.high == interval.value == 1.0


def test_no_bounds_when_most_resamples_are_undefined():
    def defined_if_the_first_row_is_there_twice(rows):
        return 1.0 if np.sum(rows == 0) >= 2 else None  # in a quarter of the resamples

    interval = bootstrap(defined_if_the_first_row_is_there_twice, np.arange(10))
    assert (interval.value, interval.low, interval.high) == (None, None, None)
    one_class = bootstrap(auroc, [0.2, 0.8], [True, True])
    assert (one_class.value, one_class.low, one_class.high) == (None, None, None)


def calibrated_rows(n, seed):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return p, rng.random(n) < p


@pytest.mark.slow
def test_an_interval_of_ece_holds_its_value_and_never_goes_below_zero():
    excluded = 0
    for seed in range(20):
        rows = calibrated_rows(100, seed)
        found = bootstrap(ece, *rows, n=200, least=0.0)
        plain = bootstrap(ece, *rows, n=200)
        assert 0.0 <= found.low <= found.value <= found.high
        excluded += plain.value < plain.low
    assert excluded > 0  # what resampling does to it otherwise


@pytest.mark.slow
def test_an_interval_of_ece_covers_its_expectation_on_as_many_rows():
    expected = np.mean([ece(*calibrated_rows(100, seed)) for seed in range(1000)])
    found = [bootstrap(ece, *calibrated_rows(100, seed), n=200, least=0.0) for seed in range(60)]
    covered = [interval.low <= expected <= interval.high for interval in found]
    assert np.mean(covered) >= 0.88


def test_a_metric_without_bias_keeps_its_interval_when_recentred(graded):
    plain, recentred = bootstrap(auroc, *graded), bootstrap(auroc, *graded, least=0.0)
    width = plain.high - plain.low
    assert recentred.high - recentred.low == pytest.approx(width)
    assert recentred.low == pytest.approx(plain.low, abs=width / 20)


@pytest.mark.slow
def test_a_difference_of_ece_holds_its_value():
    """Resampling raises the ECE of calibrated scores, not that of scores that know the grade."""
    excluded = 0
    for seed in range(20):
        p, correct = calibrated_rows(100, seed)
        sure = correct.astype(float)
        plain = paired_bootstrap(ece, p, sure, correct, n=200)
        found = paired_bootstrap(ece, p, sure, correct, n=200, recentre=True)
        assert found.low <= found.value <= found.high
        assert found.high - found.low == pytest.approx(plain.high - plain.low)
        excluded += not plain.low <= plain.value <= plain.high
    assert excluded > 0


def test_paired_interval_sees_a_difference_that_separate_ones_cannot(graded):
    p, correct = graded
    worse = np.clip(p + 0.1, 0, 1)
    a, b = bootstrap(brier, p, correct), bootstrap(brier, worse, correct)
    assert a.high > b.low  # the separate intervals overlap
    paired = paired_bootstrap(brier, p, worse, correct)
    assert paired.value == pytest.approx(a.value - b.value)
    assert paired.high < 0


def test_a_score_does_not_differ_from_itself(graded):
    p, correct = graded
    interval = paired_bootstrap(auroc, p, p, correct, n=50)
    assert (interval.value, interval.low, interval.high) == (0.0, 0.0, 0.0)


def test_paired_is_none_where_a_score_is_undefined():
    interval = paired_bootstrap(auroc, [0.2, 0.8], [0.3, 0.4], [True, True], n=10)
    assert (interval.value, interval.low, interval.high) == (None, None, None)


@pytest.mark.parametrize(
    ("arrays", "settings"),
    [
        ((), {}),
        (([],), {}),
        (([0.5], [True, False]), {}),
        (([0.5],), {"clusters": [0, 1]}),
        (([0.5],), {"n": 0}),
        (([0.5],), {"level": 1.0}),
    ],
)
def test_bad_arguments_are_usage_errors(arrays, settings):
    with pytest.raises(UsageError):
        bootstrap(mean, *arrays, **settings)
