"""Certificates by group: all hold at once, and groups that are too small are named."""

import numpy as np
import pytest

from ct_guard.errors import UsageError
from ct_guard.evaluation.figures import Bools, Floats
from ct_guard.risk import certify, certify_groups, least_answered


def rows(sizes: dict[str, int], seed: int = 0) -> tuple[Floats, Bools, list[str]]:
    rng = np.random.default_rng(seed)
    groups = [name for name, size in sizes.items() for _ in range(size)]
    p = rng.uniform(0.5, 1.0, len(groups))
    return p, rng.random(len(groups)) < p, groups


def test_each_group_is_certified_at_its_share_of_delta() -> None:
    p, correct, groups = rows({"law": 800, "maths": 600})
    found = certify_groups(p, correct, groups, column="subject", alpha=0.2, delta=0.1)
    assert (found.column, found.delta, found.correction) == ("subject", 0.1, "bonferroni")
    assert list(found.certificates) == ["law", "maths"]
    for name, one in found.certificates.items():
        of = np.array(groups) == name
        alone = certify(p[of], correct[of], alpha=0.2, delta=0.05)
        assert one == alone.model_copy(update={"group": name})
        assert one.threshold is not None


def test_groups_that_are_too_small_use_no_delta_up_and_say_what_would_do() -> None:
    p, correct, groups = rows({"law": 800, "tiny": 9, "small": 12})
    found = certify_groups(p, correct, groups, column="subject", alpha=0.2, delta=0.1)
    assert found.certificates["law"].delta == 0.1
    needed = least_answered(0.2, 0.1)
    assert needed == 11
    assert f"9 rows are too few: {needed}" in found.certificates["tiny"].reason
    # 12 rows would do alone, but not at half of delta, and law comes first.
    both = certify_groups(*rows({"law": 800, "small": 14}), column="s", alpha=0.2, delta=0.1)
    assert {one.delta for one in both.certificates.values()} == {0.05}


def test_all_hold_at_once_in_all_but_delta_of_draws() -> None:
    """Error rates just above alpha in four groups: whatever passes breaks the promise."""
    rng = np.random.default_rng(0)
    groups = [name for name in "abcd" for _ in range(60)]
    broken = 0
    for _ in range(300):
        p = rng.uniform(0.5, 1.0, 240)
        found = certify_groups(p, rng.random(240) < 0.79, groups, column="g", alpha=0.2, delta=0.1)
        broken += any(one.threshold is not None for one in found.certificates.values())
    assert broken / 300 <= 0.1 + 0.035  # two standard errors


def test_rows_need_a_group_each() -> None:
    with pytest.raises(UsageError, match="3 rows need a group each, not 2"):
        certify_groups([0.5] * 3, [True] * 3, ["a", "b"], column="g")
