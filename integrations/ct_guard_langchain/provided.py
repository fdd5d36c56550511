"""What providers say about an answer, beside it."""

from collections.abc import Mapping
from typing import Any

__all__ = ["harmless"]

_HARMLESS = frozenset(
    {
        "created",
        "created_at",
        "done_reason",
        "finish_reason",
        "id",
        "ls_model_name",
        "model",
        "model_id",
        "model_name",
        "model_provider",
        "service_tier",
        "stop_reason",
        "system_fingerprint",
        "token_usage",
        "usage",
    }
)
"""What providers say about an answer that cannot hold its words; log-probabilities, citations and
whatever else they add can."""


def harmless(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a provider says about an answer, without its words."""
    return {name: value for name, value in metadata.items() if name in _HARMLESS}
