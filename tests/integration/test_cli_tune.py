"""`ct-guard tune` as users type it, and what the other commands make of its estimators."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ct_guard import load_estimator
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.cli import cli
from ct_guard.errors import (
    CtGuardError,
    InputError,
    ManifestError,
    MismatchError,
    OutputExistsError,
    TuningError,
)
from ct_guard.estimators import PRIOR_FEATURES
from ct_guard.evidence.question_prior import QuestionPrior, fit_question_prior
from ct_guard.records import GradedAnswer, QuestionAnswer
from ct_guard.store import load_manifest, load_questions, question_hash
from tests.unit.tuning.rows import graded

QUICK = (
    "--learning-rate", "5e-3", "--batch-size", "16", "--warmup", "2", "--steps", "8",
    "--evaluate-every", "4",
)  # fmt: skip


def write(path: Path, rows: list[GradedAnswer], *, noise: bool = True) -> Path:
    """With `noise`, every seventh grade is the other one, as a calibrator needs some overlap."""
    lines = [
        {
            "question": row.qa.question,
            "answer": row.qa.answer,
            "correct": row.correct != (noise and at % 7 == 0),
        }
        for at, row in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def tune(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["tune", *map(str, arguments)], catch_exceptions=True)
    if isinstance(result.exception, CtGuardError | OSError | click.ClickException):
        raise result.exception
    return result


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "graded.jsonl", graded(240))


@pytest.mark.parametrize("method", ["query", "probe", "lora_probe", "hybrid"])
def test_every_method_becomes_an_estimator_that_scores(
    method: str, source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    target = tmp_path / "mine"
    result = tune(source, "--base", tiny_base, "-o", target, "--method", method, *QUICK)
    assert result.exit_code == 0, result.output
    assert "Calibrated: platt" in result.output
    manifest = load_manifest(target)
    assert (manifest.method, manifest.name, manifest.style) == (method, "mine", "chat_turn")
    activation = {"query": "query", "hybrid": "query", "lora_probe": "all", "probe": None}[method]
    assert manifest.activation == activation
    assert manifest.questions is not None
    splits = load_questions(target / manifest.questions)
    expected = {"tuning", "validation", "calibration"} | (
        {"layer"} if method == "hybrid" else set()
    )
    assert set(splits) == set(manifest.data) == expected
    assert sum(map(len, splits.values())) == len(frozenset.union(*splits.values())) == 120
    log = [json.loads(line) for line in Path(f"{target}.log.jsonl").read_text().splitlines()]
    started = [0] if activation == "query" else []  # where a linear probe ends
    assert [line["step"] for line in log] == [*started, 4, 8]
    assert not Path(f"{target}.run").exists()

    estimator = load_estimator(target, device="cpu")
    yes, no = estimator.score(
        [QuestionAnswer(question="Number 900?", answer=answer) for answer in ("YES!", "no")]
    )
    assert yes.p is not None
    assert no.p is not None
    assert yes.p > no.p
    assert yes.calibrated


def test_a_hybrid_with_a_question_prior_carries_it(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    target, copy = tmp_path / "mine", tmp_path / "copy"
    hybrid = (source, "--base", tiny_base, "-o", target, "--method", "hybrid", *QUICK)
    assert tune(*hybrid, "--question-prior").exit_code == 0
    manifest = load_manifest(target)
    assert manifest.layer is not None
    assert set(manifest.layer.features) > set(PRIOR_FEATURES)
    assert manifest.prior in manifest.files
    assert "trees in prior.json" in CliRunner().invoke(cli, ["inspect", str(target)]).output

    rows = [QuestionAnswer(question=f"Number {n}?", answer="YES!") for n in range(900, 904)]
    found = load_estimator(target, device="cpu").score(rows)
    assert all(one.p is not None for one in found)
    others = write(tmp_path / "others.jsonl", graded(60, offset=500))
    for command in (
        ["score", others, "-e", target, "-o", tmp_path / "scored.jsonl", "--device", "cpu"],
        ["calibrate", tmp_path / "scored.jsonl", "-e", target, "-o", copy],
    ):
        result = CliRunner().invoke(cli, [str(word) for word in command])
        assert result.exit_code == 0, result.output
    again = load_estimator(copy, device="cpu").score(rows)
    assert [one.logit for one in again] == [one.logit for one in found]
    (target / "prior.json").write_text("{}")
    with pytest.raises(ManifestError, match=r"prior\.json differs from its hash"):
        load_estimator(target, device="cpu")


def test_a_question_prior_sees_no_row_that_layer_or_calibrator_is_fitted_on(
    source: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def fit(questions: list[str], correct: Any) -> QuestionPrior:
        seen.extend(questions)
        return fit_question_prior(questions, correct)

    monkeypatch.setattr("ct_guard.tuning.estimator.fit_question_prior", fit)
    target = tmp_path / "mine"
    hybrid = (source, "--base", tiny_base, "-o", target, "--method", "hybrid", *QUICK)
    assert tune(*hybrid, "--question-prior").exit_code == 0
    splits = load_questions(target / str(load_manifest(target).questions))
    asked = {question_hash(QuestionAnswer(question=q, answer="").question_key()) for q in seen}
    assert asked == splits["tuning"] | splits["validation"]


def test_without_a_calibrator_it_says_so(source: Path, tiny_base: Path, tmp_path: Path) -> None:
    result = tune(source, "-b", tiny_base, "-o", tmp_path / "raw", "--calibrator", "none", *QUICK)
    assert "uncalibrated" in result.output
    assert set(load_manifest(tmp_path / "raw").data) == {"tuning", "validation"}
    answer = QuestionAnswer(question="Number 900?", answer="YES!")
    assert not load_estimator(tmp_path / "raw", device="cpu").score([answer])[0].calibrated


def test_files_of_ones_own_are_used_as_they_are(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    validation = write(tmp_path / "v.jsonl", graded(20, offset=500))
    calibration = write(tmp_path / "c.jsonl", graded(30, offset=700))
    tune(
        source, "-b", tiny_base, "-o", tmp_path / "mine", *QUICK,
        "--validation", validation, "--calibration", calibration,
    )  # fmt: skip
    manifest = load_manifest(tmp_path / "mine")
    assert manifest.questions is not None
    splits = load_questions(tmp_path / "mine" / manifest.questions)
    keys = {row.qa.question_key() for row in graded(20, offset=500)}
    assert splits["validation"] == {question_hash(key) for key in keys}
    assert len(splits["tuning"]) == 120
    assert manifest.calibrators["*"].n == 30


def test_a_question_in_two_files_is_refused(source: Path, tiny_base: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "v.jsonl", graded(20, offset=119))
    with pytest.raises(InputError, match=r"v\.jsonl, line 1: this question.* is in .*line 239"):
        tune(source, "-b", tiny_base, "-o", tmp_path / "x", "--validation", other)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"correct": "maybe"}], r"line 1: field 'correct' must be true or false"),
        ([{"correct": None}], r"grade the answers first \(ct-guard grade\)"),
        ([{}], r"grade the answers first \(ct-guard grade\)"),
    ],
)
def test_rows_that_cannot_be_learnt_from_are_named(
    rows: list[dict[str, Any]], said: str, tiny_base: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps({"question": "q", "answer": "a", **r}) for r in rows))
    with pytest.raises(InputError, match=said):
        tune(path, "-b", tiny_base, "-o", tmp_path / "x")


@pytest.mark.parametrize(
    ("change", "said"), [("split", "'ii' is 2 tokens .* must be one"), ("same", "same token id")]
)
def test_labels_that_are_not_two_single_tokens_are_refused_before_any_work(
    change: str, said: str, source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    if change == "split":
        tokenizer["model"]["merges"] = []
    else:
        swap = {"type": "Replace", "pattern": {"String": "ii"}, "content": "i"}
        tokenizer["normalizer"] = swap
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(MismatchError, match=said):
        tune(source, "-b", base, *QUICK, "-o", tmp_path / "x")
    assert not list(tmp_path.glob("x*"))


def test_one_class_is_refused_by_part(tiny_base: Path, tmp_path: Path) -> None:
    right = write(tmp_path / "right.jsonl", [row for row in graded(80) if row.correct], noise=False)
    with pytest.raises(TuningError, match=r"right\.jsonl: the part 'tuning' has .* needs right"):
        tune(right, "-b", tiny_base, "-o", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_how_the_base_was_loaded_is_kept_and_used_again(
    source: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No 8 bits without a GPU: the loader here notes what it was asked for, and loads them all."""
    asked: list[str | None] = []
    load = TransformersBackend.load

    def noting(base: str, *, quantization: str | None = None, **rest: Any) -> TransformersBackend:
        asked.append(quantization)
        return load(base, **rest)

    monkeypatch.setattr(TransformersBackend, "load", noting)
    target = tmp_path / "mine"
    tune(source, "-b", tiny_base, *QUICK, "-o", target, "--quantization", "8bit")
    assert load_manifest(target).base.quantization == "8bit"
    load_estimator(target, device="cpu")
    load_estimator(target, device="cpu", quantization=None)
    scored = CliRunner().invoke(
        cli,
        ["score", str(source), "-e", str(target), "-o", str(tmp_path / "s.jsonl"), "-q",
         "--quantization", "4bit"],
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    assert asked == ["8bit", "8bit", None, "4bit"]


def test_both_label_orders_are_tuned_and_calibrated_as_they_are_asked(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    command = (source, "-b", tiny_base, *QUICK)
    tune(*command, "-o", tmp_path / "fixed")
    tune(*command, "-o", tmp_path / "both", "--label-orders", "both")
    fixed, both = (load_manifest(tmp_path / name) for name in ("fixed", "both"))
    name = "adapter/adapter_model.safetensors"
    assert fixed.files[name] != both.files[name]
    assert (fixed.label_orders, both.label_orders) == ("fixed", "both")
    assert fixed.calibrators != both.calibrators
    estimator = load_estimator(tmp_path / "both", device="cpu")
    assert estimator.swapped is not None
    yes, no = estimator.score(
        [QuestionAnswer(question="Number 900?", answer=answer) for answer in ("YES!", "no")]
    )
    assert yes.p is not None
    assert no.p is not None
    assert yes.p > no.p
    refused = tune(*command, "-o", tmp_path / "x", "--method", "probe", "--label-orders", "both")
    assert refused.exit_code == 2
    assert "not for probe" in refused.output


def test_a_slash_behind_the_name_changes_nothing(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    tune(source, "-b", tiny_base, *QUICK, "-o", f"{tmp_path / 'mine'}/")
    assert load_manifest(tmp_path / "mine").name == "mine"
    assert (tmp_path / "mine.log.jsonl").is_file()
    assert not (tmp_path / "mine" / ".run").exists()


def test_nothing_that_is_not_its_own_is_replaced(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    for name in ("photos", "mine.run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "me.png").write_bytes(b"x")
    command = (source, "-b", tiny_base, *QUICK)
    with pytest.raises(OutputExistsError, match="is no estimator"):
        tune(*command, "-o", tmp_path / "photos", "--overwrite")
    with pytest.raises(OutputExistsError, match="something else than a tuning run"):
        tune(*command, "-o", tmp_path / "mine", "--overwrite")
    assert (tmp_path / "photos" / "me.png").exists()
    assert (tmp_path / "mine.run" / "me.png").exists()


def test_one_file_for_two_parts_is_refused(source: Path, tiny_base: Path, tmp_path: Path) -> None:
    command = (source, "-b", tiny_base, "-o", tmp_path / "x")
    other = write(tmp_path / "other.jsonl", graded(40, offset=500))
    with pytest.raises(InputError, match=r"for the part 'validation', is in .* for 'tuning'"):
        tune(*command, "--validation", source)
    with pytest.raises(InputError, match=r"for the part 'calibration', is in .* for 'validation'"):
        tune(*command, "--validation", other, "--calibration", other)


def test_the_time_that_is_left_is_said(source: Path, tiny_base: Path, tmp_path: Path) -> None:
    result = tune(source, "-b", tiny_base, *QUICK, "-o", tmp_path / "mine")
    _, first, last = (line for line in result.output.splitlines() if line.startswith("step "))
    assert re.search(r"step 4/8: .* rows/s, at most 0:\d\d:\d\d left", first)
    assert "left" not in last


def test_curves_are_drawn(source: Path, tiny_base: Path, tmp_path: Path) -> None:
    tune(source, "-b", tiny_base, *QUICK, "-o", tmp_path / "mine", "--plot", tmp_path / "c.svg")
    drawn = (tmp_path / "c.svg").read_text()
    assert "validation log loss" in drawn
    assert "Validation AUROC" in drawn
