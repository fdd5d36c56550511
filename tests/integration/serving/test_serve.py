"""`ct-guard serve` as a process: what it says, whom it answers, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from ct_guard.cli import cli
from ct_guard.errors import FieldError
from ct_guard.workflows import ServeConfig
from tests.listening import ChatApi, answering, listening

TOKEN = "a-token-that-nobody-logs"
KEY = "a-key-that-nobody-logs"
ROW = {"question": "What is 7 plus 5?", "answer": "12"}
SHOWN = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Served:
    process: subprocess.Popen[str]
    url: str
    log: Path
    api: ChatApi


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server over `mini`, in front of an API that answers slowly."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "token.txt").write_text(TOKEN + "\n")
    log = folder / "log.txt"
    api = ChatApi(lambda body: [answering("12 and so on " * 10)], pause=0.02)
    with listening(api.app) as behind, log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ct_guard", "serve", "-e", "mini", "-p", "annotate",
             "--port", "0", "--upstream", f"{behind}/v1", "--upstream-key-env", "UPSTREAM_KEY",
             "--host", "0.0.0.0", "--token-file", str(folder / "token.txt")],
            stdout=out, stderr=out, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "UPSTREAM_KEY": KEY},
        )  # fmt: skip
        try:
            until = time.monotonic() + 300
            while (found := re.search(r"at (http://\S+)", log.read_text())) is None:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            yield Served(process, found[1].replace("0.0.0.0", "127.0.0.1"), log, api)
        finally:
            process.kill()
            process.wait()


def test_it_serves_and_ends_with_what_was_begun(served: Served) -> None:
    assert httpx.get(f"{served.url}/health", timeout=60).json()["estimator"] == "mini"
    assert httpx.post(f"{served.url}/v1/confidence", json=ROW).status_code == 401
    told = httpx.post(f"{served.url}/v1/confidence", json=ROW, headers=SHOWN, timeout=60).json()
    assert told["p"] > 0.5
    assert told["calibrated"]
    asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "7 plus 5?"}]}
    begun, found = threading.Event(), list[str]()

    def read() -> None:
        url = f"{served.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=asked, headers=SHOWN, timeout=60) as response:
            for part in response.iter_text():
                begun.set()
                found.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(60)
    served.process.send_signal(signal.SIGTERM)
    reader.join()
    assert "".join(found).endswith("data: [DONE]\n\n")
    assert '"ct_guard"' in "".join(found)
    assert served.process.wait(60) == 0
    said = served.log.read_text()
    assert "Serving mini (annotate)" in said
    assert TOKEN not in said
    assert KEY not in said
    assert served.api.headers[0]["authorization"] == f"Bearer {KEY}"


def test_a_scoring_that_hangs_does_not_make_a_failure_of_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    command = [sys.executable, "-m", "tests.slow_runs", "60", "serve", "-e", "slow"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--port", "0", "--deadline", "0.2"], stdout=out, stderr=out, text=True,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while (found := re.search(r"at (http://\S+)", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        told = httpx.post(f"{found[1]}/v1/confidence", json=ROW, timeout=60).json()
        assert "took longer than the deadline" in told["error"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    said = log.read_text()
    assert "still ran: it is given up" in said
    assert "Error" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "give a token, by --token-env or --token-file"),
        (["--token-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["--upstream", "http://user:password@x/v1"], "credentials"),
        (["--stronger", "large"], "--stronger is for an --upstream"),
        (["--token-env", "A", "--token-file", "b"], "give one of them"),
        (["--most-requests", "0"], "--most-requests is a number of at least 1"),
        (["--port", "70000"], "--port"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_loaded(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, ["serve", *arguments])
    shown = f"{done.output} {done.exception}"
    assert done.exit_code != 0
    assert said in shown
    assert "password" not in shown


def test_a_port_that_is_taken_is_named() -> None:
    with listening(ChatApi(lambda body: []).app) as url:
        port = url.rpartition(":")[2]
        done = CliRunner().invoke(cli, ["serve", "--port", port])
    assert f"--port {port} cannot be had" in done.output


@pytest.mark.parametrize("settings", [{"deadline": 0}, {"grace": -1}, {"most_bytes": 0}])
def test_settings_out_of_range_are_named_as_fields(settings: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match=next(iter(settings))):
        ServeConfig(**settings)
