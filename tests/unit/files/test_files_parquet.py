"""Parquet: read as JSON values, written back exactly."""

import datetime
import itertools
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard.errors import InputError, MissingExtraError
from ct_guard.files import (
    count_rows,
    open_rows,
    open_writer,
    parquet,
    parquet_limits,
    question_answer,
)
from ct_guard.records import QuestionAnswer

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RESULTS = {"p": float, "status": str, "calibrated": bool, "n": int}
SCORED = {"p": 0.1, "status": "ok", "calibrated": True, "n": 3}


def rich_table() -> Any:
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    return pa.table(
        {
            "question": pa.array(["q1", "q2"], pa.large_string()),
            "answer": pa.array(["a1", None]).dictionary_encode(),
            "messages": pa.array([[], [{"role": "user", "content": "hi"}]], pa.list_(message)),
            "day": pa.array([datetime.date(2024, 1, 2), None]),
            "far": pa.array([0, 10_000_000], pa.int32()).cast(pa.date32()),
            "at": pa.array([1, 2], pa.timestamp("ns", tz="UTC")),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
            "blob": pa.array([b"\x00\xff", b""]),
            "score": pa.array([float("nan"), float("inf")]),
            "vector": pa.array([[1.0, float("nan")], None], pa.list_(pa.float32())),
            "p": pa.array([7, 8], pa.int16()),
        },
    ).replace_schema_metadata({"origin": "spec"})


def write(path: Path, table: Any, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


def score(source: Path, output: Path, skip: int | None = None) -> None:
    with open_writer(output, RESULTS, source=source) as writer:
        for row in open_rows(source):
            if row.number != skip:
                writer.write(row, SCORED | {"n": row.number})


def test_values_that_json_does_not_know_become_plain(tmp_path: Path) -> None:
    first, second = open_rows(write(tmp_path / "in.parquet", rich_table()))
    assert (first.error, second.error) == (None, None)
    assert (first.number, second.number) == (1, 2)
    assert first.fields == {
        "question": "q1", "answer": "a1", "messages": [], "day": "2024-01-02",
        "far": "1970-01-01", "at": "1970-01-01 00:00:00.000000001Z", "price": "1.50",
        "blob": "AP8=", "score": None, "vector": [1.0, None], "p": 7,
    }  # fmt: skip
    assert second.fields["far"].startswith("29349-")
    assert second.fields["score"] == "inf"


def test_messages_may_be_lists_of_structs(tmp_path: Path) -> None:
    _, second = open_rows(write(tmp_path / "in.parquet", rich_table()))
    qa = question_answer(second)
    assert isinstance(qa, QuestionAnswer)
    assert (qa.messages[0].content, qa.answer) == ("hi", "")


def test_from_parquet_to_parquet_types_and_values_stay_exactly(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", rich_table())
    score(source, tmp_path / "out.parquet")

    before, after = pq.read_table(source), pq.read_table(tmp_path / "out.parquet")
    kept = after.select(range(before.num_columns))
    assert kept.column_names[-1] == "input_p"
    kept = kept.rename_columns(before.column_names)
    assert kept.schema.equals(before.schema)
    assert after.schema.metadata == before.schema.metadata
    same = [name for name in before.column_names if name not in ("score", "vector")]  # NaN != NaN
    assert kept.select(same).equals(before.select(same))
    assert str(kept["vector"].to_pylist()) == str(before["vector"].to_pylist())


def test_results_have_their_declared_types(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", pa.table({"question": ["q"], "answer": ["a"]}))
    score(source, tmp_path / "out.parquet")
    schema = pq.read_schema(tmp_path / "out.parquet")
    types = [pa.float64(), pa.string(), pa.bool_(), pa.int64()]
    assert [schema.field(name).type for name in RESULTS] == types


def test_rows_stay_with_their_results_across_batches_and_row_groups(tmp_path: Path) -> None:
    numbers = list(range(1, 1_001))
    table = pa.table({"question": ["q"] * 1_000, "answer": list(map(str, numbers))})
    source = write(tmp_path / "in.parquet", table, row_group_size=300)
    score(source, tmp_path / "out.parquet", skip=500)
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert len(rows) == 999
    assert all(row["answer"] == str(row["n"]) for row in rows)
    assert count_rows(source) == 1_000


@pytest.mark.parametrize("repeats", [{1: 2}, {1: 2, 3: 0}, {1: 3, 2: 0, 3: 0}, {3: 300}])
def test_a_row_may_have_several_results(repeats: dict[int, int], tmp_path: Path) -> None:
    table = pa.table({"question": ["q"] * 3, "answer": ["a", "b", "c"]})
    source = write(tmp_path / "in.parquet", table)
    output = tmp_path / "out.parquet"
    with open_writer(output, {"n": int}, source=source) as writer:
        for row in open_rows(source):
            for _ in range(repeats.get(row.number, 1)):
                writer.write(row, {"n": row.number})
    rows = pq.read_table(output).to_pylist()
    expected = [n for n in (1, 2, 3) for _ in range(repeats.get(n, 1))]
    assert [(row["answer"], row["n"]) for row in rows] == [("abc"[n - 1], n) for n in expected]


def test_row_groups_are_cut_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 10_000)
    table = pa.table({"question": ["q"] * 1_000, "answer": ["x" * 100] * 1_000})
    source = write(tmp_path / "in.parquet", table)
    score(source, tmp_path / "out.parquet")
    written = pq.ParquetFile(tmp_path / "out.parquet")
    assert (written.num_row_groups, written.metadata.num_rows) == (8, 1_000)


def test_from_jsonl_input_columns_are_text(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"answer": 1, "tags": ["a"]}\n{"answer": "b", "more": {"x": null}}\n')
    score(source, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.types[:3] == [pa.string()] * 3
    assert table.select(["answer", "tags", "more"]).to_pylist() == [
        {"answer": "1", "tags": '["a"]', "more": None},
        {"answer": "b", "tags": None, "more": '{"x": null}'},
    ]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)])
