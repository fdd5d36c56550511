"""The manifest of graded data: whole, and of the file that it stands beside."""

from pathlib import Path

import pytest

from ct_guard.datasets import (
    Counts,
    DataManifest,
    data_manifest_path,
    load_data_manifest,
    sha256_of,
)
from ct_guard.errors import InputError


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    path = tmp_path / "graded.jsonl"
    path.write_text("{}\n")
    DataManifest(
        source="questions.jsonl",
        source_sha256=None,
        sha256=sha256_of(path),
        gold="gold",
        grader="numeric",
        grader_settings={"tolerance": 0.1},
        answering={"answers": "given"},
        counts=Counts(questions=4, right=1, wrong=3, unclear=2, failed=1),
        version="0",
    ).save(path)
    return path


def test_it_comes_back_as_it_was(graded: Path) -> None:
    manifest = load_data_manifest(graded)
    assert manifest.grader_settings == {"tolerance": 0.1}
    assert manifest.counts.rows == 7
    assert manifest.counts.accuracy == 0.25
    assert set(graded.parent.iterdir()) == {graded, data_manifest_path(graded)}


def test_without_grades_there_is_no_accuracy() -> None:
    assert Counts(questions=1, right=0, wrong=0, unclear=1, failed=0).accuracy is None


def test_a_file_that_was_changed_is_refused(graded: Path) -> None:
    graded.write_text("{} \n")
    with pytest.raises(InputError, match="changed after grading"):
        load_data_manifest(graded)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 2}'])
def test_a_broken_manifest_is_refused_in_one_line(graded: Path, text: str) -> None:
    data_manifest_path(graded).write_text(text)
    with pytest.raises(InputError) as refused:
        load_data_manifest(graded)
    assert "\n" not in str(refused.value)


def test_no_manifest_and_no_file(graded: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ct-guard grade"):
        load_data_manifest(tmp_path / "other.jsonl")
    graded.unlink()
    with pytest.raises(InputError, match="check the path"):
        load_data_manifest(graded)
