"""Attention of a trunk, beside that of a mask."""

import torch
from torch.nn.functional import scaled_dot_product_attention as attention

from ct_guard.backends.tree import Tree
from ct_guard.backends.trunk import TrunkAttention

TREE = Tree.of([(1, 2, 3, 4, 5), (1, 2, 3, 6), (1, 2, 3, 6, 7)])
SHAPE = (1, 2, len(TREE.ids), 8)


def of_tree(length: int | None) -> torch.Tensor:
    torch.manual_seed(0)
    query, key, value = torch.randn((3, *SHAPE)).unbind()
    mask = torch.zeros((1, 1, SHAPE[2], SHAPE[2]))
    mask.masked_fill_(~torch.from_numpy(TREE.ancestors), torch.finfo(mask.dtype).min)
    if length is None:
        return attention(query, key, value, attn_mask=mask, scale=0.5)
    with TrunkAttention(length):
        return attention(query, key, value, attn_mask=mask, scale=0.5)


def test_a_trunk_comes_to_what_the_mask_does() -> None:
    torch.testing.assert_close(of_tree(TREE.trunk), of_tree(None), atol=1e-6, rtol=1e-5)


def test_a_length_beyond_the_trunk_does_not() -> None:
    """So that a wrong one would be seen."""
    assert not torch.allclose(of_tree(TREE.trunk + 1), of_tree(None), atol=1e-3)


def test_attention_without_a_mask_is_left_as_it_is() -> None:
    query, key, value = torch.randn((3, *SHAPE)).unbind()
    plain = attention(query, key, value)
    with TrunkAttention(2):
        assert torch.equal(attention(query, key, value), plain)
