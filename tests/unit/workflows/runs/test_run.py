"""A run over a file: alone at its output, resumed only as the very same, whenever it died."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ct_guard.errors import InputError, OutputExistsError, UsageError
from ct_guard.files import open_rows, open_writer
from ct_guard.workflows.runs.journal import journal_path
from ct_guard.workflows.runs.run import check_run, running

SETTINGS = {"scorer": "abc", "dtype": "float32"}


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text('{"question": "q", "answer": "a"}\n' * 3)
    return path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def run(
    source: Path,
    output: Path,
    *,
    settings: dict[str, Any] = SETTINGS,
    overwrite: bool = False,
    resume: bool = False,
    dies: str = "",
) -> int:
    """Copies the rows; returns how many were in the journal. It may die in the midst of the rows,
    or when the output has its name and the journal is still there."""
    with running(source, output, settings, overwrite=overwrite, resume=resume) as work:
        replayed = len(list(work.replay()))
        with open_writer(
            output, {"n": int}, source=source, overwrite=work.overwrite, announce=work.announce
        ) as writer:
            for row in open_rows(source):
                if row.number > replayed:
                    work.append([{"n": row.number}])
                writer.write(row, {"n": row.number})
                if dies == "in the midst" and row.number == 2:
                    raise Killed
        if dies == "after the output":
            raise Killed
    return replayed


def died(source: Path, output: Path, dies: str, **options: Any) -> None:
    with pytest.raises(Killed):
        run(source, output, dies=dies, **options)


def numbers(output: Path) -> list[int]:
    return [json.loads(line)["n"] for line in output.read_text().splitlines()]


def test_a_run_killed_in_the_midst_goes_on(source: Path, output: Path) -> None:
    died(source, output, "in the midst")
    with pytest.raises(OutputExistsError, match="`resume` goes on"):
        check_run(source, output, overwrite=False, resume=False)
    assert run(source, output, resume=True) == 2
    assert numbers(output) == [1, 2, 3]
    assert set(output.parent.iterdir()) == {source, output}


def test_a_run_killed_between_its_output_and_its_journal_recovers(
    source: Path, output: Path
) -> None:
    died(source, output, "after the output")
    assert output.exists()
    assert journal_path(output).exists()
    check_run(source, output, overwrite=False, resume=True)
    assert run(source, output, resume=True) == 3
    assert numbers(output) == [1, 2, 3]
    assert set(output.parent.iterdir()) == {source, output}


def test_another_file_under_the_name_is_not_replaced_unasked(source: Path, output: Path) -> None:
    died(source, output, "after the output")
    output.write_text("somebody's\n")
    with pytest.raises(OutputExistsError, match="`overwrite`"):
        run(source, output, resume=True)
    assert output.read_text() == "somebody's\n"
    assert run(source, output, resume=True, overwrite=True) == 3


def test_the_input_is_known_by_its_bytes(source: Path, output: Path) -> None:
    died(source, output, "in the midst")
    before = source.stat()
    moved = source.with_name("moved.jsonl")
    moved.write_bytes(source.read_bytes())
    assert run(moved, output, resume=True) == 2
    output.unlink()
    died(source, output, "in the midst")
    source.write_text(source.read_text().replace("q", "r"))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.stat().st_size == before.st_size
    with pytest.raises(UsageError, match="another input"):
        run(source, output, resume=True)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"dtype": "bfloat16"}, r'another dtype \("float32", now "bfloat16"\);'),
        ({"scorer": "xyz"}, r'another scorer \("abc", now "xyz"\);'),
        ({"policy": "x" * 100}, r"another policy;"),
    ],
)
def test_the_setting_that_differs_is_named(
    other: dict[str, str], said: str, source: Path, output: Path
) -> None:
    died(source, output, "in the midst")
    with pytest.raises(UsageError, match=said):
        run(source, output, settings=SETTINGS | other, resume=True)


@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}], ids=str)
def test_two_runs_to_one_output_are_refused(
    source: Path, output: Path, how: dict[str, Any]
) -> None:
    with (
        running(source, output, SETTINGS, overwrite=False, resume=False),
        pytest.raises(UsageError, match=f"process {os.getpid()}"),
    ):
        run(source, output, **how)


def test_an_output_that_cannot_be_written_says_how_to_go_on(source: Path, output: Path) -> None:
    with (
        pytest.raises(InputError, match=r"No space left.*`resume` goes on"),
        running(source, output, SETTINGS, overwrite=False, resume=False),
    ):
        raise OSError(28, "No space left on device")
