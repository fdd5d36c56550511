"""What a message carries, where a test relies on its being there."""

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from ct_guard_langchain import ConfidenceView, get_confidence


def record_of(source: object) -> ConfidenceView:
    record = get_confidence(source)
    assert record is not None
    return record


def p_of(source: object) -> float:
    p: float | None = record_of(source)["p"]
    assert p is not None
    return p


def usage_of(message: AIMessage) -> UsageMetadata:
    assert message.usage_metadata is not None
    return message.usage_metadata
