"""Which files are meant by names, folders and patterns, and where their outputs go."""

from pathlib import Path, PurePath

import pytest

from ct_guard.errors import InputError, UsageError
from ct_guard.files import open_rows
from ct_guard.files.inputs import Input, inputs_of, is_folder, outputs_in


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in (
        "runs/b.jsonl",
        "runs/a.csv.gz",
        "runs/deep/c.parquet",
        "runs/notes.txt",
        "runs/.hidden.jsonl",
        "runs/.cache/d.jsonl",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "runs"


def names(found: list[Input]) -> list[str]:
    return [str(one.name) for one in found]


def test_a_folder_means_all_rows_in_it_and_below_by_name(runs: Path) -> None:
    assert names(inputs_of(runs)) == ["a.csv.gz", "b.jsonl", "deep/c.parquet"]


def test_a_pattern_means_what_fits_it(runs: Path) -> None:
    assert names(inputs_of(f"{runs}/**/*.parquet")) == ["deep/c.parquet"]
    assert names(inputs_of(f"{runs}/[ab].*")) == ["a.csv.gz", "b.jsonl"]


def test_a_file_with_the_signs_of_a_pattern_in_its_name_is_itself(tmp_path: Path) -> None:
    odd = tmp_path / "rows[1].jsonl"
    odd.write_bytes(b"")
    assert [one.path for one in inputs_of(odd)] == [str(odd)]


def test_files_come_in_the_order_in_which_they_are_named_and_once(runs: Path) -> None:
    found = inputs_of([runs / "b.jsonl", runs, f"{runs}/*.jsonl"])
    assert names(found) == ["b.jsonl", "a.csv.gz", "deep/c.parquet"]


def test_what_lies_in_the_output_folder_is_no_input(runs: Path) -> None:
    output = runs / "deep"
    assert names(inputs_of(runs, output=output)) == ["a.csv.gz", "b.jsonl"]
    with pytest.raises(InputError, match="has no file of rows"):
        inputs_of(output, output=output)


def test_nothing_that_fits_is_an_error_and_a_missing_file_is_one_later(runs: Path) -> None:
    with pytest.raises(InputError, match=r"\*\.tsv: fits no file"):
        inputs_of(f"{runs}/*.tsv")
    with pytest.raises(UsageError, match="no input is named"):
        inputs_of([])
    with pytest.raises(UsageError, match="read alone"):
        inputs_of(["-", runs / "b.jsonl"])
    assert [one.path for one in inputs_of("missing.jsonl")] == ["missing.jsonl"]


def test_a_name_with_a_nul_in_it_is_none() -> None:
    with pytest.raises(InputError, match=r"'a\\x00\.jsonl': is no name of a file"):
        inputs_of("a\0.jsonl")
    with pytest.raises(InputError, match=r"'a\\x00\.jsonl': is no name of a file"):
        open_rows("a\0.jsonl")


def test_an_output_that_is_there_or_ends_in_a_slash_is_a_folder(tmp_path: Path) -> None:
    assert is_folder(tmp_path)
    assert is_folder(f"{tmp_path}/new/")
    assert not is_folder(tmp_path / "new")
    assert not is_folder("-")


def test_every_input_has_an_output_of_its_name(runs: Path, tmp_path: Path) -> None:
    document = tmp_path / "log.json"
    document.write_text("[]")
    made = outputs_in(tmp_path / "out", inputs_of([runs, document]))
    assert list(made.values()) == [
        tmp_path / "out" / PurePath(name)
        for name in ("a.csv.gz", "b.jsonl", "deep/c.parquet", "log.jsonl")
    ]
    other = tmp_path / "b.jsonl"
    other.write_bytes(b"")
    with pytest.raises(UsageError, match=r"would both be written to .*b\.jsonl"):
        outputs_in(tmp_path / "out", inputs_of([runs / "b.jsonl", other]))
    with pytest.raises(UsageError, match="standard input has no name"):
        outputs_in(tmp_path / "out", inputs_of("-"))
