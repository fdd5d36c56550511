"""Fields calibrated and certified, from files whose truth is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ct_guard import CalibrateConfig, CertifyConfig, EvaluateConfig, calibrate, certify
from ct_guard.cli import cli
from ct_guard.errors import FieldError, InputError
from ct_guard.evaluation.fields import field_figures, read_fields
from ct_guard.fields.rows import FIELDS, FIELDS_CORRECT, FIELDS_SCORER
from ct_guard.promises import FieldCertificate
from ct_guard.store import BaseModelRef, Manifest, load_manifest, save_estimator
from ct_guard.workflows.fielding import evaluate_fields

PATHS = ("town", "items[0].price", "items[1].price")


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fields") / "tiny"
    manifest = Manifest(name="tiny", method="likelihood", base=BaseModelRef(id="base"))
    save_estimator(folder, manifest)
    return folder


def rows(estimator: Path, first: int, n: int, seed: int) -> list[dict[str, Any]]:
    """Prices are as likely right as their logit says, towns less so by two."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(first, first + n):
        logits = random.normal(2.5, 2.0, len(PATHS))
        told, right = {}, {}
        for path, logit in zip(PATHS, logits, strict=True):
            truth = logit - 2.0 if path == "town" else logit
            p = 1 / (1 + np.exp(-logit))
            told[path] = {"p": float(p), "logit": float(logit), "kind": "text", "status": "ok"}
            right[path] = bool(random.random() < 1 / (1 + np.exp(-truth)))
        made.append(
            {
                "question": f"Who is {number}?",
                "answer": {"town": "x"},
                "confidence": 0.5,
                FIELDS: told,
                FIELDS_SCORER: load_manifest(estimator).field_scorer,
                FIELDS_CORRECT: right,
            }
        )
    return made


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


@pytest.fixture(scope="module")
def calibrated(estimator: Path) -> Path:
    source = write(estimator.parent / "calibration.jsonl", rows(estimator, 0, 600, 0))
    target = estimator.parent / "calibrated"
    config = CalibrateConfig(estimator=estimator, fields=True, kind="platt")
    made = calibrate(source, target, config)
    assert made.labels == 1800
    return target


def test_each_group_with_labels_enough_has_its_calibrator(calibrated: Path) -> None:
    reading = load_manifest(calibrated).fields
    assert reading is not None
    assert set(reading.calibrators) == {"*", "town", "items[].price"}
    assert reading.calibrators["town"].params["b"] == pytest.approx(-2.0, abs=0.5)
    assert reading.calibrators["items[].price"].params["b"] == pytest.approx(0.0, abs=0.4)


def test_calibrated_fields_mean_what_they_say(calibrated: Path, estimator: Path) -> None:
    fresh = read_fields(write(calibrated.parent / "test.jsonl", rows(estimator, 900, 900, 1)))
    reading = load_manifest(calibrated).fields
    assert reading is not None
    raw, fitted = field_figures(fresh), field_figures(fresh, reading.calibrators)
    assert fitted.ece < 0.03 < raw.ece
    assert fitted.log_loss < raw.log_loss
    assert fitted.auroc is not None
    assert fitted.auroc > 0.8
    assert fitted.whole_auroc == 0.5


def test_fields_are_evaluated_beside_the_whole_answer(calibrated: Path, estimator: Path) -> None:
    source = write(calibrated.parent / "evaluated.jsonl", rows(estimator, 20_000, 200, 7))
    figures, said = evaluate_fields(source, EvaluateConfig(estimator=calibrated, resamples=200))
    assert said == []
    assert (figures.fields, figures.answers) == (600, 200)
    assert figures.gain is not None
    assert figures.auroc is not None
    assert figures.gain.value == pytest.approx(figures.auroc - 0.5)  # the whole's P is constant
    assert figures.gain.low is not None
    assert figures.gain.low > 0
    assert figures.ece < 3 * figures.noise_floor
    assert figures.whole_ece == pytest.approx(abs(figures.accuracy - 0.5))
    assert list(figures.groups) == ["items[].price", "town"]
    assert sum(one.fields for one in figures.groups.values()) == 600
    raw, _ = evaluate_fields(source)
    assert raw.ece > figures.ece


def test_figures_of_whole_answers_are_not_for_fields(estimator: Path) -> None:
    with pytest.raises(FieldError, match="`by`"):
        evaluate_fields("none.jsonl", EvaluateConfig(by="kind"))


def test_the_command_shows_fields_by_group(calibrated: Path, estimator: Path) -> None:
    source = write(calibrated.parent / "shown.jsonl", rows(estimator, 30_000, 60, 8))
    shown = CliRunner().invoke(cli, ["evaluate", str(source), "--fields", "--resamples", "100"])
    assert shown.exit_code == 0, shown.output
    assert "items[].price" in shown.output
    assert "AUROC less the whole's" in shown.output
    told = CliRunner().invoke(cli, ["evaluate", str(source), "--fields", "--json"])
    assert json.loads(told.output)["groups"]["town"]["fields"] == 60


def test_a_certificate_of_fields_goes_into_the_manifest(calibrated: Path, estimator: Path) -> None:
    source = write(calibrated.parent / "certification.jsonl", rows(estimator, 3000, 800, 2))
    config = CertifyConfig(
        estimator=calibrated, output=calibrated.parent / "certified", fields=True, alpha=0.1
    )
    (made,) = certify(source, config).promises
    assert isinstance(made, FieldCertificate)
    assert made.threshold is not None
    assert (made.n, made.fields) == (800, 2400)
    assert made in load_manifest(calibrated.parent / "certified").promises


def test_rows_of_another_reading_are_refused(calibrated: Path, estimator: Path) -> None:
    made = rows(estimator, 5000, 20, 3)
    for row in made:
        row[FIELDS_SCORER] = "0123456789ab"
    source = write(calibrated.parent / "others.jsonl", made)
    config = CalibrateConfig(estimator=estimator, fields=True)
    with pytest.raises(InputError, match="another estimator"):
        calibrate(source, calibrated.parent / "none", config)


def test_several_answers_to_a_question_certify_nothing(calibrated: Path, estimator: Path) -> None:
    made = [*rows(estimator, 7000, 20, 4), *rows(estimator, 7000, 20, 5)]
    source = write(calibrated.parent / "twice.jsonl", made)
    with pytest.raises(InputError, match="several answers"):
        certify(source, CertifyConfig(estimator=calibrated, fields=True))


def test_a_file_without_graded_fields_says_what_is_missing(tmp_path: Path) -> None:
    source = write(tmp_path / "plain.jsonl", [{"question": "?", "answer": "x", "confidence": 0.5}])
    with pytest.raises(InputError, match="grade --fields"):
        read_fields(source)


def test_fields_are_calibrated_by_themselves(estimator: Path) -> None:
    with pytest.raises(FieldError, match="by themselves"):
        CalibrateConfig(estimator=estimator, fields=True, ood=True)
    with pytest.raises(FieldError, match="one at a time"):
        certify("x.jsonl", CertifyConfig(estimator=estimator, fields=True, by="domain"))
