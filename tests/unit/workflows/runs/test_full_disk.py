"""A disk that fills up ends a run with an error that says how to go on, and going on loses nothing.

The disk is a small one in memory where this process may mount one; elsewhere no file may grow
beyond its size, which fails in the same places.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ct_guard.errors import InputError
from ct_guard.guard import Guard
from ct_guard.testing import FakeBackend
from ct_guard.workflows.engines import Local
from ct_guard.workflows.runs import Reading, Summary, score_file
from tests.known_confidence import by_word, estimator_on

ROWS = 600


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("input") / "in.jsonl"
    rows = [{"question": f"q {n}", "answer": "sure", "note": "x" * 100} for n in range(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(source: Path, output: Path, *, resume: bool = False) -> Summary:
    local = Local(Guard(estimator_on(FakeBackend(logit=by_word)), 0.5))
    return score_file(local, Reading.of(str(source)), output, resume=resume)


@pytest.fixture(scope="module")
def whole(source: Path) -> bytes:
    output = source.with_name("whole.jsonl")
    run(source, output)
    return output.read_bytes()


@contextmanager
def _mounted(folder: Path, kibibytes: int) -> Iterator[Callable[[], None] | None]:
    """A disk of that size at `folder`, and how it grows; None where none may be mounted."""
    size = f"size={kibibytes}k"
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    done = sys.platform == "linux" and subprocess.run(mount, capture_output=True, check=False)
    if not done or done.returncode:
        yield None
        return
    try:

        def grow() -> None:
            subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)

        yield grow
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _limited(kibibytes: int) -> Iterator[Callable[[], None]]:
    """No file of this process grows beyond that size, until it may."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def grow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    resource.setrlimit(resource.RLIMIT_FSIZE, (kibibytes << 10, before[1]))
    try:
        yield grow
    finally:
        grow()


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Callable[[], None]]:
    folder.mkdir()
    with _mounted(folder, kibibytes) as grow:
        if grow is not None:
            yield grow
            return
    with _limited(kibibytes) as grow_file:
        yield grow_file


@pytest.mark.parametrize("kibibytes", [12, 40, 100])
def test_going_on_when_there_is_room_gives_the_undisturbed_output(
    source: Path, whole: bytes, tmp_path: Path, kibibytes: int
) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder, kibibytes) as grow:
        output = folder / "out.jsonl"
        with pytest.raises(InputError, match=r"out\.jsonl: cannot be written: .*`resume` goes on"):
            run(source, output)
        assert not output.exists()
        assert {path.name for path in folder.iterdir()} <= {"out.jsonl.journal"}
        grow()
        done = run(source, output, resume=True)
        assert (done.rows, done.failed) == (ROWS, 0)
        assert output.read_bytes() == whole
        assert [path.name for path in folder.iterdir()] == ["out.jsonl"]
