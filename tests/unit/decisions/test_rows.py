"""Decisions in files: logged, labelled, read back; what is wrong is named by row and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from ct_guard.decisions import DecisionLog, as_scores, read_decisions
from ct_guard.errors import InputError

from .known import ANGER, RISKY, TEAM

ASKED = RISKY.model_dump(mode="json")


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_logged_decision_counts_once_it_has_a_label(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    log.add({"call": "rm"}, "risky", RISKY, {"yes": 1.5, "no": -0.5}, "abc")
    log.add("\u2028hello", "team", TEAM, dict.fromkeys(TEAM.criteria, 0.0), "abc")
    with pytest.raises(InputError, match="no row has the right answer in 'label'"):
        read_decisions(log.path)
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    lines[0]["label"] = True
    (row,), ungraded = read_decisions(write(tmp_path, *lines))
    assert (row.name, row.label, row.state, row.by) == ("risky", "yes", {"call": "rm"}, "abc")
    assert row.question == RISKY
    assert row.scores == {"yes": 1.5, "no": -0.5}
    assert ungraded == 1


@pytest.mark.parametrize(
    ("question", "label", "read"),
    [
        (RISKY, False, "no"),
        (RISKY, "Yes", "yes"),
        (RISKY, 0, "no"),
        (TEAM, "sales", "sales"),
        (ANGER, 2, "2"),
        (ANGER, 1.0, "1"),
    ],
)
def test_labels_as_people_write_them(
    question: Any, label: object, read: str, tmp_path: Path
) -> None:
    asked = question.model_dump(mode="json")
    rows, _ = read_decisions(write(tmp_path, {"state": "x", "question": asked, "label": label}))
    assert rows[0].label == read
    assert rows[0].scores is None


def test_probabilities_of_another_model_are_scores_of_the_same_softmax(tmp_path: Path) -> None:
    row = {"state": "x", "question": ASKED, "label": "no", "probabilities": 0.25}
    rows, _ = read_decisions(write(tmp_path, row))
    assert rows[0].scores == as_scores({"yes": 0.25, "no": 0.75})
    assert as_scores({"a": 0.0, "b": 1.0})["a"] > -20


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": "perhaps"}, "line 1: field 'label': 'perhaps' is none of yes, no"),
        ({"question": {"type": "noul"}}, "line 1: field 'question': .*instructions"),
        ({"question": "no JSON"}, "line 1: field 'question'"),
        ({"scores": {"yes": 1}}, "line 1: field 'scores' needs a number for each of yes, no"),
        ({"scores": {"yes": 1, "no": None}}, "line 1: field 'scores' holds what is no number"),
        ({"scores": {"yes": 1, "no": 10**400}}, "line 1: field 'scores' holds what is no number"),
        ({"question": {"type": "a\nb"}}, "line 1: field 'question': .*tag 'a b' found"),
        ({"probabilities": 1.5}, r"line 1: field 'probabilities' must be in \[0, 1\]"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(
    change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    row = {"state": "x", "question": ASKED, "label": "yes", **change}
    with pytest.raises(InputError, match=says):
        read_decisions(write(tmp_path, row))


def test_a_row_without_a_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: no field 'state'"):
        read_decisions(write(tmp_path, {"question": ASKED, "label": "yes"}))
