"""Calibration within groups: what never changes, and what it mends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from ct_guard.calibration.groups import apply_groups, fit_groups
from ct_guard.errors import CalibrationError
from ct_guard.records import GroupCorrections

names = st.sampled_from(["law", "art", "sums"])
graded = st.lists(
    st.tuples(st.floats(0, 1), st.booleans(), names | st.none(), names | st.none()),
    min_size=1,
    max_size=40,
)
penalties = st.sampled_from([0.3, 10.0, 300.0])

Within = dict[str, list[str | None]]


def columns(
    rows: list[tuple[float, bool, str | None, str | None]],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Within]:
    p, correct, domain, language = zip(*rows, strict=True)
    return np.array(p), np.array(correct), {"domain": list(domain), "language": list(language)}


@settings(deadline=None, max_examples=60)
@given(rows=graded, penalty=penalties, new=st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_inside_a_group_p_is_a_probability_that_never_decreases_in_the_logit(
    rows: list[tuple[float, bool, str | None, str | None]], penalty: float, new: list[float]
) -> None:
    p, correct, within = columns(rows)
    found = fit_groups(p, correct, within, penalty=penalty)
    of_one = {"domain": ["law"] * len(new), "language": ["art"] * len(new)}
    mended = apply_groups(found, np.array(sorted(new)), of_one)
    assert (np.diff(mended) >= -1e-12).all()
    assert ((mended >= 0) & (mended <= 1)).all()
    known = {value for one in found for value in one.slopes}
    if "law" in known & set(within["domain"]):
        assert ((mended > 0) & (mended < 1)).all()


@settings(deadline=None, max_examples=40)
@given(rows=graded, penalty=penalties, new=st.floats(0, 1))
def test_a_group_without_rows_changes_nothing(
    rows: list[tuple[float, bool, str | None, str | None]], penalty: float, new: float
) -> None:
    p, correct, within = columns(rows)
    found = fit_groups(p, correct, within, penalty=penalty)
    nowhere: list[Within] = [{"domain": ["never seen"], "language": [None]}, {"domain": [None]}, {}]
    for of_none in nowhere:
        assert apply_groups(found, np.array([new]), of_none).tolist() == [new]
    more: Within = {**within, "tenant": [None] * len(p)}
    again = fit_groups(p, correct, more, penalty=penalty)
    known: Within = {"domain": ["law"] * 5, "language": [None] * 5}
    fresh = np.linspace(0.1, 0.9, 5)
    np.testing.assert_allclose(
        apply_groups(again, fresh, known), apply_groups(found, fresh, known), atol=1e-6
    )


def test_a_shift_and_a_slope_of_a_group_are_found() -> None:
    random = np.random.default_rng(0)
    z = random.normal(0, 2, 6000)
    group = np.array(["shifted", "flat", "fair"])[random.integers(3, size=z.size)]
    truth = np.select([group == "shifted", group == "flat"], [z - 1.5, 0.4 * z], z)
    correct = random.random(z.size) < expit(truth)
    [found] = fit_groups(expit(z), correct, {"domain": group.tolist()}, penalty=1.0)
    assert found.shifts["shifted"] == pytest.approx(-1.5, abs=0.15)
    assert np.exp(found.slopes["flat"]) == pytest.approx(0.4, abs=0.07)
    assert found.shifts["fair"] == pytest.approx(0.0, abs=0.15)


def test_groups_of_two_columns_are_mended_together() -> None:
    random = np.random.default_rng(1)
    z = random.normal(0, 2, 8000)
    law, german = random.random(z.size) < 0.3, random.random(z.size) < 0.5
    correct = random.random(z.size) < expit(z - 1.0 * law + 0.8 * german)
    within = {
        "domain": np.where(law, "law", "rest").tolist(),
        "language": np.where(german, "de", "en").tolist(),
    }
    found = fit_groups(expit(z), correct, within, penalty=1.0)
    at = {"domain": ["law", "law", "rest"], "language": ["de", "en", "de"]}
    mended = logit(apply_groups(found, np.full(3, 0.5), at))
    assert mended == pytest.approx([-0.2, -1.0, 0.8], abs=0.2)


def test_few_rows_move_a_group_less_than_many() -> None:
    random = np.random.default_rng(2)

    def shift(rows: int) -> float:
        z = random.normal(0, 1, rows)
        correct = random.random(rows) < expit(z - 2)
        [found] = fit_groups(expit(z), correct, {"domain": ["law"] * rows}, penalty=30.0)
        return found.shifts["law"]

    assert shift(2000) < shift(20) < 0
    assert shift(2000) == pytest.approx(-2, abs=0.3)


def test_what_cannot_be_fitted_is_refused() -> None:
    p, correct = np.array([0.2, 0.8]), np.array([False, True])
    with pytest.raises(CalibrationError, match="penalty must be above 0"):
        fit_groups(p, correct, {"domain": ["a", "b"]}, penalty=0.0)
    with pytest.raises(CalibrationError, match="of the same rows"):
        fit_groups(p, correct, {"domain": ["a"]}, penalty=1.0)
    assert fit_groups(p, correct, {}, penalty=1.0) == ()
    with pytest.raises(ValueError, match="a slope and a shift"):
        GroupCorrections(column="domain", slopes={"a": 0.0}, shifts={}, penalty=1.0)
