"""Outputs: every input column, then the results; whole or not at all."""

import csv
import io
import json
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.errors import InputError, OutputExistsError, UsageError
from ct_guard.files import Row, check_output, open_rows, open_writer

RESULTS = {"p": float, "status": str}
SCORED = {"p": 0.25, "status": "ok"}


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def score(source: Path, output: Path, **options: Any) -> list[dict[str, Any]]:
    with open_writer(output, RESULTS, source=source, **options) as writer:
        for row in open_rows(source):
            writer.write(row, SCORED)
    return [row.fields for row in open_rows(output)]


def test_every_input_column_is_kept_before_the_results(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"z": [1, None], "answer": "é", "a": 1.5}])
    [fields] = score(source, tmp_path / "out.jsonl")
    assert list(fields.items()) == [
        ("z", [1, None]), ("answer", "é"), ("a", 1.5), ("p", 0.25), ("status", "ok"),
    ]  # fmt: skip
    assert "é" in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_an_input_column_with_the_name_of_a_result_is_kept_renamed(
    tmp_path: Path, suffix: str
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("question,answer,p,input_p\nq,a,mine,also mine\n")
    [fields] = score(source, tmp_path / f"out.{suffix}")
    assert list(fields)[:4] == ["question", "answer", "input_input_p", "input_p"]
    assert (fields["input_input_p"], fields["input_p"]) == ("mine", "also mine")
    assert float(fields["p"]) == 0.25


def test_renaming_in_jsonl_goes_row_by_row(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"p": 1}, {"q": 2}])
    first, second = score(source, tmp_path / "out.jsonl")
    assert list(first) == ["input_p", "p", "status"]
    assert list(second) == ["q", "p", "status"]


@given(st.text(), st.text())
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_any_text_comes_through_every_format(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, question: str, answer: str
) -> None:
    folder = tmp_path_factory.mktemp("text")
    source = write_jsonl(folder / "in.jsonl", [{"question": question, "answer": answer}])
    middle = folder / f"middle.{suffix}"
    score(source, middle)
    for end in ("jsonl", "csv", "parquet"):
        [fields] = score(middle, folder / f"end.{end}")
        assert (fields["question"], fields["answer"]) == (question, answer)


def test_nested_values_and_rows_of_different_columns_in_csv(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "q", "answer": "a", "tags": ["é"], "n": 1},
        {"question": "q", "answer": None, "flag": True},
    ]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    first, second = score(source, tmp_path / "out.csv")
    assert list(first) == ["question", "answer", "tags", "n", "flag", "p", "status"]
    assert list(first.values()) == ["q", "a", '["é"]', "1", "", "0.25", "ok"]
    assert list(second.values()) == ["q", "", "", "", "true", "0.25", "ok"]


def test_csv_values_stay_the_strings_they_were(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("question,answer,id,n\nq,007,00012,1.50\n")
    [fields] = score(source, tmp_path / "out.jsonl")
    assert (fields["answer"], fields["id"], fields["n"]) == ("007", "00012", "1.50")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_rows_that_cannot_be_read_keep_their_text_and_their_place(
    tmp_path: Path, suffix: str
) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b"question,answer\nq1,a1\nq2,a2,more \xff\nq3,a3\n")
    rows = score(source, tmp_path / f"out.{suffix}")
    assert [row.get("question") or None for row in rows] == ["q1", None, "q3"]
    assert rows[1]["raw"] == "q2,a2,more \\xff"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_lone_surrogate_crashes_nothing(tmp_path: Path, suffix: str) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"question": "é", "answer": "cut \ud83d"}])
    [fields] = score(source, tmp_path / f"out.{suffix}")
    assert fields["question"] == "é"
    assert fields["answer"] == ("cut \ud83d" if suffix == "jsonl" else "cut \\ud83d")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_without_rows_the_columns_are_still_written(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "in.csv"
    source.write_text("question,answer,extra\n")
    output = tmp_path / f"out.{suffix}"
    score(source, output)
    if suffix == "csv":
        assert output.read_text() == "question,answer,extra,p,status\n"
    else:
        import pyarrow.parquet as pq

        assert pq.read_schema(output).names == ["question", "answer", "extra", "p", "status"]


def test_csv_output_is_read_by_the_standard_library(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"question": 'a "b", c', "answer": "1\r\n2\r3"}])
    score(source, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as stream:
        assert next(csv.DictReader(stream))["answer"] == "1\r\n2\r3"


def test_standard_output_is_jsonl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stdout)
    with open_writer("-", RESULTS, source="-") as writer:
        writer.write(Row(1, {"answer": "a"}), SCORED)
    written = stdout.buffer.getvalue()
    assert json.loads(written) == {"answer": "a", "p": 0.25, "status": "ok"}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_an_exception_leaves_neither_output_nor_temporary(tmp_path: Path, suffix: str) -> None:
    def interrupted() -> None:
        with open_writer(tmp_path / f"out.{suffix}", RESULTS, source="-") as writer:
            writer.write(Row(1, {"answer": "a"}), SCORED)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_the_output_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with open_writer(output, RESULTS, source="-") as writer:
        writer.write(Row(1, {}), SCORED)
        assert not output.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_an_existing_output_is_replaced_only_on_request(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"answer": "a"}])
    output = write_jsonl(tmp_path / "out.jsonl", [{"old": 1}])
    with pytest.raises(OutputExistsError, match="`overwrite`"):
        score(source, output)
    assert json.loads(output.read_text()) == {"old": 1}
    assert score(source, output, overwrite=True) == [{"answer": "a", **SCORED}]


