"""Attention of ours comes to what PyTorch's own does, and so do its gradients."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ct_guard.backends.attention import grouped_attention, trunk_attention
from ct_guard.backends.forward import Decoder
from ct_guard.backends.tree import Tree

CONTEXTS = [(1, 2, 3, 4, 5), (6, 7)]
ASKED = [(8, 9, 10), (11,)]
"""Of other lengths, so that there is padding in the cache and in front of what is read."""
TREE = Tree.of([(1, 2, 3, 4, 5), (1, 2, 3, 6), (1, 2, 3, 6, 7)])


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


def of_tree(made: Decoder, length: int) -> torch.Tensor:
    """Hidden states of a tree whose first `length` tokens are read as a line."""
    with torch.no_grad(), trunk_attention(made.model, length):
        return made._read_among(TREE.ids, TREE.ancestors, TREE.depths, None)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_trunk_comes_to_what_the_mask_does(kind: torch.dtype) -> None:
    made = decoder(kind)
    expected = of_tree(made, 0)
    close = 4 * torch.finfo(kind).eps * float(expected.abs().max())
    torch.testing.assert_close(of_tree(made, TREE.trunk), expected, atol=close, rtol=0)


def test_a_length_beyond_the_trunk_does_not() -> None:
    """So that a wrong one would be seen."""
    made = decoder()
    found, expected = of_tree(made, TREE.trunk + 1), of_tree(made, 0)
    assert not torch.allclose(found, expected, atol=1e-3)


def test_a_tree_may_be_all_trunk() -> None:
    made, row = decoder(), (*range(32), *range(32))
    with torch.no_grad():
        expected = made.read([row]).hidden[0]
        torch.testing.assert_close(made.read_tree(Tree.of([row])), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [5, 31, 32, 45, 64])
def test_a_tree_reads_as_its_rows_whatever_the_length_of_its_trunk(
    length: int, kind: torch.dtype
) -> None:
    made = decoder(kind)
    line = tuple(at % 30 for at in range(length))
    rows = [(*line, 30, 1), (*line, 31), (*line, 30, 2, 3)]
    tree = Tree.of(rows)
    with torch.no_grad():
        found = made.read_tree(tree)[torch.from_numpy(tree.ends)]
        expected = torch.cat([made.read([row]).hidden[0, -1:] for row in rows])
    close = 8 * torch.finfo(kind).eps * float(expected.abs().max())
    torch.testing.assert_close(found, expected, atol=close, rtol=0)


@pytest.mark.parametrize("ours", [grouped_attention, lambda model: trunk_attention(model, 3)])
def test_it_is_on_inside_only(ours: Callable[[Any], AbstractContextManager[None]]) -> None:
    model = decoder().model
    with ours(model):
        assert model.config._attn_implementation != "sdpa"
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("kind", "attention"), [(torch.bfloat16, "sdpa"), (torch.float32, "eager")]
)
def test_other_models_attend_as_they_do(kind: torch.dtype, attention: str) -> None:
    made = decoder(kind, attention).model
    with grouped_attention(made):
        assert made.config._attn_implementation == attention


def test_in_bfloat16_only_what_is_learnt_from_is_grouped() -> None:
    made = decoder(torch.bfloat16).model.train()
    with grouped_attention(made):
        assert made.config._attn_implementation != "sdpa"


def test_a_line_of_one_token_is_no_trunk() -> None:
    model = decoder().model
    with trunk_attention(model, 1):
        assert model.config._attn_implementation == "sdpa"
