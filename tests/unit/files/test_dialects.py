"""Files as spreadsheets and other programs save them: read, or refused once and by name."""

import codecs
import json
import os
import re
from pathlib import Path

import pytest

from ct_guard.errors import InputError
from ct_guard.files import count_rows, delimited, jsonl, open_rows, paths, rows

TABLE = "question,answer\nWhat is 6 plus 7?,13\n"
LINE = '{"question": "What is 6 plus 7?", "answer": "13"}\n'
ROW = {"question": "What is 6 plus 7?", "answer": "13"}


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", TABLE.replace(",", ";"), "separated by semicolons"),
        ("t.csv", '"question";"answer"\n"6 plus 7,5?";"13,5"\n', "separated by semicolons"),
        ("t.csv", TABLE.replace(",", "\t"), "separated by tabs"),
        ("t.csv", "\ufeff" + TABLE.replace(",", ";"), "separated by semicolons"),
        ("t.csv", "sep=;\n" + TABLE.replace(",", ";"), "line 'sep=;' of a spreadsheet: remove it"),
        ("t.csv", "\ufeffsep=,\r\n" + TABLE, "line 'sep=,' of a spreadsheet: remove it"),
        ("t.csv", codecs.BOM_UTF16_LE + TABLE.encode("utf-16-le"), "UTF-16 .* save it as UTF-8"),
        ("t.csv", codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"), "UTF-16 .* save it as UTF-8"),
        ("t.csv", TABLE.encode("utf-16-le"), "UTF-16 .* save it as UTF-8"),
        ("t.csv", TABLE.replace("\n", "\r"), "line ends are CR"),
        ("t.jsonl", LINE.encode("utf-16"), "UTF-16 .* save it as UTF-8"),
        ("t.jsonl", LINE.encode("utf-16-be"), "UTF-16 .* save it as UTF-8"),
        ("t.jsonl", LINE.replace("\n", "\r") * 2, "line ends are CR"),
        ("t.jsonl", json.dumps([ROW, ROW], indent=1), "one JSON document, not JSON Lines"),
        ("t.jsonl", json.dumps([ROW, ROW]), "one JSON document, not JSON Lines"),
        ("t.jsonl", json.dumps(ROW, indent=2), "one JSON document, not JSON Lines"),
        ("t.csv", LINE, "is JSON, not CSV: give it a name that ends in .jsonl"),
        ("t.csv", json.dumps([ROW, ROW]), "is JSON, not CSV"),
        ("t.csv", b"PAR1" + bytes(40), "is a Parquet file: give it a name"),
        ("t.jsonl", b"PAR1" + bytes(40), "is a Parquet file: give it a name"),
        ("t.csv", b"PK\x03\x04" + bytes(40), "is a zip file, .* export it as CSV or JSON Lines"),
        ("t.csv", b"\xd0\xcf\x11\xe0" + bytes(40), "is a spreadsheet: save it as CSV"),
        ("t.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("t.csv", "\n<!DOCTYPE html>\n<html>\n", "page of HTML: download the file itself"),
        ("t.csv", TABLE.replace(",", ", "), "column ' answer' would not be read: take away the"),
        ("t.csv", "question,answer,context \nq,a,c\n", "column 'context ' would not be read"),
        ("t.eval", b"PK\x03\x04", "unknown format '.eval'; .* inspect log convert --to json"),
        ("t.xlsx", b"PK\x03\x04", "unknown format '.xlsx'; .*: save it as CSV with commas"),
        (
            "t.tsv",
            TABLE.replace(",", "\t"),
            "unknown format '.tsv'; .*: save it as CSV with commas",
        ),
    ],
)
def test_another_kind_of_file_is_refused_before_its_first_row(
    name: str, content: bytes | str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"{name}: .*{said}") as caught:
        open_rows(written(tmp_path, name, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "question,answer,,\nWhat is 6 plus 7?,13,,\n",
        "question,answer,,\nWhat is 6 plus 7?,13\n",
        "question,answer\nWhat is 6 plus 7?,13,,,\n",
        "question,answer\n,\nWhat is 6 plus 7?,13\n,\n , \n",
        "\ufeffquestion,answer\r\nWhat is 6 plus 7?,13\r\n,\r\n",
    ],
)
def test_empty_cells_that_a_spreadsheet_leaves_are_no_data(content: str, tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", content)
    assert [(row.error, row.fields) for row in open_rows(path)] == [(None, ROW)]
    assert count_rows(path) == 1


def test_a_value_without_a_column_is_an_error_of_its_row(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "question,answer,,\nq,a,,x\nq,a,,\n")
    bad, good = open_rows(path)
    assert bad.error == f"{path}, line 2: has 4 cells, the header has 2"
    assert good.error is None


def test_a_decimal_comma_is_data(tmp_path: Path) -> None:
    [row] = open_rows(written(tmp_path, "t.csv", 'question,answer\nHalf of 3?,"1,5"\n'))
    assert row.fields["answer"] == "1,5"


def test_a_byte_order_mark_on_every_line_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, "t.jsonl", ("\ufeff" + LINE) * 2)
    assert [row.fields for row in open_rows(path)] == [ROW, ROW]