def test_the_input_is_never_overwritten_under_any_name(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"answer": "a"}])
    (tmp_path / "link.jsonl").symlink_to(source)
    for name in ("in.jsonl", "link.jsonl"):
        with pytest.raises(InputError, match="is the input itself"):
            check_output(tmp_path / name, source=source, overwrite=True)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none/out.jsonl", "does not exist; create it"),
        ("out.txt", "unknown format '.txt'"),
        ("folder.csv", "is a folder"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused(
    tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=problem):
        check_output(tmp_path / name, source="-")


def test_missing_results_are_null_and_undeclared_or_non_finite_ones_are_errors(
    tmp_path: Path,
) -> None:
    output = tmp_path / "out.jsonl"
    with open_writer(output, RESULTS, source="-") as writer:
        writer.write(Row(1, {}), {"status": "invalid"})
        with pytest.raises(UsageError, match="'logit'"):
            writer.write(Row(2, {}), {"logit": 1.0})
        with pytest.raises(ValueError, match="JSON compliant"):
            writer.write(Row(2, {}), {"p": float("nan")})
    assert json.loads(output.read_text()) == {"p": None, "status": "invalid"}


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_many_rows_at_once_are_written_as_one_by_one(tmp_path: Path, suffix: str) -> None:
    rows = [Row(1, {"answer": "é"}), Row(2, {"p": 1, "other": [None]}), Row(3, {})]
    results: list[dict[str, Any]] = [SCORED, {"status": "empty"}, {"status": "ok", "p": 0.5}]
    one, all_at_once = tmp_path / f"one.{suffix}", tmp_path / f"all.{suffix}"
    with open_writer(one, RESULTS, source="-") as writer:
        for row, result in zip(rows, results, strict=True):
            writer.write(row, result)
    with open_writer(all_at_once, RESULTS, source="-") as writer:
        writer.write_all(rows, results)
    assert all_at_once.read_bytes() == one.read_bytes()
    with (
        pytest.raises(ValueError, match="zip"),
        open_writer(tmp_path / "short.jsonl", RESULTS, source="-") as writer,
    ):
        writer.write_all(rows, results[:2])


def test_a_result_of_unknown_type_is_refused_before_any_work(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="'when'"),
        open_writer(tmp_path / "out.csv", {"when": list}, source="-"),
    ):
        pass


def peak_of_scoring(folder: Path, rows: int, suffix: str) -> int:
    source = folder / f"in{rows}.csv"
    with source.open("w") as stream:
        stream.write("question,answer\n")
        stream.writelines(f"question {n},{'answer ' * 20}\n" for n in range(rows))
    tracemalloc.start()
    with open_writer(folder / f"out{rows}.{suffix}", RESULTS, source=source) as writer:
        for row in open_rows(source):
            writer.write(row, SCORED)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    small = peak_of_scoring(tmp_path, 1_000, suffix)
    assert peak_of_scoring(tmp_path, 20_000, suffix) < 1.5 * small + 100_000
