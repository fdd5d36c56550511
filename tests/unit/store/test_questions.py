"""Hashes of questions: what is written is read, and a question is recognised."""

import json
from pathlib import Path

import pytest

from ct_guard.errors import ManifestError
from ct_guard.store import load_questions, question_hash, set_hash
from ct_guard.store.questions import dump_questions, questions_name


def test_splits_survive_the_file_at_about_eight_bytes_a_question(tmp_path: Path) -> None:
    splits = {
        "tuning": frozenset(question_hash(f"q{n}") for n in range(1000)),
        "test": frozenset({question_hash("é\udc80")}),
        "empty": frozenset[str](),
    }
    content = dump_questions(splits)
    assert len(content) < 8 * 1001 + 200
    path = tmp_path / questions_name(content)
    path.write_bytes(content)
    assert load_questions(path) == splits


def test_the_hash_is_fixed_because_files_hold_it() -> None:
    assert question_hash("user\x1fWhat is 7 plus 5?") == "5iY0YhAT"


def test_equal_contents_have_equal_names_and_others_have_not() -> None:
    one, two = (dump_questions({"tuning": frozenset({question_hash(q)})}) for q in "ab")
    assert questions_name(one) == questions_name(bytes(one)) != questions_name(two)


def test_the_hash_of_a_set_does_not_depend_on_order_or_repetition() -> None:
    assert set_hash(["b", "a", "b", "ü"]) == set_hash(["ü", "a", "b"]) != set_hash(["a", "b"])


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema_version": 1, "splits": {"a": 1}}'])
def test_a_damaged_file_is_a_manifest_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "questions.json"
    path.write_text(content)
    with pytest.raises(ManifestError, match="restore it"):
        load_questions(path)


def test_a_newer_file_says_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "questions.json"
    path.write_text(json.dumps({"schema_version": 2, "splits": {}}))
    with pytest.raises(ManifestError, match="upgrade ct-guard"):
        load_questions(path)
