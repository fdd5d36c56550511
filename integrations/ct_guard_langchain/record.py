"""The one record of a confidence in LangChain: where it lives, how it is made and read."""

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict, TypeVar, cast

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult

from ct_guard.policies import Turn
from ct_guard.records import Action, Assessment, Confidence, ReviewChoice, Status

__all__ = ["KEY", "ConfidenceRecord", "attach", "confidence_in", "get_confidence", "make_record"]

KEY = "ct_guard"
"""The record's key in `response_metadata`, which is kept by caches, checkpoints and traces and is
not sent back to the provider."""

M = TypeVar("M", bound=BaseMessage)


class ConfidenceRecord(TypedDict):
    """A confidence and what was decided on it: plain JSON, floats finite."""

    p: float | None
    """P(correct) of the answer that is returned, in [0, 1]; None when not measured."""
    logit: float | None
    """The raw score before calibration."""
    status: Status
    """Why there is, or is not, a probability."""
    calibrated: bool
    truncated: bool
    """The conversation or the answer was cut to fit the estimator's token budget."""
    estimator: str
    action: Action
    attempts: int
    """Calls of chat models, failed ones included."""
    model_index: int
    """Whose answer this is: 0 the inner model, then the stronger ones in their order."""
    policy: str
    error: str | None
    """What went wrong on the way: why there is no score, or which stronger model failed."""
    turn: Turn
    """What was judged: an answer, or a call of tools."""
    provider_logprobs: NotRequired[Literal["used", "unused"]]
    """Only where the provider reported log-probabilities of the answer: whether the estimator has a
    layer for this model's."""
    discarded_usage: NotRequired[UsageMetadata]
    """Only where other answers were paid for: their tokens, not in the message's usage."""
    original: NotRequired[str]
    """Only where the answer was replaced: the text that was scored."""
    review: NotRequired[ReviewChoice]
    """Only where a person decided: what they chose. With `edit` and `respond` the answer is theirs,
    and `p` that of the original."""


def make_record(
    assessment: Assessment,
    *,
    attempts: int = 1,
    model_index: int = 0,
    error: str | None = None,
    turn: Turn = "answer",
    original: str | None = None,
    discarded_usage: UsageMetadata | None = None,
) -> ConfidenceRecord:
    """The record of an assessment; `error` is added to the one that the confidence has."""
    confidence, decision = assessment.confidence, assessment.decision
    record = ConfidenceRecord(
        p=confidence.p,
        logit=confidence.logit,
        status=confidence.status,
        calibrated=confidence.calibrated,
        truncated=confidence.truncated,
        estimator=confidence.estimator,
        action=decision.action,
        attempts=attempts,
        model_index=model_index,
        policy=decision.policy,
        error="; ".join(filter(None, (confidence.error, error))) or None,
        turn=turn,
    )
    if confidence.provider_logprobs is not None:
        record["provider_logprobs"] = confidence.provider_logprobs
    if original is not None:
        record["original"] = original
    if discarded_usage is not None:
        record["discarded_usage"] = discarded_usage
    return record


def confidence_in(record: ConfidenceRecord) -> Confidence:
    """The confidence that a record was made of, as far as the record keeps it."""
    return Confidence(
        p=record["p"],
        logit=record["logit"],
        status=record["status"],
        calibrated=record["calibrated"],
        truncated=record["truncated"],
        estimator=record["estimator"],
        provider_logprobs=record.get("provider_logprobs"),
        error=record["error"],
    )


def attach(message: M, record: ConfidenceRecord) -> M:
    """A copy of the message that carries the record; models may share the original."""
    metadata = {**message.response_metadata, KEY: record}
    return message.model_copy(update={"response_metadata": metadata})


def get_confidence(source: object) -> ConfidenceRecord | None:
    """The record that something carries, None where nothing was assessed.

    Reads a message or chunk, a generation, a ChatResult or LLMResult (of several generations the
    first counts, as for `invoke`), a list of messages (the last AI message counts), an agent's
    state or result, and what a `ConfidenceGuard` returns.
    """
    match source:
        case BaseMessage():
            return cast("ConfidenceRecord | None", source.response_metadata.get(KEY))
        case ChatGeneration():
            return get_confidence(source.message)
        case ChatResult() | LLMResult():
            return get_confidence(source.generations)
        case [BaseMessage(), *_]:
            said = [message for message in source if isinstance(message, AIMessage)]
            return get_confidence(said[-1]) if said else None
        case [first, *_]:
            return get_confidence(first)
        case {"confidence": {"p": _, "action": _} as record}:
            return cast("ConfidenceRecord", record)
        case {"messages": messages}:
            return get_confidence(messages)
        case Mapping():
            return cast("ConfidenceRecord | None", source.get(KEY))
    return None
