"""What somebody has already, beside an estimator, on the same rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from ct_guard.errors import InputError
from ct_guard.evaluation import Beside, Options, evaluate_files, read_scored
from ct_guard.evaluation.beside import BESIDE
from ct_guard.metrics import coverage_at_risk, ece

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


def with_column(rows: list[dict[str, Any]], values: list[Any]) -> list[dict[str, Any]]:
    return [row | {"stated": value} for row, value in zip(rows, values, strict=True)]


def compared(path: Path, column: str = "stated") -> tuple[Beside, list[str]]:
    scored = read_scored(path, keep=(column,))
    options = Options(prior=False, compare=(column,), resamples=200)
    found = evaluate_files([scored], options)
    return found.comparisons[0], found.remarks


def overconfident(rows: list[dict[str, Any]]) -> list[float]:
    rng = np.random.default_rng(3)
    near = np.array([row["confidence"] for row in rows]) + rng.normal(0, 0.3, len(rows))
    return [round(float(one), 3) for one in np.clip(0.7 + 0.3 * near, 0, 1)]


def test_figures_of_both_and_their_paired_differences(write: Write, make_rows: MakeRows) -> None:
    rows = make_rows(600)
    stated = overconfident(rows)
    one, said = compared(write("s.jsonl", with_column(rows, stated)))
    right, p = [row["correct"] for row in rows], [row["confidence"] for row in rows]
    expected = {
        "AUROC": roc_auc_score,
        "ECE": lambda y, q: ece(q, y),
        "log loss": log_loss,
        "coverage at 10% risk": lambda y, q: coverage_at_risk(q, y, 0.1),
    }
    assert [pair.name for pair in one.pairs] == list(BESIDE)
    assert (one.estimator, one.column, one.rows, one.questions) == ("tiny", "stated", 600, 300)
    assert said == []
    for pair in one.pairs:
        of = expected[pair.name]
        assert pair.ours.value == pytest.approx(of(right, p))
        if pair.name != "log loss":  # where it is certain and wrong, libraries clip at other places
            assert pair.theirs.value == pytest.approx(of(right, stated))
        assert pair.difference.value == pytest.approx(
            (pair.ours.value or 0) - (pair.theirs.value or 0)
        )
        low, high = pair.difference.low, pair.difference.high
        assert low is not None
        assert high is not None
        better = low > 0 if pair.better == "higher" else high < 0
        assert better, pair.name


@pytest.mark.slow
def test_intervals_draw_whole_questions(write: Write, make_rows: MakeRows) -> None:
    """Every answer four times over says no more than once, when the copies share its question."""
    rows = make_rows(200, answers=1)
    again = [row | {"id": f"{row['id']}-{copy}"} for row in rows for copy in range(4)]
    once, _ = compared(write("once.jsonl", with_column(rows, overconfident(rows))))
    values = [value for value in overconfident(rows) for _ in range(4)]
    four, _ = compared(write("four.jsonl", with_column(again, values)))
    widths = [
        (one.pairs[0].difference.high or 0) - (one.pairs[0].difference.low or 0)
        for one in (once, four)
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.25)


def test_a_column_that_is_no_probability_only_ranks(write: Write, make_rows: MakeRows) -> None:
    rows = make_rows(300)
    marks = [round(5 * value, 2) - 1 for value in overconfident(rows)]
    one, _ = compared(write("s.jsonl", with_column(rows, marks)))
    right = [row["correct"] for row in rows]
    found = {pair.name: pair for pair in one.pairs}
    assert found["AUROC"].theirs.value == pytest.approx(roc_auc_score(right, marks))
    assert found["AUROC"].difference.low is not None
    assert found["coverage at 10% risk"].theirs.value is not None
    for name in ("ECE", "log loss"):
        assert found[name].ours.value is not None
        assert found[name].theirs.value is None
        assert found[name].difference.value is None
        assert "it is no probability, and only ranks" in found[name].note
        assert f"runs from {min(marks):g} to {max(marks):g}" in found[name].note


def test_rows_without_a_value_are_left_out_on_both_sides(write: Write, make_rows: MakeRows) -> None:
    rows = make_rows(200)
    values: list[Any] = list(overconfident(rows))
    values[::4] = [None] * 50
    values[1] = "85%"
    one, said = compared(write("s.jsonl", with_column(rows, values)))
    assert one.rows == 150
    kept = [at for at in range(200) if at % 4]
    ours = roc_auc_score([rows[at]["correct"] for at in kept],
                         [rows[at]["confidence"] for at in kept])  # fmt: skip
    assert one.pairs[0].ours.value == pytest.approx(ours)
    assert one.pairs[1].theirs.value is not None  # 85% is 0.85
    assert said == ["50 rows have no 'stated': they are left out beside it."]


@pytest.mark.parametrize(
    ("value", "said"),
    [("good", r"line 1: field 'stated' must be a number to be compared, found 'good'"),
     (None, r"no row has a number in 'stated'")],
)  # fmt: skip
def test_a_column_without_numbers_is_refused(
    value: object, said: str, write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(20)
    with pytest.raises(InputError, match=said):
        compared(write("s.jsonl", with_column(rows, [value] * 20)))


def test_every_estimator_stands_beside_the_column(write: Write, make_rows: MakeRows) -> None:
    rows = make_rows(100)
    first = read_scored(write("a.jsonl", with_column(rows, overconfident(rows))), keep=("stated",))
    other = read_scored(write("b.jsonl", [row | {"estimator": "other"} for row in rows]))
    options = Options(prior=False, compare=("stated",), resamples=100)
    parts: list[tuple[int, int]] = []
    found = evaluate_files(
        [first, other], options, on_part=lambda done, total: parts.append((done, total))
    )
    assert [one.estimator for one in found.comparisons] == ["tiny", "other"]
    assert parts[-1] == (5, 5)
    shown = found.to_json()["comparisons"][0]
    assert shown["column"] == "stated"
    assert set(shown["figures"]["ECE"]) == {"estimator", "column", "difference", "note"}
