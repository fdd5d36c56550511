"""Attention in groups is PyTorch's own, and so are its gradients."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ct_guard.backends.forward import Decoder
from ct_guard.backends.grouped import grouped_attention

CONTEXTS = [(1, 2, 3, 4, 5), (6, 7)]
ASKED = [(8, 9, 10), (11,)]
"""Of other lengths, so that there is padding in the cache and in front of what is read."""


def decoder(kind: torch.dtype = torch.float32, attention: str = "sdpa") -> Decoder:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    config._attn_implementation = attention
    return Decoder(LlamaForCausalLM(config).eval().to(kind))


def read(made: Decoder, *, grouped: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The last hidden states, and the gradient of the first layer's keys."""
    weight = made.layers.layers[0].self_attn.k_proj.weight
    with torch.no_grad():
        past = made.read(CONTEXTS).past
    if grouped:
        with grouped_attention(made.model):
            hidden = made.read(ASKED, past).hidden[:, -1]
    else:
        hidden = made.read(ASKED, past).hidden[:, -1]
    (gradient,) = torch.autograd.grad(hidden.square().sum(dim=-1).log().sum(), [weight])
    return hidden, gradient


def test_it_reads_and_learns_as_without_groups() -> None:
    made = decoder()
    for found, expected in zip(read(made, grouped=True), read(made, grouped=False), strict=True):
        assert expected.abs().max() > 1e-6
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_it_is_on_inside_only() -> None:
    model = decoder().model
    with grouped_attention(model):
        assert model.config._attn_implementation != "sdpa"
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("kind", "attention"), [(torch.bfloat16, "sdpa"), (torch.float32, "eager")]
)
def test_other_models_attend_as_they_do(kind: torch.dtype, attention: str) -> None:
    made = decoder(kind, attention).model
    with grouped_attention(made):
        assert made.config._attn_implementation == attention
