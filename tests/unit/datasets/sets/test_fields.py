"""Any other set, by the names of its fields."""

import json
from pathlib import Path
from typing import Any

import pytest

from ct_guard.datasets.sets import rows_by_fields
from ct_guard.errors import InputError, UsageError


def written(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("right", [1, "B", "b", "two"])
def test_the_right_choice_by_number_letter_or_text(tmp_path: Path, right: Any) -> None:
    file = written(tmp_path, {"q": "1+1?", "c": {"text": ["one", "two"]}, "a": right})
    (row,) = rows_by_fields(file, question="q", answer="a", choices="c.text")
    assert row["question"] == "Question:\n1+1?\n\nChoices:\n  (a): one\n  (b): two\nAnswer:"
    assert (row["gold"], row["choices"]) == ("b", ["one", "two"])


def test_open_answers_one_or_several(tmp_path: Path) -> None:
    file = written(tmp_path, {"q": "1+1?", "a": 2}, {"q": "Hi?", "a": ["yes", "yo"]})
    rows = list(rows_by_fields(file, question="q", answer="a"))
    assert [row["question"] for row in rows] == [
        "Question: 1+1?\nAnswer:",
        "Question: Hi?\nAnswer:",
    ]
    assert [row["gold"] for row in rows] == ["2", ["yes", "yo"]]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"q": "x"}, "row 1 has no field 'a', it has q: name another"),
        ({"q": "x", "a": None, "c": ["y"]}, "row 1: field 'a' is empty"),
        ({"q": "x", "a": "0", "c": "y"}, "field 'c' must be a list"),
        ({"q": "x", "a": 1, "c": ["y"]}, "field 'a': 1 is none of the 1 choices"),
        ({"q": "x", "a": -1, "c": ["y"]}, "field 'a': -1 is none of the 1 choices"),
        ({"q": "x", "a": "no", "c": ["y"]}, "field 'a': 'no' is none of the 1 choices"),
    ],
)
def test_a_bad_row_is_named_by_file_row_and_field(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=rf"mine\.jsonl: {said}|mine\.jsonl: row 1: {said}"):
        list(rows_by_fields(written(tmp_path, row), question="q", answer="a", choices="c"))


def test_a_folder_by_its_split(copies: Path) -> None:
    source = f"{copies / 'winogrande'}:train"
    rows = list(rows_by_fields(source, question="sentence", answer="option2", limit=1))
    assert [row["gold"] for row in rows] == ["the vase"]
    with pytest.raises(UsageError, match="give NAME:SPLIT or"):
        list(rows_by_fields(str(copies / "winogrande"), question="sentence", answer="answer"))
