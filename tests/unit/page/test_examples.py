"""The answers that are shown in clear."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ct_guard.evaluation import Scored
from ct_guard.page import examples as module
from ct_guard.page.document import script_json
from ct_guard.page.examples import examples


def test_those_that_stand_out_come_first_by_every_estimator(scored: Callable[..., Scored]) -> None:
    rows = scored(200)
    other = rows.p[::-1].copy()
    found = examples(rows, [rows.p, other], 10)
    for of, p in enumerate((rows.p, other)):
        mistakes = [found.rows[at] for at in found.mistakes[of]]
        doubted = [found.rows[at] for at in found.doubted[of]]
        assert not any(one["correct"] for one in mistakes)
        assert all(one["correct"] for one in doubted)
        known = np.sort(p[~rows.correct])[::-1][:10]
        assert [one["p"][of] for one in mistakes] == pytest.approx(known, abs=1e-6)
        known = np.sort(p[rows.correct])[:10]
        assert [one["p"][of] for one in doubted] == pytest.approx(known, abs=1e-6)
    assert len(found.sample) == 10
    assert len(found.rows) <= 50


def test_a_row_says_where_it_stands_and_what_it_is(scored: Callable[..., Scored]) -> None:
    rows = scored(20)
    found = examples(rows, [rows.p], 20)
    assert [one["where"] for one in found.rows] == [row.where for row in rows.graded]
    assert found.rows[3]["id"] == rows.graded[3].id
    assert found.rows[3]["question"] == rows.asked[rows.graded[3].question]


def test_long_texts_are_cut_and_say_so(scored: Callable[..., Scored]) -> None:
    def long(at: int, row: dict[str, Any]) -> None:
        row["answer"] = "é" * 5000

    rows = scored(20, long)
    (first, *_) = examples(rows, [rows.p], 5).rows
    assert first["answer"] == "é" * 600 + "… (4,400 characters more)"


def test_where_texts_are_long_fewer_are_shown(
    scored: Callable[..., Scored], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hostile(at: int, row: dict[str, Any]) -> None:
        row["answer"] = "<" * 600  # six bytes each, escaped

    monkeypatch.setattr(module, "BUDGET", 100_000)
    rows = scored(200, hostile)
    found = examples(rows, [rows.p], 50)
    assert found.each < 15
    assert len(script_json(found.rows)) <= 100_000


def test_none_are_shown_where_none_are_wanted(scored: Callable[..., Scored]) -> None:
    rows = scored(20)
    found = examples(rows, [rows.p], 0)
    assert (found.rows, found.sample, found.mistakes) == ([], [], [[]])
