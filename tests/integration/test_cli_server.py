"""`ct-guard score` and `doctor` with --server: a stand-in of vLLM that answers from `mini` in this
process, so that the scores have to be the same."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.cli import cli
from ct_guard.store import MINI
from ct_guard.workflows import ScoreConfig, score
from ct_guard.workflows.runs.journal import journal_path
from tests.served import Handler, ServedModel, serving

ANSWERS = Path(__file__).parents[2] / "examples" / "answers.jsonl"
KEY = "sk-0123456789-top-secret"


@pytest.fixture(scope="module")
def server() -> Iterator[ServedModel]:
    mini = LlamaCppBackend.load(MINI / "base", kv_type="f32", threads=1)
    with serving("vllm", mini) as running:
        yield running
    mini.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_file_scores_as_in_this_process_and_the_key_stands_nowhere(
    server: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVED", KEY)
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    common = ("score", str(ANSWERS), "-e", "mini:zero-shot")
    done = run(*common, "-o", str(ours), "--server", server.url, "--key-env", "SERVED")
    assert done.exit_code == 0, done.output
    assert run(*common, "-o", str(theirs), "--backend", "llama_cpp", "-q").exit_code == 0
    for one, other in zip(rows_of(ours), rows_of(theirs), strict=True):
        assert one["status"] == other["status"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=2e-3)
        assert one["backend"] == "vllm"
    assert server.keys[-1] == f"Bearer {KEY}"
    assert KEY not in done.output
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_run_that_was_stopped_goes_on_and_its_journal_holds_no_key(
    server: ServedModel, tmp_path: Path
) -> None:
    key_file, output = tmp_path / "key", tmp_path / "out.jsonl"
    key_file.write_text(KEY)

    class Stop:
        """Ctrl-C behind the first rows."""

        def note(self, line: str) -> None:
            assert KEY not in line

        @contextmanager
        def working(self, title: str, total: int | None = None) -> Iterator[Any]:
            yield self

        def skip(self, count: int) -> None:
            assert count == 0

        def advance(self, count: int) -> None:
            raise KeyboardInterrupt

    config = ScoreConfig(estimator="mini:zero-shot", server=server.url, key_file=key_file)
    with pytest.raises(KeyboardInterrupt):
        score(ANSWERS, output, config, report=Stop())  # type: ignore[arg-type]
    journal = journal_path(output)
    assert journal.exists()
    assert KEY.encode() not in journal.read_bytes()
    done = run("score", str(ANSWERS), "-e", "mini:zero-shot", "-o", str(output), "--resume",
               "--server", server.url, "--key-file", str(key_file))  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "resumed" in done.output
    assert len(rows_of(output)) == len(rows_of(ANSWERS))


def test_a_row_that_the_server_fails_on_has_a_status_and_stops_nothing(
    server: ServedModel, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    common = ("score", str(ANSWERS), "-e", "mini:zero-shot", "-o", str(output), "-q",
              "--server", server.url, "--overwrite")  # fmt: skip
    server.asked.clear()
    assert run(*common).exit_code == 0
    whole = rows_of(output)
    last = [asked for path, asked in server.asked if path == "/generative_scoring"][-1]
    bad = (last["query"], last["items"][-1])

    def fails(handler: Handler, asked: dict[str, Any]) -> bool:
        if asked.get("query") != bad[0] or bad[1] not in asked["items"]:
            return False
        handler.send(400, {"detail": "no"})
        return True

    server.fault = fails
    try:
        done = run(*common)
    finally:
        server.fault = lambda handler, asked: False
    assert done.exit_code == 3, done.output
    rows = rows_of(output)
    (failed,) = [row for row in rows if row["status"] == "error"]
    assert "HTTP 400" in failed["error"]
    assert failed["confidence"] is None
    for row, before in zip(rows, whole, strict=True):
        if row is not failed:
            assert row["confidence"] == pytest.approx(before["confidence"], abs=1e-5)


def test_what_does_not_go_together_is_said(server: ServedModel, tmp_path: Path) -> None:
    for options, said in (
        (("--server", server.url, "--threads", "2"), "--threads is for a model here"),
        (("--key-env", "SERVED"), "--key-env is for a --server"),
        (("--server", server.url, "--backend", "llama_cpp"), "leave these out"),
        (("--server", server.url, "--key-env", "NO_SUCH_VARIABLE"), "is not set"),
        (("--server", server.url, "-e", "mini:query"), "llama-server"),
    ):
        output = str(tmp_path / "x.jsonl")
        common = ["score", str(ANSWERS), "-e", "mini:zero-shot", "-o", output]
        done = CliRunner().invoke(cli, [*common, *options])
        assert done.exit_code != 0
        assert said in f"{done.output} {done.exception}"
        assert not Path(output).exists()


def test_the_doctor_tells_what_is_behind_a_url(server: ServedModel) -> None:
    done = run("doctor", "--server", server.url, "--model", "mini:zero-shot", "--check")
    assert done.exit_code == 0, done.output
    for said in ("vllm 0.33.0", "base-model, 4,095 tokens", "act on all tokens", "noise"):
        assert said in done.output
    refused = run("doctor", "--server", server.url, "--model", "mini:query", "--check", "--json")
    assert refused.exit_code == 3
    (finding,) = [one for one in json.loads(refused.output) if one["item"] == "model"]
    assert "--activation all" in finding["advice"]


def test_the_doctor_finds_no_server() -> None:
    done = run("doctor", "--server", "http://127.0.0.1:9", "--timeout", "1")
    assert done.exit_code == 3
    assert "no connection" in done.output
