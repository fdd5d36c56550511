"""calibrate, certify and evaluate as users type them, on one estimator and its files; the figures
themselves are in test_cli_evaluate.py."""

import json
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import expit

import ct_guard
from ct_guard.calibration import CALIBRATORS
from ct_guard.cli import cli
from ct_guard.cli.calibrate import KINDS
from ct_guard.errors import CtGuardError
from ct_guard.evaluation import read_scored
from ct_guard.evaluation.probabilities import probabilities
from ct_guard.store import load_manifest, model_card
from tests.integration.scored_files import inside, rows, run, write


@pytest.fixture
def folder(tmp_path: Path, tiny_estimator: Path) -> Path:
    scorer = {"scorer": load_manifest(tiny_estimator).scorer}
    files = {
        "calibration": rows("c", 300, answers=2),
        "certification": rows("d", 600, answers=2, seed=1),
        "test": rows("t", 300, answers=2, seed=2),
        "hopeless": [row | {"correct": n % 2 == 0} for n, row in enumerate(rows("h", 100))],
    }
    for name, made in files.items():
        write(tmp_path / f"{name}.jsonl", [row | scorer for row in made])
    return tmp_path


def test_the_whole_path(folder: Path, tiny_estimator: Path) -> None:
    done = run(folder, "calibrate", "calibration.jsonl", "-e", tiny_estimator, "-o", "mine")
    assert done.returncode == 0, done.stderr
    assert "platt" in done.stdout
    assert "600 labels on 300 questions" in done.stdout
    manifest = load_manifest(folder / "mine")
    assert manifest.certificates == ()
    assert manifest.calibrators["*"].params["a"] == pytest.approx(1.5, abs=0.3)

    several = run(folder, "certify", "certification.jsonl", "-e", "mine")
    assert several.returncode == 2
    assert "rows to certify must be independent" in several.stderr
    done = run(folder, "certify", "certification.jsonl", "-e", "mine", "--where", "sample=0")
    assert done.returncode == 0, done.stderr
    assert "at most 0.1 wrong among the answered, with probability 0.9" in done.stdout
    assert load_manifest(folder / "mine").name == "mine"
    certificate = load_manifest(folder / "mine").certificates[0]
    again = run(folder, "certify", "certification.jsonl", "-e", "mine", "--where", "sample=0")
    assert "It replaces the certificate of before for the same alpha and delta" in again.stderr
    assert certificate.n == 600
    assert certificate.threshold is not None

    seen = run(folder, "certify", "calibration.jsonl", "-e", "mine", "--first")
    assert seen.returncode == 2
    assert "300 of 300 questions were in the split 'calibration'" in seen.stderr
    none = run(folder, "certify", "hopeless.jsonl", "-e", "mine", "-o", "other", "--alpha", "0.05")
    assert none.returncode == 4, none.stderr
    assert none.stdout.startswith("No threshold: at most 0.05 wrong")
    assert "grade more rows" in none.stdout
    assert load_manifest(folder / "mine").certificates == (certificate,)
    for done in (several, seen, none):
        assert "Traceback" not in done.stderr

    figures = []
    for how in ((), ("-e", "mine")):
        done = run(folder, "evaluate", "test.jsonl", "--json", "--no-prior", *how)
        assert done.returncode == 0, done.stderr
        figures.append(json.loads(done.stdout)["estimators"][0]["figures"])
    assert figures[1]["AUROC"]["value"] == pytest.approx(figures[0]["AUROC"]["value"])
    assert figures[1]["log loss"]["value"] < figures[0]["log loss"]["value"] - 0.02

    shown = run(folder, "inspect", "mine")
    assert f"p >= {certificate.threshold:.3f}" in " ".join(shown.stdout.split())


