"""Each method's raw logit against a computation of its own, in float64 and without the code's
short cuts."""

import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from ct_guard.backends import ScoreBatch
from ct_guard.errors import ManifestError
from ct_guard.estimators import FEATURES, PRIOR_FEATURES, features, make_method
from ct_guard.estimators.methods.base import Method, TextMethod
from ct_guard.evidence.question_prior import fit_question_prior
from ct_guard.store import BaseModelRef, LogisticLayer, Manifest

LABELS = np.array([[1.5, -0.25], [-3.0, 4.0], [0.125, 0.125]], np.float32)
LOGPROBS = [
    np.array([-0.5, -1.25, -0.0625], np.float32),
    np.array([-2.0], np.float32),
    np.array([-0.25, -0.5], np.float32),
]
ASKED = ["How far?", "How many?", "Who?"]
LAYER = LogisticLayer(
    features=FEATURES,
    low=(-2.0, -3.0, -3.0, -4.0, -9.0, 0.0, -1.0, 0.0, 0.0),
    high=(6.0, 0.0, 0.0, 0.0, 9.0, 1.0, 3.0, 0.9, 0.9),
    mean=(0.5, -1.0, -0.5, -1.0, 0.25, 0.4, 0.5, 0.5, 0.3),
    scale=(2.0, 0.5, 0.25, 1.5, 3.0, 0.2, 1.5, 0.3, 0.2),
    coef=(1.0, -0.5, 0.75, 0.1, -0.2, 0.3, 0.6, 0.4, -0.1),
    intercept=-0.3,
)


def manifest(method: str, layer: LogisticLayer | None = None) -> Manifest:
    return Manifest(name="e", method=method, base=BaseModelRef(id="b"), layer=layer)


def batch(labels: np.ndarray = LABELS, logprobs: list[np.ndarray] = LOGPROBS) -> ScoreBatch:
    none = np.zeros(len(labels), np.int32)
    return ScoreBatch(labels, logprobs, None, none, none)


def method_of(known: Manifest, folder: Path | None = None) -> Method:
    """One that reads what a backend gives."""
    method = make_method(known, folder)
    assert not isinstance(method, TextMethod)
    return method


def logit(p: float) -> float:
    return math.log(p) - math.log(1 - p)


@pytest.mark.parametrize("name", ["query", "zero-shot"])
def test_query_is_yes_minus_no(name: str) -> None:
    method = method_of(manifest(name))
    assert method.wants == {"labels"}
    assert method.logits(batch(), ASKED).tolist() == [-1.75, 7.0, 0.0]


def test_likelihood_is_the_logit_of_the_answers_probability() -> None:
    method = method_of(manifest("likelihood"))
    assert method.wants == {"answer_logprobs"}
    expected = [logit(math.exp(-1.8125)), logit(math.exp(-2)), logit(math.exp(-0.75))]
    np.testing.assert_allclose(method.logits(batch(), ASKED), expected, rtol=1e-12)


def test_perplexity_is_the_logit_of_the_mean_per_token() -> None:
    method = method_of(manifest("perplexity"))
    assert method.wants == {"answer_logprobs"}
    expected = [logit(math.exp(-1.8125 / 3)), logit(math.exp(-2)), logit(math.exp(-0.375))]
    np.testing.assert_allclose(method.logits(batch(), ASKED), expected, rtol=1e-12)


def test_likelihoods_are_finite_and_ordered_at_both_ends() -> None:
    certain, surely, never = (np.array([x], np.float32) for x in (0.0, -1e-6, -1e5))
    rows = batch(np.zeros((3, 2), np.float32), [certain, surely, never])
    values = method_of(manifest("likelihood")).logits(rows, ASKED)
    assert np.isfinite(values).all()
    assert values[0] > values[1] > 0 > values[2]
    assert values[2] == pytest.approx(-1e5)


def test_features_of_the_hybrid() -> None:
    expected = []
    for (no, yes), row in zip(LABELS.tolist(), LOGPROBS, strict=True):
        steps = [float(x) for x in row]
        z, total = yes - no, math.fsum(steps)
        p = math.exp(total)
        yes = 1 / (1 + math.exp(-z))
        of_answer = [total, total / len(steps), min(steps)]
        expected.append([z, *of_answer, z * total, p, z * p, yes, yes * p])
    assert FEATURES[:7] == ("z", "log_p", "mean_log_p", "worst_log_p", "z_log_p", "p", "z_p")
    assert FEATURES[7:] == ("yes", "yes_p")
    np.testing.assert_allclose(features(batch()), expected, rtol=1e-12)
    np.testing.assert_array_equal(
        features(batch(), ("p", "z")), features(batch())[:, [FEATURES.index("p"), 0]]
    )


