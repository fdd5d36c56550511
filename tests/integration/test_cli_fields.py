"""The way of somebody who extracts invoices: graded, tuned, calibrated, certified, and reviewed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ct_guard.cli import cli
from ct_guard.fields import grade_fields
from ct_guard.fields.rows import FIELDS, FIELDS_CORRECT
from ct_guard.promises import FieldCertificate
from ct_guard.store import load_manifest

QUICK = (
    "--learning-rate", "5e-3", "--batch-size", "32", "--warmup", "2", "--steps", "80",
    "--evaluate-every", "40", "--twins", "0",
)  # fmt: skip


# so small a world is learnt whole, and a calibrator says so
pytestmark = pytest.mark.filterwarnings("ignore:the logits separate right from wrong")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)


def invoice(number: int) -> dict[str, Any]:
    """What is misread stands in small letters, so that a model of no size can learn it; one in
    fifteen of these is right all the same."""
    gold: dict[str, Any] = {"invoice": {"no": f"A{number}", "to": "KELSO"}, "vat": None}
    said: dict[str, Any] = {"invoice": dict(gold["invoice"]), "vat": None}
    if number % 2:
        said["invoice"]["no"] = f"x{number}" if number % 15 else f"a{number}"
    if number % 3 == 0:
        said["invoice"]["to"] = "quorn" if number % 45 else "kelso"
    return {"question": f"Invoice {number}?", "answer": said, "gold": gold}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("invoices")


@pytest.fixture(scope="module")
def graded(place: Path) -> dict[str, Path]:
    """Rows of each part, graded by field."""
    made = {}
    for at, (name, count) in enumerate(
        [("tuning", 160), ("validation", 40), ("calibration", 120), ("certification", 160)]
    ):
        rows = write(place / f"{name}.gold.jsonl", [invoice(1000 * at + n) for n in range(count)])
        made[name] = place / f"{name}.jsonl"
        assert run("grade", rows, "--fields", "-o", made[name], "-q").exit_code == 0
    return made


@pytest.fixture(scope="module")
def tuned(place: Path, graded: dict[str, Path], tiny_base: Path) -> Path:
    target = place / "tuned"
    done = run(
        "tune", graded["tuning"], "--fields", "--base", tiny_base, "-o", target, *QUICK,
        "--validation", graded["validation"], "--calibration", graded["calibration"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return target


@pytest.fixture(scope="module")
def certified(place: Path, graded: dict[str, Path], tuned: Path) -> Path:
    """Calibrated by path, and certified on rows of its own."""
    fitted, target = place / "fitted", place / "certified"
    for name, estimator in (("calibration", tuned), ("certification", tuned)):
        scored = place / f"{name}.scored.jsonl"
        done = run("score", graded[name], "--fields", "-e", estimator, "-o", scored, "-q")
        assert done.exit_code == 0, done.output
    done = run(
        "calibrate", place / "calibration.scored.jsonl", "-e", tuned, "--fields", "-o", fitted
    )
    assert done.exit_code == 0, done.output
    done = run(
        "certify", place / "certification.scored.jsonl", "-e", fitted, "--fields",
        "--alpha", "0.15", "-o", target,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return target


def test_grades_say_which_fields_are_right(graded: dict[str, Path]) -> None:
    row = read(graded["tuning"])[3]
    assert row["correct"] is False
    assert row[FIELDS_CORRECT] == {"invoice.no": False, "invoice.to": False, "vat": True}


def test_the_tuned_estimator_reads_fields(tuned: Path) -> None:
    reading = load_manifest(tuned).fields
    assert reading is not None
    assert reading.calibrators["*"].n == 3 * 120


def test_a_threshold_is_certified(certified: Path) -> None:
    (promise,) = load_manifest(certified).promises
    assert isinstance(promise, FieldCertificate)
    assert promise.threshold is not None
    assert promise.n == 160


def test_fields_below_it_are_reviewed(place: Path, certified: Path) -> None:
    rows = write(place / "new.jsonl", [invoice(3200 + n) for n in range(60)])
    policy = place / "policy.json"
    rule = {"kind": "fields", "below": "review", "rules": {"vat": {"threshold": 0.0}}}
    policy.write_text(json.dumps(rule))
    output = place / "new.scored.jsonl"
    done = run("score", rows, "--fields", "-e", certified, "--policy", policy, "-o", output, "-q")
    assert done.exit_code == 0, done.output
    told = read(output)
    (promise,) = load_manifest(certified).promises
    assert isinstance(promise, FieldCertificate)
    assert promise.threshold is not None
    numbers = [row[FIELDS]["invoice.no"] for row in told]
    assert {field["action"] for field in numbers} == {"pass", "review"}
    for field in numbers:
        assert (field["action"] == "pass") == (field["p"] >= promise.threshold)
    assert {row[FIELDS]["vat"]["action"] for row in told} == {"pass"}
    right = [
        correct
        for row in told
        for path, correct in grade_fields(row["answer"], row["gold"]).items()
        if row[FIELDS][path]["action"] == "pass"
    ]
    chance = 2 * (promise.alpha * (1 - promise.alpha) / len(right)) ** 0.5
    assert right.count(False) / len(right) <= promise.alpha + chance


def test_evaluating_puts_the_whole_answers_p_beside_them(place: Path, certified: Path) -> None:
    source = place / "certification.scored.jsonl"
    done = run("evaluate", source, "--fields", "-e", certified, "--json", "--resamples", "100")
    found = json.loads(done.output)
    assert found["fields"] == 3 * 160
    assert found["auroc"] > found["whole_auroc"]
    assert set(found["groups"]) == {"invoice.no", "invoice.to", "vat"}