def test_nan_is_null_and_infinity_text_in_columns_that_nobody_reads(tmp_path: Path) -> None:
    lines = [
        '{"answer": "a", "took": NaN, "more": [1e400, {"deep": NaN}], "n": 0.5}',
        '{"answer": NaN, "correct": NaN, "total": -Infinity}',
    ]
    first, second = open_rows(written(tmp_path, "t.jsonl", "\n".join(lines)))
    assert (first.error, second.error) == (None, None)
    assert first.fields == {"answer": "a", "took": None, "more": ["inf", {"deep": None}], "n": 0.5}
    assert second.fields == {"answer": None, "correct": None, "total": "-inf"}


@pytest.fixture
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes of a row, fewer than elsewhere."""
    size: int = request.param
    for module in (paths, rows, delimited):
        monkeypatch.setattr(module, "ROW_LIMIT", size)
    return size


@pytest.mark.parametrize("limit", [1 << 20], indirect=True)
@pytest.mark.parametrize("block", [b"x", b"[],", b'"'])
def test_an_endless_line_of_json_is_one_bad_row(block: bytes, limit: int, tmp_path: Path) -> None:
    endless = b'{"question": "q", "answer": "' + block * (3 * limit)
    path = written(tmp_path, "t.jsonl", LINE.encode() + endless + b"\n" + LINE.encode())
    first, bad, last = open_rows(path)
    assert first.fields == last.fields == ROW
    assert (bad.number, last.number) == (2, 3)
    assert bad.error is not None
    assert bad.error.startswith(f"{path}, line 2: is longer than 1 MiB")
    assert bad.fields["raw"].startswith('{"question": "q"')
    assert len(bad.fields["raw"]) == 1000


@pytest.mark.parametrize("limit", [1 << 14], indirect=True)
@pytest.mark.parametrize(("begins", "block"), [(b"q,", b"x"), (b'q,"', b"x\n"), (b"q", b",")])
def test_an_endless_record_of_csv_is_one_bad_row(
    begins: bytes, block: bytes, limit: int, tmp_path: Path
) -> None:
    endless = begins + block * (3 * limit)
    path = written(tmp_path, "t.csv", TABLE.encode() + endless + b"\nlast,row\n")
    read = list(open_rows(path))
    assert read[0].fields == ROW
    assert read[1].error is not None
    assert f"{path}, line 3: is not CSV: " in read[1].error
    assert len(read[1].fields["raw"]) <= 1000
    assert read[-1].fields == {"question": "last", "answer": "row"}


def test_a_line_for_a_terminal_is_the_same_json_and_shows_everything() -> None:
    value = {"answer": "a\x9b31m \u202eb\x7f é \u2028", "raw": "\x1b[2J"}
    line = jsonl.encode_line(value).decode()
    assert json.loads(line) == value
    assert "é" in line
    assert line[:-1].isprintable()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.jsonl", LINE.rstrip() * 2 + "\n", "write one object a line, and nothing behind it"),
        ("t.jsonl", LINE.rstrip() + ",\n" + LINE, "write one object a line, and nothing behind it"),
        (
            "t.jsonl",
            LINE.replace("is", "\xfc").encode("latin-1"),
            "UTF-8 text .*: save it as UTF-8",
        ),
        ("t.csv", TABLE.replace("is", "\xfc").encode("latin-1"), "UTF-8 text: save it as UTF-8"),
        ("t.csv", "question,answer\r\nq,a\rr,b\r\n", "a line end CR stands in it"),
    ],
)
def test_a_row_that_cannot_be_read_names_the_way_out(
    name: str, content: bytes | str, said: str, tmp_path: Path
) -> None:
    first = next(iter(open_rows(written(tmp_path, name, content))))
    assert first.error is not None
    assert re.search(said, first.error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_before_anything_is_taken_out_of_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.jsonl")
    with pytest.raises(InputError, match=r"t.jsonl: is a pipe, .* give it on standard input"):
        open_rows(tmp_path / "t.jsonl")