def test_features_of_the_question_prior_are_those_of_the_query_with_its_logit_for_z() -> None:
    prior = np.array([-2.0, 0.5, 3.0])
    as_query = batch(np.column_stack([np.zeros(3), prior]).astype(np.float32))
    np.testing.assert_allclose(
        features(batch(), PRIOR_FEATURES, prior),
        features(as_query, ("z", "z_log_p", "z_p", "yes", "yes_p")),
        rtol=1e-12,
    )
    both = features(batch(), FEATURES + PRIOR_FEATURES, prior)
    np.testing.assert_array_equal(both[:, : len(FEATURES)], features(batch()))


def test_a_hybrid_reads_the_prior_of_each_question(tmp_path: Path) -> None:
    questions = [f"{word} {n}?" for n in range(40) for word in ("How far", "How many")]
    prior = fit_question_prior(questions, [text.startswith("How far") for text in questions])
    (tmp_path / "p.json").write_text(prior.model_dump_json())
    layer = LogisticLayer(
        features=("prior", "z"), low=(-9.0, -9.0), high=(9.0, 9.0), mean=(0.0, 0.0),
        scale=(1.0, 1.0), coef=(1.0, 0.5), intercept=0.0,
    )  # fmt: skip
    known = manifest("hybrid", layer).model_copy(update={"prior": "p.json"})
    found = method_of(known, tmp_path).logits(batch(), ASKED)
    z = np.array([-1.75, 7.0, 0.0])
    np.testing.assert_allclose(found, prior.logits(ASKED) + 0.5 * z, rtol=1e-12)
    assert prior.logits(ASKED)[0] > 1 > -1 > prior.logits(ASKED)[1]
    with pytest.raises(ManifestError, match="do not fit"):
        make_method(manifest("hybrid", layer), tmp_path)
    with pytest.raises(ManifestError, match="do not fit"):
        make_method(known.model_copy(update={"layer": LAYER}), tmp_path)


def test_a_layer_over_some_of_the_features_reads_those() -> None:
    few = LogisticLayer(
        features=("p", "z"), low=(0.0, -9.0), high=(1.0, 9.0), mean=(0.0, 0.0), scale=(1.0, 1.0),
        coef=(2.0, 0.5), intercept=0.25,
    )  # fmt: skip
    found = method_of(manifest("hybrid", few)).logits(batch(), ASKED)
    expected = [
        0.25 + 2 * math.exp(float(row.sum())) + 0.5 * z
        for z, row in zip((-1.75, 7.0, 0.0), LOGPROBS, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_hybrid_is_the_layer_over_clipped_and_scaled_features() -> None:
    method = method_of(manifest("hybrid", LAYER))
    assert method.wants == {"labels", "answer_logprobs"}
    expected = []
    for row in features(batch()).tolist():
        total = LAYER.intercept
        for at, value in enumerate(row):
            known = min(max(value, LAYER.low[at]), LAYER.high[at])
            total += LAYER.coef[at] * (known - LAYER.mean[at]) / LAYER.scale[at]
        expected.append(total)
    np.testing.assert_allclose(method.logits(batch(), ASKED), expected, rtol=1e-12)


def test_values_beyond_what_was_fitted_count_as_its_border() -> None:
    method = method_of(manifest("hybrid", LAYER))
    far = batch(np.array([[0.0, 1e4]], np.float32), [np.zeros(1, np.float32)])
    border = batch(np.array([[0.0, 6.0]], np.float32), [np.zeros(1, np.float32)])
    assert method.logits(far, ["a"]).tolist() == method.logits(border, ["a"]).tolist()


@pytest.mark.parametrize(
    "layer",
    [None, LAYER.model_copy(update={"features": (*FEATURES[1:], "charm")})],
)
def test_a_hybrid_without_its_layer_is_refused(layer: LogisticLayer | None) -> None:
    with pytest.raises(ManifestError, match="layer"):
        make_method(manifest("hybrid", layer))


@pytest.mark.parametrize(
    "change",
    [{"mean": (0.0,)}, {"scale": (0.0,) * 9}, {"low": (99.0,) * 9}, {"features": ()}],
)
def test_a_layer_that_does_not_fit_together_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="layer"):
        LogisticLayer.model_validate(LAYER.model_dump() | change)


@pytest.mark.parametrize("name", ["query", "likelihood"])
def test_a_figure_that_was_not_asked_for_is_missed(name: str) -> None:
    none = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="not asked"):
        method_of(manifest(name)).logits(ScoreBatch(None, None, None, none, none), ["a"])
