"""`ct-guard grade` and `ct-guard audit`, as their callers see them."""

import csv
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ct_guard.cli import cli, grade
from ct_guard.datasets import GRADERS
from ct_guard.errors import CtGuardError
from ct_guard.workflows.runs.journal import results_in
from tests.commands import ct_guard
from tests.full_disks import files_end_at

KEY = "sk-very-secret-key-0123456789"
QUESTIONS: list[dict[str, Any]] = [
    {"question": "What is 7 plus 5?", "gold": "12", "topic": "sums"},
    {"question": "What is 8 minus 8?", "gold": ["0", "zero"], "topic": "sums"},
    {"question": "What is 7 plus 5?", "gold": "13", "topic": "wrong gold"},
    {"question": "What is 9 plus 9?", "topic": "no gold"},
]


def run(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return ct_guard(*arguments, warned="default", environment=environment)


def refused(*arguments: str | Path, **environment: str) -> str:
    """The one line that a command ends with."""
    done = run(*arguments, **environment)
    assert done.returncode == 2, done
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    return path


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_without_rows_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("")
    done = run("grade", tmp_path / "q.jsonl", "-m", "mini", "-o", tmp_path / "g.jsonl", "-q")
    assert done.returncode == 0
    assert f"No rows in {tmp_path / 'q.jsonl'}: nothing was graded.\n" in done.stderr


def test_mini_answers_is_graded_audited_and_scored(questions: Path, tmp_path: Path) -> None:
    graded, check = tmp_path / "graded.jsonl", tmp_path / "check.csv"
    done = run(
        "grade", questions, "--model", "mini", "-k", "2", "-g", "substring", "-o", graded,
        "--audit", "4", "--audit-out", check,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "line 4: field 'gold' is missing" in done.stderr
    rows = read(graded)
    assert len(rows) == 3 * 3 + 1
    assert rows[0]["model"] == "mini"
    assert rows[0]["correct"] is True
    assert rows[6]["correct"] is False
    assert rows[-1]["correct"] is None
    assert "accuracy" in done.stdout
    assert "ct-guard audit" in done.stdout

    with check.open(newline="") as stream:
        drawn = list(csv.DictReader(stream))
    assert len(drawn) == 4
    assert "no verdict yet" in refused("audit", graded, check)
    with check.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, drawn[0])
        writer.writeheader()
        writer.writerows({**row, "correct": "true"} for row in drawn)
    done = run("audit", graded, check)
    assert done.returncode == 0, done.stderr
    assert "false fails" in done.stdout
    audit = json.loads((tmp_path / "graded.jsonl.manifest.json").read_text())["audit"]
    assert audit["right"]["overturned"] == 0
    assert audit["wrong"]["overturned"] == audit["wrong"]["checked"] > 0
    assert audit["false_fail"]["value"] > 0

    done = run("score", graded, "-o", tmp_path / "scored.jsonl", "-q")
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "scored.jsonl")[0]["correct"] is True


