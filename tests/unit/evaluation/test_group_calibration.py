"""How far groups are shrunk, and whether the worst group is better for it on new rows."""

import numpy as np
import pytest
from scipy.special import expit

from ct_guard.calibration import fit
from ct_guard.errors import InputError
from ct_guard.evaluation.groups import Answered, calibrate_groups
from ct_guard.metrics import ece, log_loss
from ct_guard.store.calibrated import Fitted, p_correct

DOMAINS = ("law", "art", "sums", "news")


def answered(
    questions: int, seed: int, *, spread: float, groups: tuple[str, ...] = DOMAINS
) -> tuple[Answered, list[str | None]]:
    """Two answers to each question. Domain i is right less often than its logits say, by a shift
    that grows with i, `spread` in all; without it, no domain differs."""
    random = np.random.default_rng(seed)
    n = 2 * questions
    domain = np.repeat(random.integers(len(groups), size=questions), 2)
    z = random.normal(0, 2, n)
    shift = spread * (domain / (len(groups) - 1) - 0.5)
    correct = random.random(n) < expit(z - shift)
    rows = Answered(z, correct, np.repeat(np.arange(questions), 2), [None] * n)
    return rows, [groups[one] for one in domain]


def worst(p: np.ndarray, correct: np.ndarray, domain: list[str | None]) -> float:
    kinds = np.array(domain)
    return max(ece(p[kinds == one], correct[kinds == one]) for one in DOMAINS)


def test_the_worst_groups_ece_falls_on_rows_that_were_held_out() -> None:
    rows, domain = answered(800, 0, spread=3.0)
    states = {"*": fit("platt", rows.logits, rows.correct)}
    found = calibrate_groups(rows, {"domain": domain}, states)
    before, after = found.worst
    assert after < before / 2
    assert found.after < found.before
    assert {one.value for one in found.figures} == set(DOMAINS)
    assert all(0 < one.floor_after < 0.06 for one in found.figures)

    test, theirs = answered(2000, 1, spread=3.0)
    plain = p_correct(Fitted(states), test.logits, test.model).p
    within = Fitted(states, groups=found.corrections)
    mended = p_correct(within, test.logits, test.model, within={"domain": theirs}).p
    assert worst(mended, test.correct, theirs) < worst(plain, test.correct, theirs) / 2
    assert log_loss(mended, test.correct) < log_loss(plain, test.correct)
    pool = p_correct(within, test.logits, test.model, within={"domain": ["poems"] * len(plain)}).p
    assert pool.tolist() == plain.tolist()


def test_groups_that_do_not_differ_are_left_nearly_alone() -> None:
    rows, domain = answered(600, 2, spread=0.0)
    states = {"*": fit("platt", rows.logits, rows.correct)}
    found = calibrate_groups(rows, {"domain": domain}, states)
    plain = p_correct(Fitted(states), rows.logits, rows.model).p
    mended = p_correct(
        Fitted(states, groups=found.corrections), rows.logits, rows.model, within={"domain": domain}
    ).p
    assert np.abs(mended - plain).max() < 0.05


def test_columns_that_are_no_groups_are_refused() -> None:
    rows, _ = answered(50, 3, spread=0.0)
    states = {"*": fit("platt", rows.logits, rows.correct)}
    with pytest.raises(InputError, match="no row has a column 'domain'"):
        calibrate_groups(rows, {"domain": [None] * 100}, states)
    with pytest.raises(InputError, match="'id' has 100 values in 100 rows: a group needs rows"):
        calibrate_groups(rows, {"id": [str(n) for n in range(100)]}, states)


def test_small_groups_are_corrected_but_not_judged_by_their_ece() -> None:
    rows, domain = answered(300, 4, spread=3.0)
    domain[:10] = ["rare"] * 10
    states = {"*": fit("platt", rows.logits, rows.correct)}
    found = calibrate_groups(rows, {"domain": domain}, states)
    assert "rare" in found.corrections[0].slopes
    assert "rare" not in {one.value for one in found.figures}
