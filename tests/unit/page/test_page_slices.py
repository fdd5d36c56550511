"""Each value of a column by itself."""

import numpy as np
import pytest

from ct_guard.metrics import auroc
from ct_guard.page.slices import MOST_SLICES, slices

RNG = np.random.default_rng(5)
P = RNG.random(900)
KIND = np.array(["calibrated", "boastful", "boastful"] * 300)
CORRECT = RNG.random(900) < np.where(KIND == "boastful", P / 2, P)


def test_what_an_estimator_is_too_confident_about_is_seen() -> None:
    found = {one["name"]: one for one in slices(P, CORRECT, np.arange(900), KIND.tolist())}
    assert list(found) == ["boastful", "calibrated"]
    assert [one["rows"] for one in found.values()] == [600, 300]
    boastful, calibrated = found["boastful"], found["calibrated"]
    assert abs(calibrated["gap"]) < 0.06 < 0.15 < boastful["gap_low"]
    assert boastful["ece"] > 2 * boastful["floor"]
    assert calibrated["ece"] < 2 * calibrated["floor"]
    inside = KIND == "boastful"
    assert boastful["auroc"] == auroc(P[inside], CORRECT[inside])
    for one in found.values():
        assert one["low"] <= one["accuracy"] <= one["high"]
        assert one["gap"] == pytest.approx(one["mean_p"] - one["accuracy"])


def test_one_sided_slices_have_no_ranking() -> None:
    (found,) = slices(P[:9], np.ones(9, np.bool_), np.arange(9), ["all"] * 9, resamples=20)
    assert found["auroc"] is None
    assert (found["accuracy"], found["high"]) == (1.0, 1.0)
    assert found["low"] < 0.8


def test_the_largest_are_shown() -> None:
    values = [f"v{n}" for n in range(200)] * 4 + ["big"] * 100
    found = slices(P, CORRECT, np.arange(900), values, resamples=20)
    assert len(found) == MOST_SLICES
    assert found[0]["name"] == "big"
