"""A file is replaced whole, or stays as it was."""

import errno
import os
import stat
from pathlib import Path

import pytest

from ct_guard.files.replacing import remove_leftovers, replacing


def test_the_old_content_stays_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("old")
    with replacing(path) as building:
        building.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_whatever_ends_the_block_early_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as building:
            building.write_text("half of the n")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_names_the_file_and_no_temporary_one(tmp_path: Path) -> None:
    def full() -> None:
        with replacing(tmp_path / "rows.jsonl") as building:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(building))

    with pytest.raises(OSError, match="No space left") as caught:
        full()
    assert caught.value.filename == str(tmp_path / "rows.jsonl")


def test_a_block_that_writes_nothing_is_an_error_and_removes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    with replacing(tmp_path / "replaced") as building:
        building.write_text("x")
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "replaced")}
    assert len(modes) == 1


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    left = tmp_path / f".rows.jsonl.{2**22 + 1}-5.tmp"  # above the largest number of a process
    mine = tmp_path / f".rows.jsonl.{os.getpid()}-0.tmp"
    others = tmp_path / f".rows.jsonl.{os.getppid()}-5.tmp"
    another = tmp_path / f".more.jsonl.{2**22 + 1}-5.tmp"
    for one in (left, mine, others, another):
        one.write_text("half")
    with replacing(path) as building:
        building.write_text("new")
        remove_leftovers(path)  # as another thread does that begins to write
        assert building.exists()
    assert set(tmp_path.iterdir()) == {path, others, another}


def test_the_new_file_is_announced_before_it_takes_the_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    told: list[os.stat_result] = []

    def announce(found: os.stat_result) -> None:
        assert not path.exists()
        told.append(found)

    with replacing(path, announce) as building:
        building.write_text("new")
    assert [(one.st_size, one.st_mtime_ns) for one in told] == [
        (path.stat().st_size, path.stat().st_mtime_ns)
    ]
