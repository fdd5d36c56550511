"""`ct-guard monitor`, `outcomes add` and `certify --from-outcomes`, as they are typed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ct_guard import CertifyConfig, certify
from ct_guard.cli import cli
from ct_guard.errors import InputError
from tests.unit.evaluation.conftest import estimator, make_rows, write

__all__ = ["estimator", "make_rows", "write"]

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


@pytest.fixture
def certified(write: Write, make_rows: MakeRows, estimator: Path) -> Path:
    rows = make_rows(1000, answers=1, bias=1.0, model="one")
    certify(write("certification.jsonl", rows), CertifyConfig(estimator=estimator))
    return estimator


def test_from_a_quiet_stream_to_a_void_certificate_and_a_new_one(
    certified: Path, write: Write, make_rows: MakeRows
) -> None:
    quiet = write("quiet.jsonl", make_rows(300, answers=1, prefix="q1", model="one", seed=3))
    found = run("monitor", quiet, "-e", certified)
    assert found.exit_code == 0, found.output
    assert "stands (answers with p >=" in found.stdout
    assert "false alarms in at most 5.0% of streams" in found.stdout
    assert "Noted 300 of 300 rows." in found.stderr

    bad = write("bad.jsonl", make_rows(80, answers=1, prefix="b", bias=-2.0, model="one", seed=4))
    assert run("monitor", bad, "-e", certified).exit_code == 0
    found = run("outcomes", "add", bad, "-e", certified)
    assert found.exit_code == 5
    assert "ALARM (risk): The certificate of tiny for alpha=0.1 is void" in found.stdout
    assert "certificate  VOID (answers with p >=" in found.stdout
    assert found.stdout.lower().count(" void") == 2  # the alarm, and how it stands
    assert "Outcomes: 80 new." in found.stderr
    assert "for alpha=0.1 is void: " in run("inspect", certified).stdout

    again = run("monitor", "-e", certified)
    assert again.exit_code == 5
    assert "Told before" in again.stderr

    good = write("good.jsonl", make_rows(900, answers=1, prefix="g", bias=1.0, model="one", seed=5))
    run("monitor", good, "-e", certified)
    run("outcomes", "add", good, "-e", certified)
    made = run("certify", "-e", certified, "--from-outcomes")
    assert made.exit_code == 0, made.output
    assert "P(correct) >=" in made.stdout
    assert run("monitor", "-e", certified).exit_code == 0


def test_messages_name_the_options(certified: Path, write: Write) -> None:
    rows = write("labels.jsonl", [{"id": "z", "correct": True}])
    found = run("outcomes", "add", rows, "-e", certified)
    assert isinstance(found.exception, InputError)
    assert "skip such rows with --skip-unknown" in str(found.exception)
    passed = run("outcomes", "add", rows, "-e", certified, "--skip-unknown")
    assert passed.exit_code == 0
    assert "1 of unknown answers, passed over" in passed.stderr
    found = run("certify", "-e", certified)
    assert found.exit_code == 2
    assert "[SCORED]" in found.stderr
    assert "--from-outcomes" in found.stderr
