"""Where logits come from. Import a backend from its own module: each needs its own libraries."""

from .base import (
    KV,
    Activation,
    Adapter,
    Backend,
    Capabilities,
    Generation,
    Item,
    ScoreBatch,
    Want,
)
from .selftest import self_test

__all__ = [
    "KV",
    "Activation",
    "Adapter",
    "Backend",
    "Capabilities",
    "Generation",
    "Item",
    "ScoreBatch",
    "Want",
    "self_test",
]
