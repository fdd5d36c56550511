"""Where logits come from. Import a backend from its own module: each needs its own libraries."""

from .base import (
    KV,
    Activation,
    Adapter,
    Backend,
    Capabilities,
    Finish,
    Generation,
    Item,
    Piece,
    ScoreBatch,
    Stream,
    Want,
)
from .selftest import self_test

__all__ = [
    "KV",
    "Activation",
    "Adapter",
    "Backend",
    "Capabilities",
    "Finish",
    "Generation",
    "Item",
    "Piece",
    "ScoreBatch",
    "Stream",
    "Want",
    "self_test",
]
