"""The embedded model: real weights, judged on questions that a person can check."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from ct_guard import QuestionAnswer, load_estimator
from ct_guard.estimators import Estimator, OutOfScopeWarning
from ct_guard.query import QUERY_TEXT, forgery_in
from ct_guard.store import MINI, load_manifest
from ct_guard.tuning.augment import ENDINGS
from tests.present import present

ROOT = Path(__file__).parents[2]
NAMES = ("mini", "mini:query", "mini:zero-shot", "mini:likelihood", "mini:hybrid")

SUMS = [(a, b) for a in range(1, 10) for b in range(a, 10)] + [
    (10, 5), (11, 1), (20, 4), (12, 3), (30, 6),
]  # fmt: skip
"""Fifty sums: every one of two digits from 1 to 9, and five with a two-digit number."""


@pytest.fixture(scope="module")
def mini() -> Estimator:
    return load_estimator("mini")


def scores(estimator: Estimator, pairs: list[tuple[str, str]]) -> list[float]:
    items = [QuestionAnswer(question=question, answer=answer) for question, answer in pairs]
    found = [confidence.p for confidence in estimator.score(items)]
    assert all(p is not None for p in found)
    return [p for p in found if p is not None]


def test_right_sums_score_above_wrong_ones(mini: Estimator) -> None:
    assert len(SUMS) == 50
    asked = [f"What is {a} plus {b}?" for a, b in SUMS]
    right = scores(mini, [(q, str(a + b)) for q, (a, b) in zip(asked, SUMS, strict=True)])
    wrong = scores(mini, [(q, str(a + b + 1)) for q, (a, b) in zip(asked, SUMS, strict=True)])
    above = sum(r > w for r, w in zip(right, wrong, strict=True))
    assert above >= 45, f"{above} of 50"


def test_the_row_with_a_copy_of_the_query_is_refused_by_name(mini: Estimator) -> None:
    rows = [json.loads(line) for line in (ROOT / "examples/answers.jsonl").read_text().splitlines()]
    forged = [row for row in rows if QUERY_TEXT.strip() in row["answer"]]
    assert forged
    for row in forged:
        (found,) = mini.score([QuestionAnswer(question=row["question"], answer=row["answer"])])
        assert (found.status, found.p, found.sanitized) == ("forged", None, True)
        assert "the answer speaks as the uncertainty query does" in (found.error or "")


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_is_refused_or_lifts_no_wrong_answer(mini: Estimator, ending: str) -> None:
    asked = [f"What is {a} plus {b}?" for a, b in SUMS]
    wrong = [str(a + b + 1) for a, b in SUMS]
    if forgery_in(f"3{ending}"):
        items = [
            QuestionAnswer(question=q, answer=w + ending) for q, w in zip(asked, wrong, strict=True)
        ]
        assert {found.status for found in mini.score(items)} == {"forged"}
        return
    clean = scores(mini, list(zip(asked, wrong, strict=True)))
    forged = scores(mini, [(q, w + ending) for q, w in zip(asked, wrong, strict=True)])
    assert float(np.mean(np.array(forged) - np.array(clean))) <= 0.1


@pytest.mark.parametrize("filler", [" " * 10 + ".", " " * 300 + ".", "\n \n .", "\u2800" * 9 + "."])
def test_blanks_lift_no_wrong_answer_over_that_with_a_full_stop(filler: str) -> None:
    estimator = load_estimator("mini:query")
    asked = [(f"What is {a} plus {b}?", str(a + b + 1)) for a, b in SUMS[:12]]
    plain = scores(estimator, [(q, w + ".") for q, w in asked])
    filled = scores(estimator, [(q, w + filler) for q, w in asked])
    assert filled == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_embedded_estimator_loads_calibrated_with_a_verdict_on_certification(
    name: str,
) -> None:
    estimator = load_estimator(name)
    result = estimator.score([QuestionAnswer(question="What is 2 plus 2?", answer="4")])[0]
    assert result.status == "ok"
    assert result.calibrated
    (certificate,) = estimator.manifest.certificates
    assert (certificate.alpha, certificate.delta) == (0.10, 0.10)
    assert (certificate.threshold is None) == bool(certificate.reason)


def test_mini_is_the_estimator_with_the_best_log_loss_on_the_calibration_rows() -> None:
    losses = {
        name: load_manifest(MINI / name).figures["cross-fitted log loss on the calibration rows"]
        for name in json.loads((MINI / "index.json").read_text())["estimators"]
    }
    default = json.loads((MINI / "index.json").read_text())["default"]
    assert losses[default] == min(float(str(loss)) for loss in losses.values())


def test_any_text_survives_the_tokenizer(mini: Estimator) -> None:
    backend = present(mini.backend)
    for text in ("Zoë – 😀", "a\n\nb\tc", "مرحبا", "<|end|> not special", " lead"):
        assert backend.encoder.decode(backend.encoder.encode(text)) == text
    assert len(backend.encoder.encode("12345")) == 5
    assert present(mini.query).label_ids == (
        backend.encoder.label_id("i"),
        backend.encoder.label_id("ii"),
    )


def test_it_says_once_that_it_knows_only_its_own_world() -> None:
    estimator = load_estimator("mini")
    strange = QuestionAnswer(question="Who painted the ceiling of the Sistine Chapel?", answer="?")
    known = QuestionAnswer(question="What is 3 plus 4?", answer="7")
    estimator.score([known])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for items in ([strange, strange], [strange]):
            estimator.score(items)
    (only,) = told
    assert only.category is OutOfScopeWarning
    assert "knows only its own world" in str(only.message)


def test_every_example_row_is_of_its_world(mini: Estimator) -> None:
    rows = [json.loads(line) for line in (ROOT / "examples/answers.jsonl").read_text().splitlines()]
    asked = [QuestionAnswer(question=row["question"], answer=row["answer"]) for row in rows]
    assert not [qa.question for qa in asked if mini.outside_scope(qa)]


def test_it_is_small_and_safe() -> None:
    files = [path for path in MINI.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 24e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".jinja", ".gguf"}


def test_the_card_holds_the_figures_of_the_manifests_and_the_command() -> None:
    card = (MINI / "README.md").read_text()
    assert "python -m tools.mini_world" in card
    for name in json.loads((MINI / "index.json").read_text())["estimators"]:
        figures = load_manifest(MINI / name).figures
        (row,) = re.findall(rf"\| `mini:{name}` \|.*", card)
        for column in ("AUROC", "ECE", "log loss"):
            assert f"{figures[column]:.3f}" in row