def test_text_that_is_not_marked_as_text_is_read(kind: Any, tmp_path: Path) -> None:
    table = pa.table({"question": [b"q"], "answer": pa.array(["é".encode()], kind)})
    [row] = open_rows(write(tmp_path / "in.parquet", table))
    assert row.fields == {"question": "q", "answer": "é"}


@pytest.mark.parametrize("kind", ["binary", "string"])
def test_invalid_utf8_names_the_row_and_the_field(tmp_path: Path, kind: str) -> None:
    answers = pa.array([b"good", b"caf\xe9", None], pa.binary())
    if kind == "string":
        answers = pa.StringArray.from_buffers(3, *answers.buffers()[1:], answers.buffers()[0])
    table = pa.table({"question": ["q", "q", "q"], "answer": answers})
    path = write(tmp_path / "in.parquet", table)
    good, bad, absent = open_rows(path)
    assert (good.error, absent.error) == (None, None)
    assert bad.error == f"{path}, row 2: field 'answer' is not UTF-8 text: save it as UTF-8"
    assert bad.fields["answer"] == "caf\\xe9"


def test_columns_that_are_needed_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", pa.table({"prompt": ["q"], "answer": ["a"]}))
    with pytest.raises(InputError, match=r"'question'.*found 'prompt', 'answer'"):
        open_rows(path)


