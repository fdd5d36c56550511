"""What providers say about an answer, beside it."""

from collections.abc import Mapping
from typing import Any

from ct_guard.conversation import is_cut_off

__all__ = ["ending", "harmless", "ran_out"]

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


_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason")
"""Names under which providers say why an answer ended."""


def ending(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Why an answer ended, which holds as well for what is made of it."""
    names = (*_REASONS, "incomplete_details")
    return {name: metadata[name] for name in names if name in metadata}


def ran_out(metadata: Mapping[str, Any]) -> bool:
    """Whether a provider says that the model had no tokens left for the rest of its answer."""
    reasons = [metadata.get(name) for name in _REASONS]
    details = metadata.get("incomplete_details")
    if isinstance(details, Mapping):  # of OpenAI's responses
        reasons.append(details.get("reason"))
    return any(map(is_cut_off, reasons))
