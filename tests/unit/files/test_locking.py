"""One run a file: the second is told who is at it; a lock dies with its process."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ct_guard.errors import InputError, UsageError
from ct_guard.files.locking import alone, check_free, lock_path

HOLD = """
import sys
from ct_guard.files.locking import alone
with alone(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def holding(output: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def ended(process: "subprocess.Popen[str]") -> None:
    process.communicate()


def test_a_file_in_use_is_refused_and_its_process_named(output: Path) -> None:
    process = holding(output)
    try:
        with pytest.raises(UsageError, match=rf"out.jsonl: .*\(process {process.pid}\)"):
            check_free(output)
        with pytest.raises(UsageError, match="another run"), alone(output):
            pass
    finally:
        ended(process)
    check_free(output)
    with alone(output):
        pass


def test_a_link_is_the_file_itself(output: Path) -> None:
    output.touch()
    link = output.with_name("link.jsonl")
    link.symlink_to(output)
    with alone(output), pytest.raises(UsageError, match="another run"):
        check_free(link)


def test_two_threads_of_one_process_are_two_runs(output: Path) -> None:
    with alone(output), pytest.raises(UsageError, match=f"process {os.getpid()}"), alone(output):
        pass


def test_the_lock_of_a_killed_process_holds_nobody_up(output: Path) -> None:
    process = holding(output)
    process.send_signal(signal.SIGKILL)
    ended(process)
    assert lock_path(output).exists()
    check_free(output)
    with alone(output):
        pass
    assert list(output.parent.iterdir()) == []


def test_another_file_is_another_lock(output: Path) -> None:
    with alone(output), alone(output.with_name("other.jsonl")):
        pass
    assert list(output.parent.iterdir()) == []


def test_what_killed_runs_left_is_removed_even_under_a_number_that_lives(output: Path) -> None:
    """In a container the next process often has the number of the one that was killed."""
    for number in (1, os.getpid(), os.getppid()):
        output.with_name(f".out.jsonl.{number}-7.tmp").write_text("half")
    other = output.with_name(f".other.jsonl.{os.getppid()}-7.tmp")
    other.write_text("of another output")
    with alone(output):
        assert {path.name for path in output.parent.iterdir()} == {
            lock_path(output).name,
            other.name,
        }


def links(lock: Path) -> None:
    lock.symlink_to(lock.with_name("precious.txt"))


def dangles(lock: Path) -> None:
    lock.symlink_to(lock.with_name("nothing.txt"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("make", [links, dangles, Path.mkdir, lambda lock: os.mkfifo(lock)])
def test_what_stands_in_the_place_of_a_lock_is_neither_followed_nor_written(
    output: Path, make: Callable[[Path], None]
) -> None:
    precious = output.with_name("precious.txt")
    precious.write_text("kept")
    make(lock_path(output))
    for use in (check_free, lambda path: alone(path).__enter__()):
        with pytest.raises(InputError, match=r"\.out\.jsonl\.lock: .*remove it where none is"):
            use(output)
    assert precious.read_text() == "kept"
    assert not output.with_name("nothing.txt").exists()


FORKS = """
import os, sys, time
from ct_guard.files.locking import alone
with alone(sys.argv[1]):
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print("held", flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_that_lives_on_does_not_keep_a_killed_ones_lock(output: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKS, str(output)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.wait(60)
        with alone(output):
            pass


LEAVES = """
import os, subprocess, sys
from ct_guard.files.locking import alone, check_free
with alone(sys.argv[1]):
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    check_free(sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_that_leaves_the_block_leaves_its_parents_lock(output: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", LEAVES, str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "another run is writing it" in done.stderr
    assert not lock_path(output).exists()