def test_what_a_reader_needs_is_its_own_to_say(tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", pa.table({"prompt": ["q"], "gold": ["a"]}))
    assert len(list(open_rows(path, (("question", "prompt"), ("gold",))))) == 1
    with pytest.raises(InputError, match=r"needs the columns 'question' \(or 'text'\) and 'gold'"):
        open_rows(path, (("question", "text"), ("gold",)))


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", rich_table().slice(0, 0))
    score(source, tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", rich_table())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="no complete Parquet file"):
        open_rows(path)


def test_a_damaged_page_is_an_error_of_the_file(tmp_path: Path) -> None:
    table = pa.table({"question": ["q"] * 100, "answer": [str(n) * 50 for n in range(100)]})
    path = write(tmp_path / "in.parquet", table, compression="gzip")
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    with pytest.raises(InputError, match="no complete Parquet file"):
        list(open_rows(path))


def repeated(length: int) -> Any:
    """A text of so many characters, in every one of 100 rows: in the file it stands once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), ["x" * length])


def one_long(values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(lambda: {"answer": repeated(9_000_000)}, id="one value in every row"),
        pytest.param(lambda: {"x": pa.ListArray.from_arrays(
            pa.array(range(101), pa.int32()), repeated(9_000_000))}, id="in every list"),
        pytest.param(lambda: {"x": one_long(pa.repeat(7, 9_000_000))}, id="one long list"),
        pytest.param(lambda: {"x": pa.StructArray.from_arrays(
            [one_long(pa.repeat("", 9_000_000))], ["y"])}, id="one long list in a record"),
        pytest.param(lambda: {"answer": ["x" * 100_000_000]}, id="one long text"),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_small_file_that_would_fill_the_memory_is_refused(bomb: Any, tmp_path: Path) -> None:
    columns = bomb()
    rows = len(next(iter(columns.values())))
    table = pa.table({"question": ["q"] * rows, "answer": ["a"] * rows} | columns)
    path = write(tmp_path / "in.parquet", table, compression="zstd", store_schema=False)
    del table, columns
    assert path.stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(InputError, match=r"in.parquet: .*so large") as caught:
        list(open_rows(path))
    assert "\n" not in str(caught.value)
    assert pa.total_allocated_bytes() - before < 1 << 28


def among(rows: int, cell: Any) -> Any:
    """A column of empty lists but for one in the second batch."""
    lengths = [0] * rows
    lengths[100] = len(cell)
    offsets = pa.array([0, *itertools.accumulate(lengths)], pa.int32())
    return pa.ListArray.from_arrays(offsets, cell)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may take 1 MiB, a first reading 64."""
    monkeypatch.setattr(parquet_limits, "BATCH_BYTES", 1 << 20)
    monkeypatch.setattr(parquet_limits, "TRIAL_BYTES", 1 << 26)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.slow
def test_one_row_among_many_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """On average the rows are small: the footer tells nothing."""
    rows = 10_000
    cell = pa.array(np.zeros(40_000_000, np.bool_))
    columns = {"question": ["q"] * rows, "answer": ["a"] * rows, "large": among(rows, cell)}
    path = write(tmp_path / "in.parquet", pa.table(columns), compression="zstd")
    del columns, cell
    assert path.stat().st_size < 1_000_000
    before = pa.total_allocated_bytes()
    said = r"in.parquet: a row of 65 to 128 is too large in column 'large.list.element': leave out"
    with pytest.raises(InputError, match=said):
        list(open_rows(path))
    assert pa.total_allocated_bytes() - before < 1 << 20


@pytest.mark.usefixtures("little_memory")
def test_many_rows_that_are_large_together_only_are_read(tmp_path: Path) -> None:
    rows, each = 4_000, 100
    values = pa.array(np.zeros(rows * each, np.float32))
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * each)
    texts = {"question": ["q"] * rows, "answer": ["a"] * rows}
    columns = texts | {"logprobs": pa.ListArray.from_arrays(offsets, values)}
    path = write(tmp_path / "in.parquet", pa.table(columns), row_group_size=rows)
    assert next(iter(open_rows(path))).fields["logprobs"] == [0.0] * each


@pytest.mark.usefixtures("little_memory")
def test_a_large_cell_is_named(tmp_path: Path) -> None:
    large = ["z" * 100] * 20_000
    table = pa.table({"question": ["q"] * 3, "answer": ["a"] * 3, "tags": [["z"], large, ["z"]]})
    path = write(tmp_path / "in.parquet", table)
    said = (
        r"in.parquet: rows 1 to 3 unpack to 2 MiB, more than 256, most of it row 2 in field"
        r" 'tags': leave out what is so large"
    )
    with pytest.raises(InputError, match=said):
        list(open_rows(path))


def test_a_column_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    kind = pa.int64()
    for _ in range(60):
        kind = pa.list_(kind)
    table = pa.table({"question": ["q"], "answer": ["a"], "deep": pa.array([None], kind)})
    path = tmp_path / "in.parquet"
    pq.write_table(table, path, store_schema=False)
    with pytest.raises(InputError, match=r"in.parquet: .*too deeply nested"):
        list(open_rows(path))


def test_a_value_that_every_row_repeats_is_read_as_any_other(tmp_path: Path) -> None:
    table = pa.table({"question": repeated(10), "answer": repeated(1_000)})
    path = write(tmp_path / "in.parquet", table, store_schema=False)
    assert {row.fields["answer"] for row in open_rows(path)} == {"x" * 1_000}


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"reading parquet .*ct-guard\[parquet\]"):
        open_rows(tmp_path / "in.parquet")
    with (
        pytest.raises(MissingExtraError, match="writing parquet"),
        open_writer(tmp_path / "out.parquet", RESULTS, source="-"),
    ):
        pass
