"""What is trained: the dropout of a LoRA on a CPU."""

from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.tuning import TuningConfig
from ct_guard.tuning.trained import Dropout, adapter_in, create_lora

KINDS = pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])


@KINDS
@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 0.99])
def test_each_number_is_dropped_with_this_probability_and_the_mean_stays(
    kind: torch.dtype, p: float
) -> None:
    torch.manual_seed(0)
    given = torch.ones(250, 401, dtype=kind)
    seen = Dropout(p)(given)
    dropped = (seen == 0).float()
    noise = 5 * (p * (1 - p) / given.numel()) ** 0.5 + 2**-16
    assert seen.dtype == kind
    assert seen.shape == given.shape
    assert abs(float(dropped.mean()) - p) <= noise
    assert torch.equal(seen[seen != 0].unique(), torch.tensor([1 / (1 - p)], dtype=kind))
    # neither rows nor columns share their draws
    for axis, count in ((0, 250), (1, 401)):
        spread = float(dropped.mean(axis).std())
        assert spread == pytest.approx((p * (1 - p) / count) ** 0.5, rel=0.2)


def test_draws_differ_each_time_and_come_again_with_the_seed() -> None:
    dropout, given = Dropout(0.5), torch.ones(1001)
    torch.manual_seed(1)
    first, second = dropout(given), dropout(given)
    torch.manual_seed(1)
    assert torch.equal(dropout(given), first)
    assert not torch.equal(first, second)


@KINDS
def test_what_is_dropped_has_no_gradient_and_what_stays_the_scale(kind: torch.dtype) -> None:
    given = torch.ones(1001, dtype=kind, requires_grad=True)
    seen = Dropout(0.3)(given)
    seen.sum().backward()
    assert given.grad is not None
    assert torch.equal(given.grad, seen.detach())


def test_nothing_is_dropped_where_nothing_is_learnt() -> None:
    given = torch.randn(1001)
    assert torch.equal(Dropout(0.5).eval()(given), given)


def test_every_layer_of_a_lora_on_a_cpu_drops_by_it(tiny_base: Path, tmp_path: Path) -> None:
    backend = TransformersBackend.load(tiny_base, device="cpu")
    config = TuningConfig(targets="all-linear", dropout=0.25)
    adapter = adapter_in(tmp_path / "a", config)
    create_lora(backend, adapter, config)
    layers = [part for part in backend.model.modules() if isinstance(part, LoraLayer)]
    made = [layer.lora_dropout[adapter.name] for layer in layers]
    assert layers
    assert all(isinstance(one, Dropout) and one.p == 0.25 for one in made)
    assert not any(one.training for one in made)  # as long as nothing is learnt
