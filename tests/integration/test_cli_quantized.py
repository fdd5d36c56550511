"""Bases in 8 and 4 bits, loaded for real, on the CPU."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ct_guard import load_estimator
from ct_guard.backends.base import Activation
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.cli import cli
from ct_guard.errors import TuningError
from ct_guard.query import build_query
from ct_guard.records import QuestionAnswer
from ct_guard.store import MINI, load_manifest
from ct_guard.tuning import TuningConfig
from ct_guard.tuning.batches import Batch
from ct_guard.tuning.data import render_graded
from ct_guard.tuning.learners import QueryLearner
from ct_guard.tuning.trainer import backward
from tests.integration.test_cli_tune import QUICK, tune, write
from tests.unit.tuning.rows import graded

pytest.importorskip("bitsandbytes", reason="the extra 'quant' is not installed")

ASKED = [QuestionAnswer(question="What is 7 plus 5?", answer=answer) for answer in ("12", "13")]


def kinds(backend: object) -> set[torch.dtype]:
    assert isinstance(backend, TransformersBackend)
    return {weight.dtype for weight in backend.model.parameters()}


@pytest.mark.parametrize(("bits", "kept"), [("8bit", torch.int8), ("4bit", torch.uint8)])
def test_an_estimator_scores_over_a_base_in_few_bits_as_over_the_whole_one(
    bits: str, kept: torch.dtype
) -> None:
    few = load_estimator("mini", device="cpu", quantization=bits)
    whole = load_estimator("mini", device="cpu")
    assert kept in kinds(few.backend) - kinds(whole.backend)
    for found, expected in zip(few.score(ASKED), whole.score(ASKED), strict=True):
        assert found.p is not None
        assert found.p == pytest.approx(expected.p, abs=0.1)


def test_a_base_in_8_bits_is_tuned_and_scores_as_it_was_tuned(tmp_path: Path) -> None:
    source, target = write(tmp_path / "graded.jsonl", graded(240)), tmp_path / "mine"
    done = tune(source, "-b", "mini", "-o", target, "--quantization", "8bit", *QUICK)
    assert done.exit_code == 0, done.output
    assert load_manifest(target).base.quantization == "8bit"
    assert "loaded in 8bit" in CliRunner().invoke(cli, ["inspect", str(target)]).output
    estimator = load_estimator(target, device="cpu")
    assert torch.int8 in kinds(estimator.backend)
    yes, no = estimator.score(
        [QuestionAnswer(question="Number 900?", answer=answer) for answer in ("YES!", "no")]
    )
    assert yes.p is not None
    assert no.p is not None
    assert yes.p > no.p


@pytest.mark.parametrize("activation", ["query", "all"])
def test_gradients_through_8_bits_are_those_of_the_loss(
    activation: Activation, tmp_path: Path
) -> None:
    """Against the difference of the loss along them."""
    backend = TransformersBackend.load(MINI / "base", device="cpu", quantization="8bit")
    query = build_query("chat_turn", backend.encoder)
    plain = TuningConfig(rank=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))
    config = replace(plain, activation=activation, kappa=0.0 if activation == "all" else None)
    learner = QueryLearner(backend, query, tmp_path / "adapter", config)
    generator = torch.Generator().manual_seed(0)
    rows = render_graded(graded(8), style="chat_turn", backend=backend, query=query, budget=512)
    batch = Batch(rows, list(range(len(rows))))
    with torch.no_grad():
        for weight in learner.weights:
            weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    backward(learner, batch, batch, config)
    gradients = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in learner.weights]
    square = sum(float((gradient**2).sum()) for gradient in gradients)
    step = 0.05 / square**0.5

    def loss_at(distance: float) -> float:
        with torch.no_grad():
            for weight, gradient in zip(learner.weights, gradients, strict=True):
                weight.add_(distance * gradient)
        loss = float(backward(learner, batch, batch, config))
        with torch.no_grad():
            for weight, gradient in zip(learner.weights, gradients, strict=True):
                weight.sub_(distance * gradient)
        return loss

    slope = (loss_at(step) - loss_at(-step)) / (2 * step)
    assert slope == pytest.approx(square, rel=0.05)


def test_a_base_in_4_bits_is_not_tuned_where_no_gradient_passes(tmp_path: Path) -> None:
    source = write(tmp_path / "graded.jsonl", graded(240))
    with pytest.raises(TuningError, match="tune on a GPU, or load the base in 8 bits"):
        tune(
            source, "-b", "mini", "-o", tmp_path / "x", "--quantization", "4bit",
            "--device", "cpu", *QUICK,
        )  # fmt: skip
