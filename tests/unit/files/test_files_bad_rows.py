"""A row that cannot be read says so, in its own place, and no other row notices."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ct_guard.errors import InputError
from ct_guard.files import Rejected, count_rows, delimited, open_rows, question_answer

GOOD = b'{"question": "q", "answer": "a"}'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param(b"{oops", "is not JSON", id="not JSON"),
        pytest.param(b"[1, 2]", "not an object", id="not an object"),
        pytest.param(b'"text"', "not an object", id="a string"),
        pytest.param(b'{"answer": -Infinity}', "'answer' is a number out of range", id="Infinity"),
        pytest.param(b'{"answer": 1e999}', "out of range", id="number too large for a float"),
        pytest.param(b'{"answer": ' + b"9" * 5000 + b"}", "is not JSON", id="endless integer"),
        pytest.param(b'{"answer": "a\x00b"}', "is not JSON", id="NUL byte"),
        pytest.param(b"[" * 200_000, "is not JSON", id="nested too deeply"),
        pytest.param(
            b'{"a": [' + b"[], " * 1_000_000 + b"1]}",
            "holds more than 1,000,000 lists and objects",
            id="a million lists",
        ),
        pytest.param(
            b'{"a": NaN, "b": ' + b"[" * 900 + b"]" * 900 + b"}",
            "is nested more than 100 deep",
            id="deep, beside a number that JSON does not know",
        ),
        *(
            pytest.param(line, "'answer' stands twice in one object", id=f"a name twice: {what}")
            for what, line in {
                "texts": b'{"answer": "12", "answer": "13"}',
                "numbers": b'{"answer" : 1, "answer" : 2}',
                "an escape": b'{"answer": "12", "ans\\u0077er": "13"}',
                "texts that end in a backslash": b'{"answer": "\\\\", "answer": "a\\\\"}',
                "texts with quotes": b'{"answer": "\\"", "answer": "\\"a\\""}',
                "within": b'{"a": [{"answer": 1, "answer": {}}]}',
            }.items()
        ),
        pytest.param(b'{"answer": "\xff\xfe"}', "is not UTF-8", id="invalid UTF-8"),
    ],
)
def test_a_bad_jsonl_line_is_kept_raw_and_named(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(GOOD + b"\n" + line + b"\n" + GOOD + b"\n")

    first, bad, last = open_rows(path)

    assert (first.error, last.error) == (None, None)
    assert (first.number, bad.number, last.number) == (1, 2, 3)
    assert bad.error is not None
    assert f"{path}, line 2: " in bad.error
    assert problem in bad.error
    assert bad.fields == {"raw": line.decode("utf-8", "backslashreplace")}
    assert question_answer(bad) == Rejected("invalid", bad.error)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param(b"q", "has 1 cells, the header has 2", id="too few cells"),
        pytest.param(b"q,a,x", "has 3 cells, the header has 2", id="too many cells"),
        pytest.param(b'"q"x,a', "is not CSV", id="text after a closing quote"),
        pytest.param(b'q,"never closed', "unbalanced quote", id="quote that is never closed"),
    ],
)
def test_a_bad_csv_record_is_kept_raw_and_named(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"question,answer\nq1,a1\n" + line + b"\nq3,a3\n")

    first, bad, last = open_rows(path)

    assert (first.fields, last.fields) == (
        {"question": "q1", "answer": "a1"},
        {"question": "q3", "answer": "a3"},
    )
    assert (first.number, bad.number, last.number) == (2, 3, 4)
    assert bad.error is not None
    assert f"{path}, line 3: " in bad.error
    assert problem in bad.error
    assert bad.fields == {"raw": line.decode()}


def test_invalid_utf8_in_csv_names_the_field_and_keeps_the_other_cells(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"question,answer\nq,caf\xe9\nq2,caf\xc3\xa9\n")

    bad, good = open_rows(path)

    assert bad.error == f"{path}, line 2: field 'answer' is not UTF-8 text: save it as UTF-8"
    assert bad.fields == {"question": "q", "answer": "caf\\xe9"}
    assert good.fields["answer"] == "café"


def test_nul_bytes_in_csv_are_text(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"question,answer\nq,a\x00b\n")
    [row] = open_rows(path)
    assert (row.error, row.fields["answer"]) == (None, "a\0b")


def test_a_cell_above_the_limit_is_a_bad_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "CELL_LIMIT", 100)
    before = csv.field_size_limit(100)
    path = tmp_path / "in.csv"
    path.write_text(f"question,answer\nq,{'x' * 101}\nq,short\n")
    try:
        bad, good = open_rows(path)
    finally:
        csv.field_size_limit(before)
    assert bad.error is not None
    assert f"{path}, line 2: is not CSV: field larger than field limit" in bad.error
    assert good.error is None


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_cell_of_two_megabytes_is_read(tmp_path: Path, suffix: str) -> None:
    long = "é" * 2_000_000
    path = tmp_path / f"in.{suffix}"
    lines = {
        "jsonl": json.dumps({"question": "q", "answer": long}),
        "csv": f"question,answer\nq,{long}",
    }
    path.write_text(lines[suffix], encoding="utf-8")
    [row] = open_rows(path)
    assert row.fields["answer"] == long


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", b'\xef\xbb\xbf{"question":"q","answer":"1"}\r\n\r\n  \r\n'
                     b'{"question":"q","answer":"2"}'),
        ("in.csv", b"\xef\xbb\xbfquestion,answer\r\n\r\nq,1\r\n\r\nq,2"),
    ],
)  # fmt: skip
def test_bom_crlf_blank_lines_and_a_missing_last_newline_are_no_trouble(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    rows = list(open_rows(path))
    assert [row.fields for row in rows] == [
        {"question": "q", "answer": "1"},
        {"question": "q", "answer": "2"},
    ]
    assert [row.number for row in rows] == ([1, 4] if name == "in.jsonl" else [3, 5])


def test_csv_numbers_are_the_lines_where_records_start(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('question,answer\nq,"two\nlines"\nq,last\n')
    assert [row.number for row in open_rows(path)] == [2, 4]
    assert count_rows(path) == 2


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert list(open_rows(path)) == []
    assert count_rows(path) == 0


def test_jsonl_is_counted_by_lines(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(GOOD + b"\n" + GOOD)
    assert count_rows(path) == 2


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("question,reply", ["'question', 'reply'", "'answer'"]),
        ("answer", ["'answer'", "'question' (or 'messages')"]),
        ("question,answer,answer", ["column 'answer'", "more than once"]),
        ('question,"answer', ["line 1", "header is not CSV"]),
    ],
)
def test_csv_without_usable_columns_is_refused_at_once(
    tmp_path: Path, header: str, named: list[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"{header}\n1,2,3\n")
    with pytest.raises(InputError) as caught:
        open_rows(path)
    assert all(part in str(caught.value) for part in [str(path), *named])
    assert "\n" not in str(caught.value)


def test_messages_stand_in_for_the_question_column(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("messages,answer\n")
    assert list(open_rows(path)) == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("none.jsonl", "no such file"),
        ("folder.csv", "is a folder"),
        ("data.xlsx", "use .jsonl, .ndjson, .csv, .parquet"),
        ("torn.parquet", "write it again"),
        ("empty.parquet", "write it again"),
    ],
)
def test_unusable_files_are_refused_in_one_line_that_says_what_to_do(
    tmp_path: Path, name: str, advice: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "data.xlsx").touch()
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(InputError, match=advice) as caught:
        open_rows(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)  # root may open everything
    with pytest.raises(InputError, match="check its permissions"):
        open_rows(tmp_path / "in.jsonl")


def test_standard_input_is_jsonl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD + b"\noops\n")))
    good, bad = open_rows("-")
    assert good.fields == {"question": "q", "answer": "a"}
    assert bad.error is not None
    assert "stdin, line 2" in bad.error
    assert count_rows("-") is None


@given(st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"{", b"a", b"1"])))
@pytest.mark.parametrize("name", ["in.jsonl", "in.csv"])
def test_no_bytes_stop_the_run_or_spoil_the_next_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, noise: list[bytes]
) -> None:
    head, last = {
        "in.jsonl": (b"", GOOD),
        "in.csv": (b"question,answer\n", b"q,a"),
    }[name]
    assume(
        noise.count(b"\0") < 4
    )  # with more of them it may look like UTF-16, and is refused whole
    path = tmp_path_factory.mktemp("noise") / name
    path.write_bytes(head + b"".join(noise) + b"\n" + last)
    rows = list(open_rows(path))
    assert [row.number for row in rows] == sorted({row.number for row in rows})
    assert rows[-1].fields == {"question": "q", "answer": "a"}
