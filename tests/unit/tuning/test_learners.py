"""A step of learning in 16 bits: as right as the format allows, and no detour by 32."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import build_query
from ct_guard.tuning import TuningConfig
from ct_guard.tuning.data import render_graded
from ct_guard.tuning.learners import QueryLearner
from tests.unit.tuning.rows import graded

Context = Callable[[Any], AbstractContextManager[None]]


@pytest.fixture
def learner(tiny_base: Path, tmp_path: Path) -> Callable[[torch.dtype], QueryLearner]:
    def made(kind: torch.dtype) -> QueryLearner:
        backend = TransformersBackend.load(tiny_base, device="cpu")
        backend.model.to(torch.bfloat16).to(kind)  # so that the weights are the same in both
        query = build_query("chat_turn", backend.encoder)
        config = TuningConfig(targets="all-linear", dropout=0.0)
        torch.manual_seed(0)
        found = QueryLearner(backend, query, tmp_path / "a", config)
        with torch.no_grad():
            for weight in found.weights:
                weight.copy_(0.1 * torch.randn(weight.shape))
        return found

    return made


def gradient(learner: QueryLearner) -> torch.Tensor:
    backend = learner.backend
    rows = render_graded(
        graded(6), style="chat_turn", backend=backend, query=learner.orders[0], budget=512
    )
    before = learner.before(rows)
    with learner.learning():
        labels = learner.read(rows, before).labels
        (labels[:, 1] - labels[:, 0]).square().sum().backward()
    return torch.cat([w.grad.flatten() for w in learner.weights if w.grad is not None])


def test_in_bfloat16_the_gradient_is_as_near_to_the_true_one_as_by_the_plain_way(
    learner: Callable[[torch.dtype], QueryLearner], monkeypatch: pytest.MonkeyPatch
) -> None:
    true, ours = gradient(learner(torch.float32)), gradient(learner(torch.bfloat16))
    for name in ("grouped_attention", "lora_in_its_format"):
        plain: Context = lambda model: nullcontext()  # noqa: E731
        monkeypatch.setattr(f"ct_guard.tuning.learners.{name}", plain)
    noise = torch.dist(gradient(learner(torch.bfloat16)), true)
    assert 0 < noise < 0.2 * true.norm()
    assert torch.dist(ours, true) < 2 * noise


def test_in_bfloat16_a_lora_reads_what_the_base_reads(
    learner: Callable[[torch.dtype], QueryLearner],
) -> None:
    made = learner(torch.bfloat16)
    seen: set[torch.dtype] = set()
    for name, module in made.backend.model.named_modules():
        if name.endswith(f"lora_A.{made.adapter.name}"):
            module.register_forward_pre_hook(lambda _, inputs: seen.add(inputs[0].dtype))
    gradient(made)
    assert seen == {torch.bfloat16}
    assert {weight.dtype for weight in made.weights} == {torch.float32}
