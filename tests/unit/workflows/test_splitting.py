"""Parts of different questions, as files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard import SplitConfig, split
from ct_guard.errors import OutputExistsError, UsageError

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


def test_every_row_is_in_one_part_and_no_question_in_two(
    write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    source = write("graded.jsonl", make_rows(400))
    parts = split(source, tmp_path / "parts").parts
    assert list(parts) == ["tuning", "calibration", "certification", "test"]
    assert sum(part.rows for part in parts.values()) == 400
    assert sum(part.questions for part in parts.values()) == 200
    seen: dict[str, str] = {}
    for name, part in parts.items():
        lines = part.path.read_text().splitlines()
        assert len(lines) == part.rows
        for line in lines:
            assert seen.setdefault(json.loads(line)["question"], name) == name


def test_shares_are_in_any_unit(write: Write, make_rows: MakeRows, tmp_path: Path) -> None:
    source = write("graded.jsonl", make_rows(400))
    parts = split(source, tmp_path, SplitConfig(parts={"a": 3, "b": 1})).parts
    assert parts["a"].path == tmp_path / "a.jsonl"
    assert parts["a"].questions > 2 * parts["b"].questions
    with pytest.raises(OutputExistsError):
        split(source, tmp_path, SplitConfig(parts={"a": 3, "b": 1}))
    with pytest.raises(UsageError, match="a share above 0"):
        split(source, tmp_path, SplitConfig(parts={"a": 0}))
