"""The one record of a confidence in LangChain: where it lives, how it is made and read."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal, NotRequired, TypeVar, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from typing_extensions import TypedDict

from ct_guard.policies import Turn
from ct_guard.records import (
    Action,
    Assessment,
    Confidence,
    Decision,
    FieldAction,
    FieldConfidence,
    FieldKind,
    ReviewChoice,
    Status,
)

from .messages import render_call

__all__ = [
    "KEY",
    "CallScore",
    "ConfidenceRecord",
    "ConfidenceView",
    "FieldScore",
    "OwnRecord",
    "attach",
    "call_digest",
    "call_scores",
    "confidence_in",
    "get_confidence",
    "make_record",
    "own_record",
    "record_in",
    "total_usage",
]

KEY = "ct_guard"
"""The record's key in `response_metadata`, which is kept by caches, checkpoints and traces and is
not sent back to the provider."""

M = TypeVar("M", bound=BaseMessage)


class ConfidenceView(dict[str, Any]):
    """A `ConfidenceRecord` as `get_confidence` gives it out: a dict, with what is asked for most at
    hand."""

    @property
    def p(self) -> float | None:
        """P(correct) of the answer that is returned, in [0, 1]; None when not measured."""
        p: float | None = self["p"]
        return p

    @property
    def action(self) -> Action:
        action: Action = self["action"]
        return action

    @property
    def fields(self) -> "dict[str, FieldScore]":
        """The scores of a structured answer's fields, by path; none where none were judged."""
        found: dict[str, FieldScore] = self.get("fields") or {}
        return found


class OwnRecord(dict[str, Any]):
    """A `ConfidenceRecord` that a guard of this process has put there: what a provider sends under
    the same key is only a claim."""


class CallScore(TypedDict):
    """The score of one call of a tool."""

    call: str
    """A digest of the call's name and arguments: another call, or this one after an edit, has
    another one."""
    p: float | None
    """P(correct) of the call; None when not measured."""


class FieldScore(TypedDict):
    """What is said of one field of a structured answer."""

    p: float | None
    """P(the field is right; of an empty one, that it is right to be empty); None: not measured."""
    logit: float | None
    kind: FieldKind
    status: Status
    calibrated: bool
    action: FieldAction | None
    """What became of it; None where the answer itself did not pass."""


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
    sanitized: NotRequired[Literal[True]]
    """Only where something was taken out of the text before it was scored."""
    cut_off: NotRequired[Literal[True]]
    """Only where the model ran out of tokens before its answer ended."""
    ood: NotRequired[float]
    """Only where measured: the p-value, in [0, 1], of an answer like those of the calibration."""
    calls: NotRequired[list[CallScore]]
    """Only of calls of tools: the score of each, by its position."""
    fields: NotRequired[dict[str, FieldScore]]
    """Only of structured answers under a policy of fields: the score of each, by its path."""
    provider_logprobs: NotRequired[Literal["used", "unused"]]
    """Only where the provider reported log-probabilities of the answer: whether the estimator has a
    layer for this model's."""
    evidence: NotRequired[dict[str, Literal["used", "missing"]]]
    """Only where the estimator weighs evidence: by name, what of it this answer had."""
    samples: NotRequired[int]
    """Only where further answers were drawn: how many came. They count among the attempts."""
    discarded_usage: NotRequired[UsageMetadata]
    """Only where other answers were paid for, further ones among them: their tokens, not in the
    message's usage."""
    cost: NotRequired[float]
    """Only under a budget of costs: what stronger models and further answers took of it here."""
    original: NotRequired[str | None]
    """Only where the answer was replaced: the text that was scored; None unless `keep_original` is
    set."""
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
    discarded_usage: UsageMetadata | None = None,
    calls: Sequence[Mapping[str, Any]] = (),
    samples: int | None = None,
    cost: float | None = None,
) -> ConfidenceRecord:
    """The record of an assessment; `error` is added to the one that the confidence has. `calls` are
    those of the message, of which the assessment has the scores; `samples` and `cost` what the
    ladder says of further answers and the budget."""
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
    if confidence.evidence is not None:
        record["evidence"] = confidence.evidence
    if confidence.sanitized:
        record["sanitized"] = True
    if confidence.cut_off:
        record["cut_off"] = True
    if confidence.ood is not None:
        record["ood"] = confidence.ood
    if confidence.fields is not None:
        record["fields"] = _field_scores(confidence.fields, decision)
    if assessment.calls:
        record["calls"] = call_scores(calls, assessment.calls)
    if samples is not None:
        record["samples"] = samples
    if discarded_usage is not None:
        record["discarded_usage"] = discarded_usage
    if cost is not None:
        record["cost"] = cost
    return record


def _field_scores(
    fields: Mapping[str, FieldConfidence], decision: Decision
) -> dict[str, FieldScore]:
    actions = decision.fields or {}
    return {
        path: FieldScore(
            p=one.p,
            logit=one.logit,
            kind=one.kind,
            status=one.status,
            calibrated=one.calibrated,
            action=actions.get(path),
        )
        for path, one in fields.items()
    }


