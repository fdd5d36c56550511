"""Tokens of several answers together."""

from collections.abc import Iterable

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

__all__ = ["total_usage"]


def total_usage(messages: Iterable[BaseMessage]) -> UsageMetadata | None:
    """The sum of what the messages report; None where none of them does."""
    total: UsageMetadata | None = None
    for message in messages:
        if isinstance(message, AIMessage) and message.usage_metadata is not None:
            total = add_usage(total, message.usage_metadata)
    return total
