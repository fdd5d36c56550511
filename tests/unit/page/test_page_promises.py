"""What a page says of promises beside the certified thresholds."""

from collections.abc import Callable

import numpy as np

from ct_guard.certificates import Certificate, Void
from ct_guard.evaluation import Scored
from ct_guard.page.promises import promised_thresholds, promises
from ct_guard.promises import AnsweredWrong, GroupCertificates
from tests.unit.monitoring.test_claims import CASCADE, WRONG

LAW = Certificate(alpha=0.1, delta=0.05, threshold=0.5, n=100, answered=50, errors=1, group="law")
NONE = LAW.model_copy(update={"threshold": None, "reason": "too few", "group": "art"})


def test_a_cascade_with_its_stages_and_calls(scored: Callable[..., Scored]) -> None:
    (shown,) = promises([CASCADE], scored())
    assert shown["parts"] == [
        ["1", "small", "0.8000", "400 (100.0%)"],
        ["2", "large", "0.4000", "200 (50.0%)"],
    ]
    assert shown["claim"].startswith("At most 10.0% wrong among all that a cascade answers")
    assert "300 questions (75.0%), 20 of them wrongly" in shown["note"]
    assert shown["void"] == []


def test_groups_are_counted_where_their_column_was_read(scored: Callable[..., Scored]) -> None:
    rows = scored(200, lambda at, row: row.update(model="law" if at % 2 else "art"))
    groups = GroupCertificates(
        column="model", alpha=0.1, delta=0.1, certificates={"law": LAW, "art": NONE}
    )
    (shown,) = promises([groups], rows)
    law, art = shown["parts"]
    of = np.array([row.model == "law" for row in rows.graded]) & (rows.p >= 0.5)
    wrong, given = int((of & ~rows.correct).sum()), int(of.sum())
    assert law[3] == f"{wrong} of {given} ({wrong / given:.1%})"
    assert art[1:] == ["none", "of 100: too few", "–"]
    (blind,) = promises([groups.model_copy(update={"column": "topic"})], rows)
    assert blind["parts"][0][3] == "–"
    assert "--by topic" in blind["note"]


def test_a_void_promise_says_so(scored: Callable[..., Scored]) -> None:
    rows = scored()
    void = WRONG.model_copy(update={"void": Void(at="2026-01-01", reason="It broke")})
    assert isinstance(void, AnsweredWrong)
    (shown,) = promises([void], rows)
    wrong = int(((rows.p >= 0.5) & ~rows.correct).sum())
    assert shown["void"] == ["It broke (since 2026-01-01)."]
    assert shown["parts"][0][2] == f"{wrong} of {len(rows)} ({wrong / len(rows):.1%})"


def test_every_promised_threshold_has_its_own_counts() -> None:
    groups = GroupCertificates(
        column="topic", alpha=0.1, delta=0.1, certificates={"law": LAW, "art": NONE}
    )
    assert promised_thresholds([LAW, groups, CASCADE, WRONG]) == [0.5, 0.5, 0.5]