def _fields_in(record: ConfidenceRecord) -> dict[str, FieldConfidence] | None:
    known = record.get("fields")
    if known is None:
        return None
    return {
        path: FieldConfidence.model_validate({k: v for k, v in one.items() if k != "action"})
        for path, one in known.items()
    }


def confidence_in(record: ConfidenceRecord) -> Confidence:
    """The confidence that a record was made of, as far as the record keeps it."""
    return Confidence(
        p=record["p"],
        logit=record["logit"],
        status=record["status"],
        calibrated=record["calibrated"],
        truncated=record["truncated"],
        sanitized=record.get("sanitized", False),
        cut_off=record.get("cut_off", False),
        ood=record.get("ood"),
        estimator=record["estimator"],
        provider_logprobs=record.get("provider_logprobs"),
        evidence=record.get("evidence"),
        fields=_fields_in(record),
        error=record["error"],
    )


def attach(message: M, record: ConfidenceRecord) -> M:
    """A copy of the message that carries the record; models may share the original."""
    metadata = {**message.response_metadata, KEY: OwnRecord(record)}
    return message.model_copy(update={"response_metadata": metadata})


def own_record(message: BaseMessage) -> ConfidenceRecord | None:
    """The record that a guard of this process has put on a message; None for one that came with it,
    of which nothing shows who wrote it."""
    found = message.response_metadata.get(KEY)
    return cast("ConfidenceRecord", found) if isinstance(found, OwnRecord) else None


def call_digest(call: Mapping[str, Any]) -> str:
    """Equal for calls of the same tool with the same arguments, whatever their ids."""
    return sha256(render_call(call).encode("utf-8", "surrogatepass")).hexdigest()


def call_scores(
    calls: Sequence[Mapping[str, Any]], scored: Sequence[Confidence]
) -> list[CallScore]:
    """The scores of a message's calls, by position."""
    return [
        CallScore(call=call_digest(call), p=confidence.p)
        for call, confidence in zip(calls, scored, strict=True)
    ]


def total_usage(messages: Iterable[BaseMessage]) -> UsageMetadata | None:
    """The tokens that the messages report, added up; None where none of them does."""
    total: UsageMetadata | None = None
    for message in messages:
        if isinstance(message, AIMessage) and message.usage_metadata is not None:
            total = add_usage(total, message.usage_metadata)
    return total


def get_confidence(source: object) -> "ConfidenceView | None":
    """The record that something carries, None where nothing was assessed.

    Reads a message or chunk, also as plain JSON; a generation, a ChatResult or LLMResult (of
    several generations the first counts, as for `invoke`); a list of messages (the last AI message
    counts); an agent's state, result or snapshot; a part of its stream in any mode; what structured
    output with `include_raw` gives; and what a `ConfidenceGuard` returns."""
    record = record_in(source)
    return None if record is None else ConfidenceView(record)


def record_in(source: object) -> ConfidenceRecord | None:
    """As `get_confidence`: the plain dict that is kept."""
    match source:
        case BaseMessage():
            return _record(source.response_metadata.get(KEY))
        case ChatGeneration():
            return record_in(source.message)
        case ChatResult() | LLMResult():
            return record_in(source.generations)
        case {"p": _, "action": _, "status": _}:
            return _record(source)
        case {"confidence": {"p": _, "action": _} as record}:
            return _record(record)
        case {"response_metadata": {**metadata}}:
            return _record(metadata.get(KEY))
        case {"raw": raw, "parsed": _}:
            return record_in(raw)
        case {"messages": messages}:
            return record_in(messages)
        case {"type": _, "data": data}:
            return record_in(data)
        case Mapping():
            return _record(source.get(KEY)) or _in_updates(source)
        case tuple():  # a part of a stream of several modes or of subgraphs
            return next(filter(None, map(record_in, reversed(source))), None)
        case [first, *_]:
            said = [each for each in source if _is_said(each)]
            return record_in(said[-1] if said else None if _is_message(first) else first)
    inside = (getattr(source, name, None) for name in ("value", "values", "update", "messages"))
    held = next((each for each in inside if isinstance(each, Mapping | list)), None)
    return record_in(held) if held is not None else None


def _record(found: object) -> ConfidenceRecord | None:
    return cast("ConfidenceRecord", found) if isinstance(found, Mapping) else None


def _in_updates(part: Mapping[Any, Any]) -> ConfidenceRecord | None:
    """What the nodes of a graph have written, the last one first."""
    updates = [
        update
        for written in reversed(list(part.values()))
        for update in (written if isinstance(written, list) else [written])
        if isinstance(update, Mapping) and ("messages" in update or KEY in update)
    ]
    return next(filter(None, map(record_in, updates)), None)


def _is_message(source: object) -> bool:
    if isinstance(source, Mapping):
        return "content" in source or ("type" in source and "data" in source)
    return isinstance(source, BaseMessage)


def _is_said(source: object) -> bool:
    """Whether it is a message of a model, also as plain JSON, or a tool's result that was judged as
    an answer."""
    if isinstance(source, Mapping):
        kinds = (source.get("type"), source.get("role"))
        said = any(kind in ("ai", "AIMessageChunk", "assistant") for kind in kinds)
        return said and _is_message(source)
    judged = isinstance(source, ToolMessage) and KEY in source.response_metadata
    return judged or isinstance(source, AIMessage)
