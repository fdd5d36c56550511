"""Packed files: read and written by name, within bounds, and refused by name where damaged."""

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from ct_guard.errors import InputError
from ct_guard.files import compression, count_rows, open_rows, open_writer
from ct_guard.files.compression import unpacked_name, unpacking
from ct_guard.files.paths import suffix_of

LINES = b'{"question": "What is 6 plus 7?", "answer": "13"}\n' * 3
TABLE = b"question,answer\nWhat is 6 plus 7?,13\n"
ROW = {"question": "What is 6 plus 7?", "answer": "13"}
PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}


def packed(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(PACK[path.suffix](content))
    return path


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize(("kind", "content", "rows"), [("jsonl", LINES, 3), ("csv", TABLE, 1)])
def test_packed_rows_are_read_as_plain_ones(
    suffix: str, kind: str, content: bytes, rows: int, tmp_path: Path
) -> None:
    path = packed(tmp_path, f"answers.{kind}{suffix}", content)
    read = list(open_rows(path))
    assert [row.fields for row in read] == [ROW] * rows
    assert read[0].where.startswith(f"{path}, line ")
    assert count_rows(path) == rows


@pytest.mark.parametrize("suffix", PACK)
def test_several_members_are_one_file_and_zeros_behind_them_are_nothing(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"answers.jsonl{suffix}"
    members = [PACK[suffix](LINES + os.urandom(n).hex().encode() + b"\n") for n in range(400)]
    path.write_bytes(b"".join(members) + bytes(5000 if suffix == ".gz" else 0))
    assert sum(row.error is None for row in open_rows(path)) == 1200


@pytest.mark.parametrize("kind", [0x50, 0x5F])
@pytest.mark.parametrize("before", [b"", zstandard.compress(LINES)])
def test_frames_that_zstandard_skips_hold_no_rows(kind: int, before: bytes, tmp_path: Path) -> None:
    skipped = bytes([kind]) + b"\x2a\x4d\x18" + (5000).to_bytes(4, "little") + os.urandom(5000)
    path = tmp_path / "answers.jsonl.zst"
    path.write_bytes(before + skipped + zstandard.compress(LINES))
    assert count_rows(path) == (6 if before else 3)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("suffix", PACK)
def test_an_output_is_packed_as_its_name_says(kind: str, suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "answers.jsonl"
    source.write_bytes(LINES)
    path, again = (tmp_path / f"{name}.{kind}{suffix}" for name in ("scored", "again"))
    for output in (path, again):
        with open_writer(output, {"p": float}, source=source) as writer:
            for row in open_rows(source):
                writer.write(row, {"p": 0.5})
    assert path.read_bytes() == again.read_bytes()
    assert path.read_bytes()[:2] in (b"\x1f\x8b", b"\x28\xb5")
    assert [float(row.fields["p"]) for row in open_rows(path)] == [0.5] * 3


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-9], "is cut short"),
        (lambda data: data[: len(data) // 2], "is cut short"),
        (lambda data: data[:40] + b"\xff" * 20 + data[60:], "data are damaged"),
        (lambda data: LINES, "is no (gzip|Zstandard) file"),
        (lambda data: b"", "is no (gzip|Zstandard) file"),
        (lambda data: data + b"more", "data are damaged"),
    ],
    ids=["trailer", "half", "bytes", "plain", "empty", "behind"],
)
def test_damaged_files_are_refused_in_one_line(
    suffix: str, damage: "object", said: str, tmp_path: Path
) -> None:
    assert callable(damage)
    noise = b"".join(LINES[:-2] + b', "n": "%s"}\n' % os.urandom(99).hex().encode() for _ in "1234")
    path = tmp_path / f"answers.jsonl{suffix}"
    path.write_bytes(damage(PACK[suffix](noise)))
    with pytest.raises(InputError, match=f"{path.name}: .*{said}") as caught:
        list(open_rows(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", PACK)
def test_a_bomb_is_refused_at_the_bound_and_not_at_its_end(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "FREE", 1 << 16)
    packed = PACK[suffix](bytes(1 << 26))
    stream = unpacking(io.BytesIO(packed), f"bomb.jsonl{suffix}")
    given = 0
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):  # noqa: PT012
        while block := stream.read(1 << 14):
            given += len(block)
    assert given <= 1 << 22


def test_a_packed_file_by_another_name_is_told_its_own(tmp_path: Path) -> None:
    for suffix, pack in PACK.items():
        path = tmp_path / "answers.jsonl"
        path.write_bytes(pack(LINES))
        with pytest.raises(InputError, match=f"give it a name that ends in {suffix}"):
            open_rows(path)


def test_packed_parquet_and_unknown_formats_are_refused(tmp_path: Path) -> None:
    for name, said in (("a.parquet.gz", "packed within"), ("a.txt.gz", "unknown format '.txt'")):
        with pytest.raises(InputError, match=said):
            open_rows(packed(tmp_path, name, LINES))


@pytest.mark.parametrize(
    ("path", "unpacked", "suffix"),
    [
        ("a.csv.gz", "a.csv", ".csv.gz"),
        ("a.b/c.jsonl.ZST", "a.b/c.jsonl", ".jsonl.ZST"),
        ("a.csv", "a.csv", ".csv"),
    ],
)
def test_names(path: str, unpacked: str, suffix: str) -> None:
    assert unpacked_name(path) == Path(unpacked)
    assert suffix_of(path) == suffix
