"""Answers to the world's questions: greedy and sampled, graded, kept, in splits."""

from collections import Counter
from pathlib import Path

import pytest

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.store import MINI
from tools.mini_world.answers import (
    SPLITS,
    Row,
    answer_and_grade,
    question_of,
    read_answers,
    split_rows,
)
from tools.mini_world.world import grade, make_world


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    backend = TransformersBackend.load(MINI / "base", device="cpu")
    return answer_and_grade(make_world(0), backend, folder, seed=0, scale=0.01)


def test_every_answer_is_graded_by_its_content(rows: list[Row]) -> None:
    assert {row["split"] for row in rows} == set(SPLITS)
    assert all(row["correct"] == grade(row["answer"], row["gold"]) for row in rows)
    assert 0 < sum(row["correct"] for row in rows) < len(rows)


def test_a_question_has_one_greedy_and_four_sampled_answers_at_most(rows: list[Row]) -> None:
    numbers = Counter((question_of(row), row["sample"]) for row in rows)
    assert set(numbers.values()) == {1}
    assert {row["sample"] for row in rows} == {0, 1, 2, 3, 4}
    assert {row["sample"] for row in rows if row["split"] == "certification"} == {0}


def test_what_is_held_out_stands_in_no_other_split(rows: list[Row]) -> None:
    parts = {split: split_rows(rows, split) for split in SPLITS}
    ids = [row["id"] for part in parts.values() for row in part]
    assert len(ids) == len(set(ids))
    assert all(row["held_out"] for row in parts["held_out"])
    assert not any(row["held_out"] for split in SPLITS[:-1] for row in parts[split])


def test_what_was_answered_is_read_back(folder: Path, rows: list[Row]) -> None:
    assert read_answers(folder) == rows
