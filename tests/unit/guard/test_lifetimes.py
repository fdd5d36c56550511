"""A guard over a real model in processes that fork, are spawned, are interrupted and end."""

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ct_guard import Guard, QuestionAnswer

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("lifetimes.py")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(scope="module")
def ends() -> dict[str, int]:
    """How each child of the script ended."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=300, check=True
    )
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


@forks
@pytest.mark.parametrize(
    ("child", "status"),
    [
        ("scored_again", 0),
        ("interrupted", -signal.SIGINT),  # a shell says 130
        ("terminated", -signal.SIGTERM),  # a shell says 143
        ("terminated_and_cleaned_up", 143),
        ("abandoned", 0),
    ],
)
def test_a_process_ends_as_it_was_told_to(ends: dict[str, int], child: str, status: int) -> None:
    assert ends[child] == status


def assess() -> float | None:
    return Guard("mini", 0.5).assess(QuestionAnswer(question="What is 7 plus 5?", answer="12")).p


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", pytest.param("fork", marks=forks)])
@pytest.mark.parametrize("lives", [True, False], ids=["a model lives", "no model lives"])
def test_processes_of_multiprocessing_score_alike(method: str, lives: bool) -> None:
    guard = Guard("mini", 0.5)
    here = guard.assess(QuestionAnswer(question="What is 7 plus 5?", answer="12")).p
    if not lives:
        del guard
        gc.collect()
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply_async(assess).get(120) == here
