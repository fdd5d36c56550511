"""Long work says where it is: a line every 30 seconds, by a clock that the test turns."""

import sys

import pytest

from ct_guard.cli.progress import Lines, Terminal


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_line_every_thirty_seconds(clock: Clock, said: list[str]) -> None:
    work = Lines("Scoring", 1200, "rows", said.append, clock=clock)
    for clock.now in range(10, 101, 10):
        work.advance(100)
    assert said == [
        "Scoring: 300 of 1,200 rows, 10 rows/s, 0:01:30 left",
        "Scoring: 600 of 1,200 rows, 10 rows/s, 0:01:00 left",
        "Scoring: 900 of 1,200 rows, 10 rows/s, 0:00:30 left",
    ]


def test_what_was_done_before_says_nothing_of_the_rate(clock: Clock, said: list[str]) -> None:
    work = Lines("Scoring", 1000, "rows", said.append, clock=clock)
    clock.now = 1.0
    work.skip(700)
    clock.now = 31.0
    work.advance(30)
    assert said == ["Scoring: 730 of 1,000 rows, 1 rows/s, 0:04:30 left"]


def test_of_a_pipe_nobody_knows_how_much_is_left(clock: Clock, said: list[str]) -> None:
    work = Lines("Scoring", None, "rows", said.append, clock=clock)
    clock.now = 60.0
    work.advance(6)
    assert said == ["Scoring: 6 rows, 0.1 rows/s"]


def test_bytes_are_megabytes_and_the_total_may_come_late(clock: Clock, said: list[str]) -> None:
    work = Lines("writing", None, "bytes", said.append, clock=clock)
    clock.now = 40.0
    work.reach(80_000_000, 100_000_000)
    assert said == ["writing: 80.0 MB of 100.0 MB, 2.0 MB/s, 0:00:10 left"]


def test_the_rate_is_that_of_the_last_two_minutes(clock: Clock, said: list[str]) -> None:
    work = Lines("Scoring", 10_000, "rows", said.append, clock=clock)
    for clock.now in range(10, 1_000, 10):
        work.advance(100 if clock.now < 500 else 10)
    assert work.rate() == pytest.approx(1.0)


def test_quiet_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(quiet=True).working("Scoring", 10) as work:
        work.advance(10)
        work.tell("a line")
    assert capsys.readouterr().err == ""


def test_a_line_of_the_work_is_a_line_of_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert not sys.stderr.isatty()
    for shown in (False, True):
        with Terminal().working("Tuning", 8, unit="steps", shown=shown) as work:
            work.tell("step 4/8: loss 0.5000")
    assert capsys.readouterr().err == "step 4/8: loss 0.5000\n"


def test_notes_and_warnings_are_told_even_by_a_quiet_command_and_hide_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = Terminal(quiet=True)
    report.tell("Parts.")
    report.note("row\x1b[2J 3")
    report.warn("nothing is learnt")
    assert capsys.readouterr().err.splitlines() == [
        "Parts.",
        r"Note: row\x1b[2J 3",
        "! nothing is learnt",
    ]
