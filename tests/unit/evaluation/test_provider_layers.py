"""What an answering model's own log-probabilities say, learnt from graded rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from ct_guard.errors import InputError, ManifestError
from ct_guard.estimators import load_estimator
from ct_guard.evaluation import read_scored
from ct_guard.evaluation.calibrate import calibrate
from ct_guard.evaluation.probabilities import probabilities
from ct_guard.evaluation.provider import fit_provider
from ct_guard.records import CalibratorState, QuestionAnswer
from ct_guard.store import BaseModelRef, Manifest, load_manifest, save_estimator
from ct_guard.store.layer import PROVIDER_FEATURES, layer_logits, provider_features
from ct_guard.testing import FakeBackend
from ct_guard.workflows.recalibration import save_calibration
from tests.known_confidence import estimator_on

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


def with_logprobs(
    rows: list[dict[str, Any]], *, weight: float, seed: int = 3
) -> list[dict[str, Any]]:
    """Two tokens each; the true P(correct) is sigma(logit + weight (log p + 2))."""
    rng = np.random.default_rng(seed)
    for row in rows:
        logprobs = (-rng.exponential(1.0, 2)).tolist()
        truth = expit(row["logit"] + weight * (sum(logprobs) + 2.0))
        row |= {"logprobs": logprobs, "correct": bool(rng.random() < truth)}
    return rows


def test_what_helps_is_learnt_for_this_model_alone(write: Write, make_rows: MakeRows) -> None:
    telling = with_logprobs(make_rows(800, model="telling", prefix="a"), weight=1.5)
    mute = with_logprobs(make_rows(800, model="mute", prefix="b", seed=2), weight=0.0)
    for row in mute:
        del row["logprobs"]
    scored = read_scored(write("s.jsonl", telling + mute), need="logit")
    layers, said = fit_provider(scored, calibrate(scored).calibrators, min_labels=100)
    assert set(layers) == {"telling"}
    assert said[0].startswith("telling: log-probabilities are used (800 labels; log loss 0.")
    manifest = Manifest(name="tiny", method="hybrid", base=BaseModelRef(id="b"), provider=layers)
    p = probabilities(scored, manifest)
    truth = [expit(row["logit"] + 1.5 * (sum(row["logprobs"]) + 2.0)) for row in telling]
    assert np.abs(p[:800] - truth).mean() < 0.05
    assert p[800:] == pytest.approx(expit(scored.logit[800:]))


def test_noise_is_not_learnt(write: Write, make_rows: MakeRows) -> None:
    rows = with_logprobs(make_rows(400, model="noisy"), weight=0.0, seed=8)
    scored = read_scored(write("s.jsonl", rows), need="logit")
    layers, said = fit_provider(scored, calibrate(scored, kind="platt").calibrators, min_labels=100)
    assert layers == {}
    assert "do not help (log loss" in said[0]


def test_too_few_rows_or_none_are_said(write: Write, make_rows: MakeRows) -> None:
    rows = with_logprobs(make_rows(60, model="rare"), weight=1.0)
    scored = read_scored(write("s.jsonl", rows), need="logit")
    layers, said = fit_provider(scored, calibrate(scored).calibrators, min_labels=100)
    assert layers == {}
    assert said[0].startswith("rare: log-probabilities of 60 labels")
    plain = read_scored(write("p.jsonl", make_rows(60, model="rare")), need="logit")
    with pytest.raises(InputError, match=r"p\.jsonl: no row has both 'logprobs'"):
        fit_provider(plain, calibrate(plain).calibrators, min_labels=100)


@pytest.fixture
def hybrid(tmp_path: Path) -> Path:
    """A hybrid without weights, which nothing here needs."""
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "adapter_config.json").write_text("{}")
    (lora / "adapter_model.safetensors").write_bytes(b"weights")
    manifest = Manifest(
        name="hybrid", method="hybrid", base=BaseModelRef(id="base"), activation="query"
    )
    save_estimator(tmp_path / "hybrid", manifest, adapter=lora)
    return tmp_path / "hybrid"


def test_the_layer_is_saved_and_read_back(
    write: Write, make_rows: MakeRows, hybrid: Path, tmp_path: Path
) -> None:
    rows = with_logprobs(make_rows(400, model="m"), weight=1.5)
    scored = read_scored(write("s.jsonl", rows), need="logit")
    found = calibrate(scored)
    layers, _ = fit_provider(scored, found.calibrators, min_labels=100)
    target = tmp_path / "new"
    save_calibration(hybrid, target, found.calibrators, scored, provider=layers)
    assert load_manifest(target).provider == layers


def test_the_features_are_the_raw_score_and_what_the_tokens_come_to(
    write: Write, make_rows: MakeRows
) -> None:
    assert provider_features(0.5, (-1.0, -3.0)).tolist() == [0.5, -4.0, -2.0, -3.0]
    rows = with_logprobs(make_rows(400, model="m"), weight=1.5)
    scored = read_scored(write("s.jsonl", rows), need="logit")
    layers, _ = fit_provider(scored, calibrate(scored).calibrators, min_labels=100)
    layer = layers["m"]
    known = provider_features(0.5, (-1.0, -3.0))
    scaled = (known - np.array(layer.mean)) / np.array(layer.scale)
    inside = np.clip(known, layer.low, layer.high)
    assert inside == pytest.approx(known)
    expected = layer.intercept + float(scaled @ np.array(layer.coef))
    assert layer_logits(layer, known[None])[0] == pytest.approx(expected)
    assert layer.features == PROVIDER_FEATURES


def test_a_layer_counts_wherever_probabilities_are_made(write: Write, make_rows: MakeRows) -> None:
    """Scoring and evaluation say the same of a row with log-probabilities."""
    rows = with_logprobs(make_rows(400, model="m"), weight=1.5)
    scored = read_scored(write("s.jsonl", rows), need="logit")
    layers, _ = fit_provider(scored, calibrate(scored).calibrators, min_labels=100)
    platt = {"*": CalibratorState(kind="platt", params={"a": 2.0, "b": -1.0}, n=50)}
    told = with_logprobs(make_rows(20, model="m", prefix="new"), weight=1.5)
    for at, row in enumerate(told):
        row["answer"] = f"answer {at}"
    del told[3]["logprobs"]
    told[4]["model"] = "another"

    source = write("t.jsonl", told)
    logit_of = {row["answer"]: row["logit"] for row in told}
    estimator = estimator_on(
        FakeBackend(logit=lambda answer: logit_of[answer.strip()]),
        method="zero-shot",
        calibrators=platt,
        provider=layers,
    )
    known = ("question", "answer", "model", "logprobs")
    items = [QuestionAnswer.model_validate({k: row.get(k) for k in known}) for row in told]
    served = [one.p for one in estimator.score(items)]
    evaluated = probabilities(read_scored(source, need="logit"), estimator.manifest)

    assert served == pytest.approx(evaluated, abs=1e-4)
    by_calibrator = expit([2.0 * row["logit"] - 1.0 for row in told])
    assert evaluated[3:5] == pytest.approx(by_calibrator[3:5])
    assert np.abs(evaluated - by_calibrator).max() > 0.1


def test_only_a_hybrid_has_such_layers(tmp_path: Path, write: Write, make_rows: MakeRows) -> None:
    rows = with_logprobs(make_rows(400, model="m"), weight=1.5)
    scored = read_scored(write("s.jsonl", rows), need="logit")
    layers, _ = fit_provider(scored, calibrate(scored).calibrators, min_labels=100)
    manifest = Manifest(
        name="x", method="likelihood", base=BaseModelRef(id="base"), provider=layers
    )
    save_estimator(tmp_path / "x", manifest)
    with pytest.raises(ManifestError, match="method hybrid"):
        load_estimator(tmp_path / "x")
