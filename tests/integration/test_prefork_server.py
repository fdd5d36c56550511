"""A server that loads its application, and a guard in it, before it forks its workers."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("gunicorn", reason="gunicorn is not installed: the extra 'dev' brings it")
if not hasattr(os, "fork"):
    pytest.skip("this system does not fork", allow_module_level=True)

APPLICATION = """
import json, os, warnings

from ct_guard import Guard, QuestionAnswer
from ct_guard.estimators import OutOfScopeWarning

warnings.simplefilter("ignore", OutOfScopeWarning)
QUESTION = QuestionAnswer(question="What is 7 plus 5?", answer="12")
guard = Guard("mini", deadline=60)
before = guard.assess(QUESTION).p


def application(environ, start_response):
    made = guard.assess(QUESTION)
    told = {"pid": os.getpid(), "before": before, "p": made.p, "error": made.confidence.error}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """gunicorn with two workers over one application, and where it listens."""
    (tmp_path / "served.py").write_text(APPLICATION)
    log = tmp_path / "log.txt"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--timeout", "120"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--bind", "127.0.0.1:0", "served:application"],
            cwd=tmp_path, stderr=out, stdout=out, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    try:
        end = time.monotonic() + 300
        while (found := re.search(r"Listening at: (http://\S+)", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def test_every_worker_scores_and_they_end_when_asked(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = server

    def ask(_: int) -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(url, timeout=120).json()
        return told

    said: list[dict[str, Any]] = []
    with ThreadPoolExecutor(4) as callers:
        while len({told["pid"] for told in said}) < 2 and len(said) < 100:
            said += callers.map(ask, range(4))
    workers = {told["pid"] for told in said}
    assert len(workers) == 2
    assert process.pid not in workers
    assert [told["error"] for told in said] == [None] * len(said)
    assert [told["p"] for told in said] == pytest.approx([said[0]["before"]] * len(said), abs=1e-6)

    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
