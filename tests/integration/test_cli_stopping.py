"""Runs that are killed, interrupted and resumed, as processes: little is lost, nothing aborts."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ct_guard.workflows.runs.journal import journal_path, results_in

ROOT = Path(__file__).parents[2]
STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def answers(folder: Path, count: int) -> Path:
    path = folder / "answers.jsonl"
    rows = [
        {"id": n, "question": f"What is {n} plus 1?", "answer": str(n + 1)} for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def start(*arguments: str | Path | float, **options: Any) -> "subprocess.Popen[str]":
    """A process on the estimator `slow`; the first argument is its seconds a row."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.slow_runs", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def stored(output: Path) -> int:
    """Rows in the journal; -1 before there is one."""
    path = journal_path(output)
    return results_in(path) if path.exists() else -1


def until_stored(process: "subprocess.Popen[str]", output: Path, count: int) -> None:
    until = time.monotonic() + 60
    while stored(output) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), STOPS)
def test_a_signal_ends_a_run_with_its_code_and_the_way_on(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    source, output = answers(tmp_path, 400), tmp_path / "scored.jsonl"
    command = ("score", source, "-e", "slow", "-o", output, "-q")
    process = start(0.05, *command)
    until_stored(process, output, 5)
    process.send_signal(number)
    if number == signal.SIGTERM:  # a supervisor sends it to the process and to its group
        process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == code, said
    assert said.count("--resume") == 1
    assert "Traceback" not in said
    assert not output.exists()
    assert {path.name for path in tmp_path.iterdir()} == {source.name, journal_path(output).name}
    resumed = start(0, *command, "--resume")
    said = resumed.communicate(timeout=60)[1]
    assert resumed.returncode == 0, said
    assert [row["id"] for row in read(output)] == list(range(400))


@pytest.mark.parametrize(("number", "code"), STOPS)
def test_a_signal_in_the_middle_of_a_forward_of_a_real_model_does_not_abort(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    source, output = answers(tmp_path, 20_000), tmp_path / "scored.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "ct_guard", "score", source, "-o", output, "-q"],
        stderr=subprocess.PIPE,
        text=True,
    )
    until_stored(process, output, 20)
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == code, said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "command", [("evaluate", "scored.jsonl"), ("inspect", "mini"), ("score", "-")]
)
def test_every_command_ends_with_the_code_of_the_signal(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """Its input is a pipe that nobody writes into, or it is stopped before it has begun."""
    (tmp_path / "scored.jsonl").symlink_to("/dev/stdin")
    program = (
        "import signal, sys, threading, ct_guard.cli as cli\n"
        "listen = cli.stopping.listen\n"
        "def listening():\n"
        "    listen()\n"
        "    print('listening', flush=True)\n"
        "cli.stopping.listen = listening\n"
        "cli.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 143, said
    assert "Traceback" not in said


def test_killed_again_and_again_a_run_loses_and_doubles_no_row(tmp_path: Path) -> None:
    source, output = answers(tmp_path, 300), tmp_path / "scored.csv"
    command = ("score", source, "-e", "slow", "-o", output, "-q", "--resume")
    rng = random.Random(3)
    before = 0
    for _ in range(4):
        process = start(0.01, *command)
        until_stored(process, output, min(before + 1, 299))
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.communicate()
        if output.exists():
            break
        assert stored(output) > before
        before = stored(output)
    done = start(0, *command)
    said = done.communicate(timeout=60)[1]
    assert done.returncode == 0, said
    assert [line.split(",")[0] for line in output.read_text().splitlines()[1:]] == [
        str(n) for n in range(300)
    ]
    assert set(tmp_path.iterdir()) == {source, output}  # nothing is left of the killed ones


def test_a_second_run_to_the_same_output_is_told_who_is_at_it(tmp_path: Path) -> None:
    source, output = answers(tmp_path, 400), tmp_path / "scored.jsonl"
    command = ("score", source, "-e", "slow", "-o", output, "-q")
    first = start(0.05, *command)
    until_stored(first, output, 1)
    for more in ((), ("--resume",), ("--overwrite",)):
        second = start(0, *command, *more)
        said = second.communicate(timeout=60)[1]
        assert second.returncode == 2
        assert f"another run is writing it (process {first.pid})" in said
    first.kill()
    first.communicate()
