"""How far the scores of the same rows moved between two files."""

import json
from pathlib import Path
from typing import Any

import pytest

from ct_guard.errors import InputError
from ct_guard.workflows.runs import moved


def write(path: Path, logits: list[float | None], **more: Any) -> Path:
    rows = [
        {"question": f"q{at}", "answer": "a", "logit": logit, "action": "pass"} | more
        for at, logit in enumerate(logits)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_same_rows_are_compared_wherever_they_stand(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", [0.0, 1.0, 2.0, None])
    other = write(tmp_path / "other.jsonl", [0.5, 1.0, 2.25, 9.0])
    lines = other.read_text().splitlines()
    other.write_text("\n".join(reversed(lines)) + "\n")
    found = moved(one, other)
    assert (found.rows, found.median, found.largest) == (3, 0.25, 0.5)
    assert found.spearman == pytest.approx(1.0)
    assert found.changed == 0
    assert "3 of the same rows" in str(found)


def test_actions_that_change_are_counted(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", [0.0, 1.0])
    other = write(tmp_path / "other.jsonl", [0.0, 1.0], action="abstain")
    assert moved(one, other).changed == 1.0


def test_rows_that_come_twice_are_compared_in_their_order(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "a", "action": "pass"}
    for name, logits in (("one", (1.0, 2.0)), ("other", (1.5, 2.5))):
        text = "".join(json.dumps(row | {"logit": logit}) + "\n" for logit in logits)
        (tmp_path / f"{name}.jsonl").write_text(text)
    found = moved(tmp_path / "one.jsonl", tmp_path / "other.jsonl")
    assert (found.rows, found.largest) == (2, 0.5)


def test_files_of_other_rows_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", [0.0])
    other = write(tmp_path / "other.jsonl", [0.0], question="another")
    with pytest.raises(InputError, match="shares no scored row"):
        moved(one, other)
