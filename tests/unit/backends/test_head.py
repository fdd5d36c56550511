"""The output layer in float32: no grid of 16 bits, no logits of a whole vocabulary."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ct_guard.backends.head import CHUNK_BYTES, Head


def layer(size: int = 64, wide: int = 32, *, dtype: Any = torch.float32, bias: bool = False) -> Any:
    torch.manual_seed(0)
    return nn.Linear(wide, size, bias=bias).to(dtype)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.25, None), (1.0, 2.0), (0.5, 3.0)])
def test_logits_and_logprobs_are_those_of_the_whole_vocabulary(
    scale: float, cap: float | None, bias: bool
) -> None:
    head = Head(layer(bias=bias), scale, cap)
    hidden = torch.randn(5, 32)
    every = head.every(hidden)
    ids = [3, 63, 0, 17, 3]
    torch.testing.assert_close(head.logits(hidden, (3, 63)), every[:, [3, 63]])
    expected = every.log_softmax(-1)[torch.arange(5), torch.tensor(ids)]
    torch.testing.assert_close(head.logprobs(hidden, ids), expected)


def test_in_bfloat16_a_thousand_rows_give_a_thousand_logits() -> None:
    head = Head(layer(dtype=torch.bfloat16))
    hidden = torch.randn(1000, 32).to(torch.bfloat16) * 20
    pairs = head.logits(hidden, (3, 5))
    assert len(np.unique((pairs[:, 1] - pairs[:, 0]).detach().numpy())) >= 990
    own = head.layer(hidden)[:, [3, 5]]
    assert len(np.unique((own[:, 1] - own[:, 0]).detach().float().numpy())) < 700  # on a grid


def test_pieces_of_a_vocabulary_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """152,000 entries and an answer of 1,000 tokens: no piece is larger than its share."""
    head = Head(layer(152_000, 16, dtype=torch.bfloat16))
    sizes: list[int] = []
    linear = nn.functional.linear

    def watched(*args: Any) -> torch.Tensor:
        made = linear(*args)
        sizes.append(made.nbytes)
        return made

    monkeypatch.setattr(nn.functional, "linear", watched)
    with torch.inference_mode():
        found = head.logprobs(torch.randn(1000, 16), [7] * 1000)
    assert found.shape == (1000,)
    assert max(sizes) <= CHUNK_BYTES
    assert sum(sizes) == 4 * 1000 * 152_000


def test_gradients_flow_to_the_hidden_state() -> None:
    hidden = torch.randn(2, 32, requires_grad=True)
    Head(layer()).logits(hidden, (1, 2)).sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("config", "scale", "cap"),
    [
        ({}, 1.0, None),
        ({"logit_scale": 0.25}, 0.25, None),
        ({"logit_scale": None}, 1.0, None),
        ({"logits_scaling": 8.0}, 0.125, None),
        ({"final_logit_softcapping": 30.0}, 1.0, 30.0),
    ],
)
def test_scale_and_cap_are_the_architectures(
    config: dict[str, Any], scale: float, cap: float | None
) -> None:
    text = SimpleNamespace(**config)
    model = SimpleNamespace(
        config=SimpleNamespace(get_text_config=lambda decoder: text),
        get_output_embeddings=layer,
    )
    head = Head.of(model)
    assert (head.scale, head.cap) == (scale, cap)
