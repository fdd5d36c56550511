"""`ct-guard score` and its siblings, as processes and files see them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ct_guard import __version__
from ct_guard.cli import cli
from ct_guard.errors import CtGuardError
from ct_guard.estimators import Estimator
from ct_guard.store import load_manifest
from ct_guard.workflows.runs import RESULTS
from ct_guard.workflows.runs.journal import journal_path
from tests.commands import ct_guard
from tests.full_disks import files_end_at

ROWS = [
    {"id": 1, "question": "What is 2 plus 2?", "answer": "4", "correct": True, "tag": "easy"},
    {"id": 2, "question": "What is 2 plus 2?", "answer": "5", "correct": False, "tag": "easy"},
    {"id": 3, "question": "What is 3 plus 4?", "answer": "", "correct": False},
    {"id": 4, "question": "What is 3 plus 4?", "answer": "I don't know.", "correct": False},
    {"id": 5, "question": "Who?", "answer": "Zo\u00eb \u2013 \U0001f600", "correct": True},
]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "answers.jsonl", ROWS)


def test_every_input_column_is_kept_and_the_results_follow(
    answers: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scored.jsonl"
    result = run("score", answers, "-e", tiny_estimator, "-o", output)
    assert result.exit_code == 0, result.output
    scored = read_jsonl(output)
    kept = [{key: row[key] for key in before} for row, before in zip(scored, ROWS, strict=True)]
    assert kept == ROWS
    assert all(set(RESULTS) <= set(row) for row in scored)
    assert [row["status"] for row in scored] == ["ok", "ok", "empty", "refusal", "ok"]
    assert all((row["confidence"] is None) == (row["status"] != "ok") for row in scored)
    assert scored[0]["estimator"] == "tiny"
    assert scored[0]["backend"] == "transformers"
    assert scored[0]["calibrated"] is True
    assert {row["scorer"] for row in scored} == {load_manifest(tiny_estimator).scorer}


def test_the_logit_column_and_the_calibrator_give_the_confidence(
    answers: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scored.jsonl"
    run("score", answers, "-e", tiny_estimator, "-o", output)
    from ct_guard.calibration import apply
    from ct_guard.store import load_manifest

    state = load_manifest(tiny_estimator).calibrators["*"]
    for row in read_jsonl(output):
        if row["status"] == "ok":
            assert apply(state, [row["logit"]])[0] == pytest.approx(row["confidence"], abs=1e-12)


def test_the_action_is_that_of_the_estimators_certificate_unless_a_policy_is_given(
    answers: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    for policy, threshold in ((None, 0.6), ("certified", 0.6), ("0.3", 0.3), ("1", 1.0)):
        output = tmp_path / f"{policy}.jsonl"
        more = ["-p", policy] if policy else []
        assert run("score", answers, "-e", tiny_estimator, "-o", output, *more).exit_code == 0
        for row in read_jsonl(output):
            p = row["confidence"]
            assert row["action"] == ("pass" if p is not None and p >= threshold else "abstain")


def test_a_policy_file_escalates(answers: Path, tiny_estimator: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"kind": "escalate", "threshold": 1.0}')
    output = tmp_path / "scored.jsonl"
    run("score", answers, "-e", tiny_estimator, "-o", output, "-p", policy)
    assert {row["action"] for row in read_jsonl(output)} == {"escalate"}


def test_bad_rows_become_rows_with_a_message_and_exit_code_3(
    tiny_estimator: Path, tmp_path: Path
) -> None:
    source = tmp_path / "bad.jsonl"
    good = json.dumps(ROWS[0]).encode()
    bad = [b"not json", b'{"question": "x"}', b'{"question": 3, "answer": "y"}', b"\xff\xfe{}"]
    source.write_bytes(b"\n".join([good, *bad, good]))
    output = tmp_path / "scored.jsonl"
    result = run("score", source, "-e", tiny_estimator, "-o", output)
    assert result.exit_code == 3
    scored = read_jsonl(output)
    assert [row["status"] for row in scored] == ["ok", *["invalid"] * 4, "ok"]
    assert scored[0]["confidence"] == pytest.approx(scored[5]["confidence"], abs=1e-6)
    for line, row in enumerate(scored[1:5], start=2):
        assert str(source) in row["error"]
        assert f"line {line}" in row["error"]
    assert "answer" in scored[2]["error"]
    assert "question" in scored[3]["error"]
    assert {row["action"] for row in scored[1:5]} == {"abstain"}


def test_more_than_a_million_characters_is_too_long_before_tokenising(
    tiny_estimator: Path, tmp_path: Path
) -> None:
    source = write_jsonl(
        tmp_path / "long.jsonl",
        [
            {"question": "q", "answer": "x" * 1_000_001},
            {"question": "q", "answer": "x" * 5_000},
        ],
    )
    output = tmp_path / "scored.jsonl"
    assert run("score", source, "-e", tiny_estimator, "-o", output).exit_code == 0
    long, cut = read_jsonl(output)
    assert (long["status"], long["confidence"]) == ("too_long", None)
    assert (cut["status"], cut["truncated"]) == ("ok", True)


@pytest.mark.parametrize("kinds", [("csv", "csv"), ("csv", "parquet"), ("parquet", "jsonl")])
def test_formats_mix_and_give_the_same_figures(
    kinds: tuple[str, str], answers: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    reference = tmp_path / "reference.jsonl"
    run("score", answers, "-e", tiny_estimator, "-o", reference)
    first, second = (tmp_path / f"a.{kinds[0]}", tmp_path / f"b.{kinds[1]}")
    from ct_guard.files import open_rows, open_writer

    with open_writer(first, {}, source=answers) as writer:
        for row in open_rows(answers):
            writer.write(row, {})
    assert run("score", first, "-e", tiny_estimator, "-o", second).exit_code == 0
    for row, expected in zip(open_rows(second), read_jsonl(reference), strict=True):
        got = row.fields["confidence"]
        if expected["confidence"] is None:
            assert got in (None, "")
        else:
            assert float(got) == pytest.approx(expected["confidence"], abs=1e-6)


@pytest.mark.parametrize(("name", "text"), [("a.jsonl", ""), ("a.csv", "question,answer\n")])
def test_a_file_without_rows_is_said_to_have_none(
    name: str, text: str, tiny_estimator: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    output = tmp_path / "out.jsonl"
    done = run("score", tmp_path / name, "-e", tiny_estimator, "-o", output, "-q")
    assert (done.exit_code, read_jsonl(output)) == (0, [])
    assert done.stderr == f"No rows in {tmp_path / name}: nothing was scored.\n"


def test_a_pipe_reads_and_writes_jsonl(tiny_estimator: Path) -> None:
    rows_in = json.dumps(ROWS[0]) + "\nnonsense\n"
    done = ct_guard("score", "-", "-e", tiny_estimator, given=rows_in, warned="default")
    assert done.returncode == 3, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "invalid"]
    assert "P(correct)" in done.stderr


def test_an_existing_output_is_not_overwritten_unasked(
    answers: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scored.jsonl"
    output.write_text("precious")
    with pytest.raises(CtGuardError, match="--overwrite"):
        CliRunner().invoke(
            cli,
            ["score", str(answers), "-e", str(tiny_estimator), "-o", str(output)],
            catch_exceptions=False,
        )
    assert output.read_text() == "precious"
    assert run("score", answers, "-e", tiny_estimator, "-o", output, "--overwrite").exit_code == 0
    assert len(read_jsonl(output)) == len(ROWS)


def test_an_interrupted_run_resumes_to_the_same_result(
    tiny_estimator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ct_guard.workflows.engines import local as engine

    monkeypatch.setattr(engine, "monotonic", lambda: 0.0)
    rows = [{"question": f"What is {n} plus 1?", "answer": str(n + 1)} for n in range(11)]
    source = write_jsonl(tmp_path / "answers.jsonl", rows)
    whole, output = tmp_path / "whole.jsonl", tmp_path / "scored.jsonl"
    run("score", source, "-e", tiny_estimator, "-o", whole)

    score, calls = Estimator.score, []

    def dying(estimator: Estimator, items: Any) -> Any:
        calls.append(len(items))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(estimator, items)

    with monkeypatch.context() as patch:
        patch.setattr(Estimator, "score", dying)
        stopped = run("score", source, "-e", tiny_estimator, "-o", output)
    assert stopped.exit_code != 0
    assert "--resume" in stopped.output
    assert not output.exists()
    assert journal_path(output).exists()

    resumed = run("score", source, "-e", tiny_estimator, "-o", output, "--resume")
    assert resumed.exit_code == 0
    assert "5 of them resumed" in resumed.output
    for row, expected in zip(read_jsonl(output), read_jsonl(whole), strict=True):
        for name in ("confidence", "logit"):  # which rows share a batch shows in the last digits
            assert row.pop(name) == pytest.approx(expected.pop(name), abs=1e-4)
        assert row == expected
    assert not journal_path(output).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "missing.jsonl"], "missing.jsonl"),
        (["score", "{answers}", "-e", "nowhere"], "nowhere"),
        (["score", "{answers}", "-e", "{tiny}", "-p", "1.7"], "between 0 and 1"),
        (["score", "{answers}", "-e", "{tiny}", "-p", "sometimes"], "certified"),
        (["score", "{answers}", "-e", "{tiny}", "-o", "{answers}"], "input"),
        (["score", "{answers}", "-e", "{tiny}", "--dtype", "float7"], "dtype"),
        (["score", "{answers}", "-e", "{tiny}", "--batch-size", "zero"], "--batch-size"),
        (["score", "{answers}", "-e", "{tiny}", "--backend", "abacus"], "abacus"),
        (["evaluate", "{answers}"], "ct-guard score"),
        (["inspect", "nowhere"], "nowhere"),
    ],
)
def test_usage_errors_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, answers: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    filled = [a.format(answers=answers, tiny=tiny_estimator) for a in arguments]
    done = ct_guard(*filled, folder=tmp_path)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in done.stderr


def test_evaluate_prints_figures_with_intervals_and_json(
    tiny_estimator: Path, tmp_path: Path
) -> None:
    rows = [
        {"question": f"What is {n} plus 1?", "answer": str(n + off), "correct": off == 1}
        for n in range(20)
        for off in (1, 2)
    ]
    source = write_jsonl(tmp_path / "answers.jsonl", rows)
    output = tmp_path / "scored.jsonl"
    run("score", source, "-e", tiny_estimator, "-o", output)
    shown = run("evaluate", output, "--resamples", "200")
    assert shown.exit_code == 0, shown.output
    for name in ("AUROC", "ECE", "log loss", "pair accuracy", "tiny"):
        assert name in shown.output
    as_json = json.loads(run("evaluate", output, "--json", "--resamples", "200").output)
    figure = as_json["estimators"][0]["figures"]["AUROC"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert as_json["rows"] == 40


def test_inspect_shows_the_manifest_and_that_the_files_are_verified(tiny_estimator: Path) -> None:
    shown = run("inspect", tiny_estimator).output
    for text in ("tiny", "query", "chat_turn", "platt", "p >= 0.600", "2 verified"):
        assert text in shown
    assert json.loads(run("inspect", tiny_estimator, "--json").output)["method"] == "query"


def test_version_and_help_teach() -> None:
    assert __version__ in run("--version").output
    shown = run("score", "--help").output
    for text in ("Examples:", "messages", "refusal", "--resume", "Exit codes"):
        assert text in shown


def test_a_disk_that_fills_up_says_how_to_go_on(tmp_path: Path) -> None:
    """The answers are empty, so that nothing but the writing takes time."""
    source, output = tmp_path / "answers.jsonl", tmp_path / "scored.jsonl"
    row = {"question": "What?", "answer": "", "note": "x" * 200}
    source.write_text((json.dumps(row) + "\n") * 400)
    with files_end_at(60_000):
        done = ct_guard("score", source, "-o", output, "-q")
    assert done.returncode == 2
    assert "scored.jsonl: cannot be written" in done.stderr
    assert "--resume goes on from here" in done.stderr
    assert not output.exists()
    done = ct_guard("score", source, "-o", output, "-q", "--resume")
    assert done.returncode == 0, done.stderr
    assert len(output.read_text().splitlines()) == 400


def test_whoever_stops_reading_a_pipe_sees_no_error(tmp_path: Path) -> None:
    rows = (json.dumps({"question": "What?", "answer": "", "note": "x" * 1000}) + "\n") * 2000
    (tmp_path / "answers.jsonl").write_text(rows)
    asked = [{"question": f"How {n}?", "answer": "1", "correct": n % 3 > 0} for n in range(60)]
    graded = write_jsonl(tmp_path / "graded.jsonl", asked)
    made = run("baseline", "question_prior", "--graded", graded, "-o", tmp_path / "prior")
    assert made.exit_code == 0, made.output
    done = subprocess.run(
        f"{sys.executable} -m ct_guard score - -e prior -q < answers.jsonl | head -n 1",
        capture_output=True, text=True, check=False, cwd=tmp_path, shell=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["status"] == "empty"
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_for_which_there_is_no_room_is_finished_when_there_is(tmp_path: Path) -> None:
    """The first file fits, the second does not; its answers are empty."""
    folder, output = tmp_path / "answers", tmp_path / "scored"
    folder.mkdir()
    row = {"question": "What?", "answer": "", "note": "x" * 200}
    for name, count in (("a", 10), ("b", 400)):
        (folder / f"{name}.jsonl").write_text((json.dumps(row) + "\n") * count)
    with files_end_at(60_000):
        done = ct_guard("score", folder, "-o", f"{output}/", "-q")
    assert done.returncode == 2
    assert "b.jsonl: cannot be written: File too large" in done.stderr
    assert "--resume goes on from here" in done.stderr
    assert [path.name for path in output.iterdir() if path.suffix == ".jsonl"] == ["a.jsonl"]
    resumed = run("score", folder, "-o", output, "-q", "--resume", "--summary", tmp_path / "s.json")
    assert resumed.exit_code == 0, resumed.output
    told = json.loads((tmp_path / "s.json").read_text())
    assert (told["rows"], told["resumed"] >= 10) == (410, True)
    assert sorted(path.name for path in output.iterdir()) == ["a.jsonl", "b.jsonl"]
