"""Tuning the query over the base model's cache is activated LoRA in two forwards."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, DynamicCache

from ct_guard.backends.forward import Past, Step
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import TuningError, UsageError
from ct_guard.query import build_query
from ct_guard.tuning import TuningConfig
from ct_guard.tuning.data import render_graded
from ct_guard.tuning.learners import QueryLearner
from ct_guard.tuning.loss import label_loss
from tests.unit.tuning.rows import graded

CONFIG = TuningConfig(
    rank=4, alpha=8, dropout=0.0, targets=("q_proj", "k_proj", "v_proj", "o_proj", "down_proj")
)


def test_loss_and_gradients_are_those_of_one_pass_of_pefts_activated_lora(
    backend: TransformersBackend, tiny_base: Path, tmp_path: Path
) -> None:
    query = build_query("chat_turn", backend.encoder)
    rows = render_graded(graded(6), style="chat_turn", backend=backend, query=query, budget=512)
    correct = torch.tensor([row.correct for row in rows])
    learner = QueryLearner(backend, query, tmp_path / "adapter", CONFIG)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in learner.weights:
            weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    before = learner.before(rows)
    with learner.learning():
        ours = label_loss(learner.read(rows, before).labels, correct)
        ours.backward()

    oracle = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_base),
        LoraConfig(
            r=4, lora_alpha=8, target_modules=list(CONFIG.targets or ()), bias="none",
            task_type="CAUSAL_LM", alora_invocation_tokens=list(query.ids),
        ),
    )  # fmt: skip
    named = {name: w for name, w in oracle.named_parameters() if "lora_" in name}
    with torch.no_grad():
        for weight, given in zip(named.values(), learner.weights, strict=True):
            weight.copy_(given)
    losses = []
    for row, label in zip(rows, correct, strict=True):
        ids = torch.tensor([[*row.context, *row.answer, *query.ids]])
        logits = oracle(input_ids=ids).logits[:, -1, list(query.label_ids)]
        losses.append(label_loss(logits, label[None]))
    theirs = torch.stack(losses).mean()
    theirs.backward()

    assert abs(ours.item() - theirs.item()) < 1e-5
    for (name, weight), given in zip(named.items(), learner.weights, strict=True):
        assert weight.grad is not None
        assert given.grad is not None
        assert given.grad.abs().max() > 1e-6, name
        assert (weight.grad - given.grad).abs().max() < 1e-5, name


def test_the_base_model_gets_no_gradient(backend: TransformersBackend, tmp_path: Path) -> None:
    query = build_query("chat_turn", backend.encoder)
    rows = render_graded(graded(2), style="chat_turn", backend=backend, query=query, budget=512)
    learner = QueryLearner(backend, query, tmp_path / "adapter", CONFIG)
    before = learner.before(rows)
    with learner.learning():
        learner.read(rows, before).labels.sum().backward()
    trained = [name for name, w in backend.model.named_parameters() if w.grad is not None]
    assert len(trained) == len(learner.weights)
    assert all("lora_" in name for name in trained)


def test_a_cache_that_was_dropped_is_noticed(
    backend: TransformersBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = build_query("chat_turn", backend.encoder)
    rows = render_graded(graded(2), style="chat_turn", backend=backend, query=query, budget=512)
    learner = QueryLearner(backend, query, tmp_path / "adapter", CONFIG)

    read = backend.decoder.read

    def dropping(*args: Any, **kwargs: Any) -> Step:
        step = read(*args, **kwargs)
        return replace(step, past=Past(DynamicCache(), step.past.mask))

    monkeypatch.setattr(backend.decoder, "read", dropping)
    with pytest.raises(TuningError, match=r"kept 0 of .* tokens in its cache"):
        learner.before(rows)


def test_gradient_checkpointing_is_refused_with_activation_query() -> None:
    with pytest.raises(UsageError, match="drops the cache"):
        replace(CONFIG, gradient_checkpointing=True)