def test_given_answers_come_from_a_pipe_and_go_to_one() -> None:
    row = json.dumps({"question": "What is 7 plus 5?", "gold": 12, "answer": "twelve"})
    done = subprocess.run(
        [sys.executable, "-m", "ct_guard", "grade", "-", "-q"],
        input=f"{row}\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["correct"] is True
    assert "all graded answers are right" in done.stderr


def test_the_audit_can_be_drawn_later(tmp_path: Path) -> None:
    source = tmp_path / "answered.csv"
    source.write_text("question,gold,answer\nA?,1,1\nB?,1,2\n")
    graded = tmp_path / "graded.csv"
    assert run("grade", source, "-o", graded).returncode == 0
    assert run("audit", graded, tmp_path / "check.csv", "--draw", "2").returncode == 0
    assert "exists" in refused("audit", graded, tmp_path / "check.csv", "--draw", "2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "mini:query"), "--model mini"),
        (("--model", "nonsense:model"), "cannot set up"),
        (("--model", "./nowhere"), "no such directory"),
        (("--model", "m", "--url", "localhost"), "no http"),
        (("--model", "m", "--key-env", "NO_SUCH_VARIABLE"), "goes with a URL"),
        (("--model", "m", "--url", "http://h/v1", "--key-env", "NO_SUCH_VARIABLE"), "not set"),
        (("--grader", "judge"), "--judge"),
        (("--judge", "mini"), "--grader judge"),
        (("--grader", "numeric", "--tolerance", "2"), "tolerance"),
        (("--audit-out", "x.csv"), "--audit N"),
        (("--prompt", "x.jsonl", "--model", "mini"), "no such file"),
        (("--model", "mini", "--backend", "abacus"), "transformers"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    questions: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    output = tmp_path / "out.jsonl"
    done = CliRunner().invoke(cli, ["grade", str(questions), "-o", str(output), *options])
    refused_option = done.exit_code == 2  # which click itself has written
    assert refused_option or isinstance(done.exception, CtGuardError), done.output
    said = (done.output if refused_option else str(done.exception)).strip()
    assert message in said
    assert "\n" not in said
    assert not output.exists()


@pytest.fixture
def server() -> Iterator[tuple[str, list[str | None]]]:
    """A chat server that says 12 to all who have the key, and quotes the key to all others."""
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(self.headers["Authorization"])
            known = keys[-1] == f"Bearer {KEY}"
            reply = {"choices": [{"message": {"content": f"12, {keys[-1]}"}}]}
            body = json.dumps(reply if known else {"error": f"wrong key: {keys[-1]}"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/v1", keys
    running.shutdown()
    thread.join()
    running.server_close()


def test_the_key_is_used_and_never_written(
    questions: Path, tmp_path: Path, server: tuple[str, list[str | None]]
) -> None:
    url, keys = server
    output = tmp_path / "out.jsonl"
    remote = ("--model", "m", "--url", url, "--key-env", "MY_SERVER", "-g", "substring")
    said = refused("grade", questions, "-o", output, *remote, MY_SERVER=f"{KEY}-but-wrong")
    assert "HTTP 401" in said
    assert KEY not in said
    assert KEY not in (tmp_path / "out.jsonl.journal").read_text()
    done = run("grade", questions, "-o", output, *remote, "--resume", MY_SERVER=KEY)
    assert done.returncode == 3, done.stderr
    assert keys[-1] == f"Bearer {KEY}"
    assert read(output)[0]["correct"] is True
    written = [path.read_text() for path in tmp_path.iterdir()]
    for text in (done.stdout, done.stderr, *written):
        assert KEY not in text


def test_an_interrupt_ends_the_wait_at_once_and_keeps_the_work(tmp_path: Path) -> None:
    source, output = tmp_path / "questions.jsonl", tmp_path / "graded.jsonl"
    source.write_text('{"question": "What is 7 plus 5?", "gold": "12"}\n' * 100)
    with socket.socket() as silent:  # takes connections and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ct_guard",
                "grade",
                source,
                "-m",
                "m",
                "--url",
                url,
                "-o",
                output,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "--resume" in said
    assert "Traceback" not in said
    assert (tmp_path / "graded.jsonl.journal").exists()
    assert not output.exists()


def test_a_run_that_was_killed_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    source, output = tmp_path / "questions.jsonl", tmp_path / "graded.jsonl"
    lines = [{"question": f"Question {n}?", "gold": str(n)} for n in range(150)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked: list[str] = []
    stuck = threading.Event()
    go_on = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][-1]["content"]
            asked.append(question)
            number = question.split()[1].rstrip("?")
            if int(number) > 130 and not go_on.is_set():
                stuck.set()
                go_on.wait(30)
            reply = json.dumps({"choices": [{"message": {"content": number}}]}).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)
            except ConnectionError:  # whoever asked was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{running.server_port}/v1"
        command = ("grade", source, "-m", "m", "--url", url, "-o", output)
        process = subprocess.Popen(
            [sys.executable, "-m", "ct_guard", *map(str, command)], stderr=subprocess.DEVNULL
        )
        assert stuck.wait(60)
        process.kill()
        process.wait()
        assert not output.exists()
        go_on.set()
        done = run(*command, "--resume")
    finally:
        go_on.set()
        running.shutdown()
        thread.join()
        running.server_close()
    assert done.returncode == 0, done.stderr
    resumed = re.search(r"(\d+) of them resumed", done.stdout)  # how many goes by the clock
    assert resumed is not None
    assert [row["answer"] for row in read(output)] == [str(n) for n in range(150)]
    assert 0 < int(resumed[1]) <= 131
    assert all(asked.count(f"Question {n}?") == 1 for n in range(int(resumed[1])))


PROVIDER = """
import os
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult


class ChatGroq(BaseChatModel):
    model: str

    @property
    def _llm_type(self):
        return "offline"

    def _generate(self, messages, stop=None, run_manager=None, **options):
        asked = messages[-1].text
        if "9 plus 9" in asked:
            raise RuntimeError("refused for the key " + os.environ["GROQ_API_KEY"])
        said = {"judge": "That depends." if "8 minus 8" in asked else "Yes."}.get(self.model, "12")
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=said))])
"""


def test_a_langchain_provider_answers_and_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "langchain_groq.py").write_text(PROVIDER)
    monkeypatch.syspath_prepend(tmp_path)
    source, output = tmp_path / "questions.jsonl", tmp_path / "graded.jsonl"
    rows = [row | {"gold": row.get("gold", "18")} for row in QUESTIONS]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(
        "grade", source, "-m", "groq:small", "-k", "1", "-g", "judge", "--judge", "groq:judge",
        "-o", output, GROQ_API_KEY=KEY,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    graded = read(output)
    assert [row["correct"] for row in graded] == [True] * 2 + [None] * 2 + [True] * 2 + [None] * 2
    assert "unclear" in str(graded[2]["grade_reason"])
    assert graded[-1]["grade_reason"] == "refused for the key ***"
    assert KEY not in done.stdout + done.stderr + output.read_text()


def test_a_disk_that_fills_up_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    source, output = tmp_path / "answered.jsonl", tmp_path / "graded.jsonl"
    row = {"question": "What?", "gold": "1", "answer": "1", "note": "x" * 200}
    source.write_text((json.dumps(row) + "\n") * 200)
    with files_end_at(20_000):
        done = run("grade", source, "-o", output)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
    assert "--resume" in done.stderr
    assert not output.exists()
    assert results_in(tmp_path / "graded.jsonl.journal") >= 64
    done = run("grade", source, "-o", output, "--resume")
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    assert len(read(output)) == 200
    assert {path.name for path in tmp_path.iterdir()} == {
        "answered.jsonl", "graded.jsonl", "graded.jsonl.manifest.json",
    }  # fmt: skip


def test_every_grader_can_be_named() -> None:
    [option] = [param for param in grade.command.params if param.name == "grader"]
    assert list(option.type.choices) == [*GRADERS, "judge"]  # type: ignore[attr-defined]
