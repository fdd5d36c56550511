"""Scored files as columns, and what is refused in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard.errors import InputError
from ct_guard.evaluation import read_scored

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


def test_answers_to_one_question_share_its_number(write: Write, make_rows: MakeRows) -> None:
    scored = read_scored(write("s.jsonl", make_rows(40)), keep=("sample",))
    assert scored.question.tolist() == [n // 2 for n in range(40)]
    assert scored.asked[3] == "q 3?"
    assert scored.column("sample") == ["0", "1"] * 20
    assert len(scored.question_keys()) == 20
    assert scored.take([5, 0]).p.tolist() == [scored.p[5], scored.p[0]]


def test_rows_without_score_or_grade_are_counted_not_guessed(
    write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(40)
    rows[0] |= {"confidence": None, "logit": None, "status": "empty"}
    del rows[1]["correct"]
    scored = read_scored(write("s.jsonl", rows))
    assert (scored.rows, len(scored), scored.ungraded) == (40, 38, 1)
    assert scored.statuses == {"ok": 39, "empty": 1}


def test_only_the_rows_that_were_asked_for(write: Write, make_rows: MakeRows) -> None:
    scored = read_scored(write("s.jsonl", make_rows(40)), where={"sample": "0"})
    assert (scored.rows, len(scored)) == (20, 20)


def test_csv_reads_like_jsonl(write: Write, make_rows: MakeRows, tmp_path: Path) -> None:
    rows = make_rows(20)
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    one, other = read_scored(tmp_path / "s.csv"), read_scored(write("s.jsonl", rows))
    assert one.p.tolist() == other.p.tolist()
    assert one.logit.tolist() == other.logit.tolist()
    assert one.correct.tolist() == other.correct.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 1.5}, "line 3: field 'confidence' must be between 0 and 1, found 1.5"),
        ({"confidence": "high"}, "line 3: field 'confidence' must be .*'high'"),
        ({"logit": "nan"}, "line 3: field 'logit' must be a finite number, found 'nan'"),
        ({"logit": "1e999"}, "line 3: field 'logit' must be a finite number"),
        ({"correct": "yes"}, "line 3: field 'correct' must be true or false.*leave it empty"),
        ({"correct": 0.5}, "line 3: field 'correct' must be true or false"),
        ({"messages": 7, "question": ""}, "line 3: field 'messages' must be a list.*remove"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    change: dict[str, Any], message: str, write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(6)
    rows[2] |= change
    with pytest.raises(InputError, match=message) as caught:
        read_scored(write("s.jsonl", rows))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["backend", "format", "estimator", "scorer", "status", "noise"])
@pytest.mark.parametrize("value", [["a"], {"a": [1]}, 5])
def test_what_stands_beside_a_score_may_be_anything(
    column: str, value: Any, write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(6)
    rows[2] |= {"backend": "none", "format": "none", column: value}
    assert len(read_scored(write("s.jsonl", rows))) == 6


def test_a_bare_nan_is_a_score_that_is_not_there(write: Write, make_rows: MakeRows) -> None:
    rows = make_rows(6)
    rows[2]["logit"] = float("nan")
    found = read_scored(write("s.jsonl", rows), need="logit")
    assert [row.where.rpartition(" ")[2] for row in found.graded] == ["1", "2", "4", "5", "6"]


def test_rows_without_the_score_that_they_should_have_are_counted_and_the_first_is_named(
    write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(6)
    rows[2]["logit"] = rows[4]["logit"] = float("nan")
    rows[5] |= {"logit": None, "status": "refusal"}
    found = read_scored(write("s.jsonl", rows), need="logit")
    assert len(found) == 3
    assert str(found.loss).startswith("2 rows of status ok have no score, or NaN (the first: ")
    assert "s.jsonl, line 3)" in str(found.loss)
    assert read_scored(write("t.jsonl", make_rows(3)), need="logit").loss is None


def test_a_file_that_was_not_scored_or_graded_says_what_to_do(write: Write) -> None:
    plain = write("a.jsonl", [{"question": "q", "answer": "a", "correct": True}])
    with pytest.raises(InputError, match="line 1: no column 'confidence': score the file first"):
        read_scored(plain)
    with pytest.raises(InputError, match="line 1: no column 'logit': score the file first"):
        read_scored(plain, need="logit")
    ungraded = write("b.jsonl", [{"question": "q", "answer": "a", "confidence": 0.5}])
    with pytest.raises(InputError, match="grade the answers"):
        read_scored(ungraded)


def test_a_column_that_no_row_has_and_a_value_that_no_row_has(
    write: Write, make_rows: MakeRows
) -> None:
    path = write("s.jsonl", make_rows(6))
    with pytest.raises(InputError, match="no row has a column 'kind'"):
        read_scored(path, keep=("kind",))
    with pytest.raises(InputError, match="no row with sample=9"):
        read_scored(path, where={"sample": "9"})