def test_what_cannot_be_checked_is_said(folder: Path, tiny_estimator: Path) -> None:
    apply = ("calibrate", "calibration.jsonl", "--apply", "test.jsonl", "-o")
    alone = run(folder, *apply, "new.jsonl")
    assert "overlap with them was not checked. --estimator has it checked" in alone.stderr
    checked = run(folder, *apply, "newer.jsonl", "--disjoint-from", "certification.jsonl")
    assert checked.returncode == 0, checked.stderr
    assert "overlap" not in checked.stderr


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_confidences_are_made_anew_by_rows_that_the_estimator_has_not_seen(
    folder: Path, tiny_estimator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    shutil.copytree(tiny_estimator, "seen")
    recorded = inside("evaluate", "test.jsonl", "-e", "seen", "--record", "--no-prior")
    assert recorded.exit_code == 0, recorded.output
    before = contents(Path("seen"))
    apply = ("--apply", "certification.jsonl", "-o", "new.jsonl")
    tested = inside("calibrate", "test.jsonl", "-e", "seen", *apply)
    assert "300 of 300 questions were in the split 'test'" in str(tested.exception)
    of_another = inside("calibrate", "calibration.jsonl", "-e", "mini", *apply)
    assert "scored by 'tiny', and not by" in str(of_another.exception)
    assert not Path("new.jsonl").exists()

    done = inside("calibrate", "calibration.jsonl", "-e", "seen", *apply)
    assert done.exit_code == 0, done.output
    assert "overlap" not in done.stderr
    assert "1,200 rows have a new confidence" in done.stderr
    alone = inside("calibrate", "calibration.jsonl", *apply[:-1], "alone.jsonl")
    assert alone.exit_code == 0, alone.output
    assert Path("new.jsonl").read_bytes() == Path("alone.jsonl").read_bytes()
    assert contents(Path("seen")) == before


def test_a_threshold_allows_for_what_an_audit_found(
    folder: Path, tiny_estimator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    answered = "".join(f"A{n}?,1,{n % 2}\n" for n in range(120))
    Path("answered.csv").write_text(f"question,gold,answer\n{answered}")
    assert inside("grade", "answered.csv", "-o", "graded.csv").exit_code == 0
    certify = ("certify", "certification.jsonl", "-e", tiny_estimator, "--first", "-o")
    share = "--grader-false-pass"
    unchecked = inside(*certify, "x", share, "graded.csv")
    assert "ct-guard audit graded.csv" in str(unchecked.exception)
    assert "neither a number" in str(inside(*certify, "x", share, "5%").exception)
    assert inside("audit", "graded.csv", "check.csv", "--draw", "100").exit_code == 0
    lines = Path("check.csv").read_text().splitlines()
    checked = [f"{line}{'true' if line.split(',')[3] == '1' else 'false'}" for line in lines[1:]]
    Path("check.csv").write_text("\n".join([lines[0], *checked]))
    assert f"{share} graded.csv" in inside("audit", "graded.csv", "check.csv").stdout
    done = inside(*certify, "mine", share, "graded.csv", "--alpha", "0.2")
    assert done.exit_code == 0, done.output
    bound = json.loads(Path("graded.csv.manifest.json").read_text())["audit"]["false_pass"]["high"]
    assert load_manifest(folder / "mine").certificates[0].grader_false_pass == bound > 0.05
    assert f"the grader is taken to pass {bound:.1%}" in done.stderr


def test_a_file_of_right_answers_only_is_certified_with_a_warning(
    folder: Path, tiny_estimator: Path
) -> None:
    right = [row for row in rows("r", 200) if row["correct"]]
    source = folder / "right.jsonl"
    write(source, right)
    done = inside("certify", source, "-e", tiny_estimator, "-o", folder / "mine")
    assert done.exit_code == 0, done.output
    assert "graded answers are right: if wrong ones were left out" in done.stderr
    assert "The grades are taken as the truth" in done.stderr


def test_a_file_is_recalibrated_and_compared_to_what_it_was(folder: Path) -> None:
    arguments = ("calibrate", "calibration.jsonl", "--apply", "test.jsonl", "-o", "new.jsonl")
    done = run(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert run(folder, *arguments).returncode == 2
    done = run(
        folder, "evaluate", "test.jsonl", "new.jsonl", "--json", "--resamples", "100",
        "--by", "kind", "--paper-ece", "--plot", "curves.svg",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    old, new, prior = found["estimators"]
    assert prior["name"] == "question prior"
    assert old["figures"]["AUROC"]["value"] == pytest.approx(new["figures"]["AUROC"]["value"])
    gain = found["differences"][1]["figures"]["log loss"]
    assert (found["differences"][1]["of"], gain["high"] < 0) == (new["name"], True)
    assert [part["name"] for part in old["slices"]][:2] == ["long", "short"]
    assert "new.jsonl" in (folder / "curves.svg").read_text()

    table = run(folder, "evaluate", "test.jsonl", "--resamples", "100", "--by", "kind")
    for text in ("question prior", "pair accuracy", "macro average within slices", "long"):
        assert text in table.stdout


def test_an_evaluation_is_recorded_and_shown(folder: Path, tiny_estimator: Path) -> None:
    done = run(
        folder, "evaluate", "test.jsonl", "-e", tiny_estimator, "--record", "-o", "evaluated",
        "--by", "kind", "--no-prior", "--resamples", "100", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("Written to evaluated\n")
    found = json.loads(done.stdout)["estimators"][0]
    manifest = load_manifest(folder / "evaluated")
    area = found["figures"]["AUROC"]
    assert [manifest.figures[f"test AUROC{end}"] for end in ("", " low", " high")] == [
        area[end] for end in ("value", "low", "high")
    ]
    within = found["slices"][-1]["figures"]["AUROC"]
    assert manifest.figures["test AUROC within kind (macro average)"] == within["value"]

    interval = f"{area['low']:.4g} to {area['high']:.4g}"
    shown = run(folder, "inspect", "evaluated")
    said = " ".join(shown.stdout.split())
    assert f"test AUROC: {area['value']:.4g} (95% interval {interval})" in said
    assert "test questions: 300" in said
    card = model_card(manifest, "me/evaluated")
    assert f"| test AUROC | {area['value']:.4g} | {interval} |" in card
    assert "| test rows | 600 |  |" in card
    assert f"- test: hash of its questions `{manifest.data['test']}`" in card

    for command in (("calibrate", "-o", "x"), ("certify", "--first")):
        seen = run(folder, command[0], "test.jsonl", "-e", "evaluated", *command[1:])
        assert seen.returncode == 2
        assert "300 of 300 questions were in the split 'test'" in seen.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calibrate", "test.jsonl", "-o", "x"], "--estimator"),
        (["calibrate", "missing.jsonl", "-e", "{tiny}", "-o", "x"], "missing.jsonl"),
        (["calibrate", "test.jsonl", "-e", "{tiny}", "-o", "{tiny}"], "exists"),
        (["calibrate", "test.jsonl", "-e", "mini", "-o", "x"], "scored by 'tiny'"),
        (
            ["calibrate", "test.jsonl", "-e", "{tiny}", "-o", "x", "--disjoint-from", "test.jsonl"],
            "shares 300 of 300 questions",
        ),
        (["calibrate", "test.jsonl", "--apply", "test.jsonl", "-o", "x.jsonl"], "line 1"),
        (["certify", "test.jsonl", "-e", "mini", "--first"], "copy with --output"),
        (["certify", "test.jsonl", "-e", "{tiny}", "--first", "--alpha", "2"], "alpha"),
        (["certify", "test.jsonl", "-e", "{tiny}", "--where", "sample"], "COLUMN=VALUE"),
        (["evaluate", "test.jsonl", "--record"], "--record needs --estimator"),
        (["evaluate", "test.jsonl", "-e", "{tiny}", "-o", "x"], "--output goes with --record"),
        (["evaluate", "test.jsonl", "-e", "mini", "--record"], "copy with --output"),
        (["evaluate", "test.jsonl", "--plot", "x.jpg"], ".png or .svg"),
        (["evaluate", "test.jsonl", "--by", "colour"], "no row has a column 'colour'"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_changes_nothing(
    arguments: list[str],
    message: str,
    folder: Path,
    tiny_estimator: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    filled = [text.format(tiny=tiny_estimator) for text in arguments]
    result = CliRunner().invoke(cli, filled, standalone_mode=False)
    assert isinstance(result.exception, (CtGuardError, click.UsageError)), result.output
    said = getattr(result.exception, "message", str(result.exception))
    assert message in said
    assert "\n" not in said
    assert sorted(path.name for path in folder.iterdir()) == before
    assert load_manifest(tiny_estimator).questions is None


def test_help_names_every_kind_that_there_is() -> None:
    assert set(KINDS) == set(CALIBRATORS)


def test_log_probabilities_are_learnt_for_a_hybrid_only(
    folder: Path, tiny_estimator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    options = ("calibrate", "calibration.jsonl", "-o", "new", "--logprobs")
    alone = inside(*options, "--apply", "test.jsonl")
    assert alone.exit_code == 2
    assert "--logprobs needs --estimator" in alone.stderr
    applied = inside(*options, "-e", tiny_estimator, "--apply", "test.jsonl")
    assert applied.exit_code == 2
    assert "without --apply" in applied.stderr
    other = inside(*options, "-e", tiny_estimator)
    assert other.exit_code == 2
    assert "is of the method query, not a hybrid" in other.stderr


@pytest.fixture
def hybrid(folder: Path) -> Path:
    """mini, which the files then are of: with log-probabilities that tell much."""
    rng = np.random.default_rng(4)
    base = Path(ct_guard.__file__).parent / "mini" / "hybrid"
    for name in ("calibration", "test"):
        path = folder / f"{name}.jsonl"
        made = [json.loads(line) for line in path.read_text().splitlines()]
        for row in made:
            logprob = -float(rng.exponential(2.0))
            right = bool(rng.random() < expit(row["logit"] + 2.0 * (logprob + 2.0)))
            row |= {"model": "m", "logprobs": [logprob], "correct": right}
            row |= {"estimator": "mini", "scorer": load_manifest(base).scorer}
        path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return base


@pytest.fixture
def hybrid_with_a_layer(folder: Path, hybrid: Path) -> Path:
    made = folder / "learnt"
    rows = folder / "calibration.jsonl"
    done = inside("calibrate", rows, "-e", hybrid, "-o", made, "--logprobs")
    assert done.exit_code == 0, done.output
    return made


def test_what_a_hybrid_learns_of_log_probabilities_changes_its_probabilities(
    folder: Path, hybrid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    loss = []
    for how in ((), ("--logprobs",)):
        made_of = f"new{len(how)}"
        done = inside("calibrate", "calibration.jsonl", "-e", hybrid, "-o", made_of, *how)
        assert done.exit_code == 0, done.output
        assert ("m: log-probabilities are used (600 labels" in done.stderr) == bool(how)
        scored = read_scored("test.jsonl", need="logit")
        p = probabilities(scored, load_manifest(Path(made_of)))
        loss.append(-np.log(np.where(scored.correct, p, 1 - p)).mean())
    assert loss[1] < loss[0] - 0.05
    assert "of m, where given: logit" in inside("inspect", "new1").stdout


def test_a_calibration_on_new_rows_leaves_out_what_was_learnt_of_old_log_probabilities(
    folder: Path, hybrid_with_a_layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the rows of that model would keep the old confidence. The copy and `--apply` agree."""
    monkeypatch.chdir(folder)
    options = ("calibrate", "calibration.jsonl", "-e", hybrid_with_a_layer, "-o")
    copied = inside(*options, "again")
    assert copied.exit_code == 0, copied.output
    said = "has learnt of the log-probabilities of m was of other rows, and is left out"
    assert f"{said}; --logprobs learns it anew." in " ".join(copied.stderr.split())
    manifest = load_manifest(Path("again"))
    assert manifest.provider == {}
    applied = inside(*options, "applied.jsonl", "--apply", "test.jsonl")
    assert applied.exit_code == 0, applied.output
    assert f"{said}." in " ".join(applied.stderr.split())
    lines = Path("applied.jsonl").read_text().splitlines()
    written = [json.loads(line)["confidence"] for line in lines]
    expected = probabilities(read_scored("test.jsonl", need="logit"), manifest)
    assert written == pytest.approx(list(expected))
