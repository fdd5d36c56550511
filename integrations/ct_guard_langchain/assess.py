"""From LangChain messages to assessments: the one way by which every surface asks the guard."""

from collections.abc import Collection, Sequence

from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import UsageMetadata

from ct_guard.errors import UsageError
from ct_guard.guard import Guard
from ct_guard.policies import (
    Annotate,
    Budget,
    Certified,
    Escalate,
    Policy,
    Retry,
    Situation,
    Threshold,
    ToolGate,
    parts,
)
from ct_guard.records import Assessment, Confidence, QuestionAnswer

from .messages import question_answer, replace_answer, text_of, turn_of
from .record import attach, make_record

__all__ = [
    "ABSTAIN_MESSAGE",
    "Item",
    "aassess",
    "aassess_items",
    "assess",
    "assess_items",
    "deliver",
    "item_of",
    "may_ask_person",
    "may_replace",
]

ABSTAIN_MESSAGE = "I don't know."

Item = QuestionAnswer | Confidence
"""What is to be scored, or the status that says why it cannot be."""


def assess(
    guard: Guard,
    messages: Sequence[BaseMessage],
    answers: Sequence[BaseMessage],
    *,
    model: str | None = None,
    situation: Situation | None = None,
    schemas: Collection[str] = (),
) -> list[Assessment]:
    """Assess answers to one conversation, in order; `model` is who answered, and a call of one of
    the tools `schemas` is a structured answer.

    Content that is not text has the status `unsupported` and goes by the guard's `on_error`.
    Raises CtGuardError when that is "raise".
    """
    items = [item_of(guard, messages, answer, model=model, schemas=schemas) for answer in answers]
    return assess_items(guard, items, situation=situation)


async def aassess(
    guard: Guard,
    messages: Sequence[BaseMessage],
    answers: Sequence[BaseMessage],
    *,
    model: str | None = None,
    situation: Situation | None = None,
    schemas: Collection[str] = (),
) -> list[Assessment]:
    """`assess` without blocking the event loop."""
    items = [item_of(guard, messages, answer, model=model, schemas=schemas) for answer in answers]
    return await aassess_items(guard, items, situation=situation)


def assess_items(
    guard: Guard, items: Sequence[Item], *, situation: Situation | None = None
) -> list[Assessment]:
    """Assess answers to any conversations in one batch; results in order."""
    scored = guard.assess_batch(_scorable(items), situation=situation)
    return _in_order(guard, items, scored, situation)


async def aassess_items(
    guard: Guard, items: Sequence[Item], *, situation: Situation | None = None
) -> list[Assessment]:
    """`assess_items` without blocking the event loop."""
    scored = await guard.aassess_batch(_scorable(items), situation=situation)
    return _in_order(guard, items, scored, situation)


def item_of(
    guard: Guard,
    messages: Sequence[BaseMessage],
    answer: BaseMessage,
    *,
    model: str | None = None,
    schemas: Collection[str] = (),
) -> Item:
    """A conversation and its answer to assess; already a confidence where it is not text."""
    try:
        return question_answer(messages, answer, model=model, schemas=schemas)
    except UsageError as error:
        return Confidence(
            p=None,
            status="unsupported",
            estimator=guard.estimator.name,
            backend=guard.estimator.backend.name,
            error=str(error),
        )


def deliver(
    message: BaseMessage,
    assessment: Assessment,
    *,
    abstain_message: str,
    attempts: int = 1,
    model_index: int = 0,
    error: str | None = None,
    discarded_usage: UsageMetadata | None = None,
    schemas: Collection[str] = (),
) -> BaseMessage:
    """The message as its reader gets it, with its record: replaced by `abstain_message` where the
    decision is to abstain (the scored text is then the record's `original`), else unchanged."""
    turn, original = turn_of(message, schemas), None
    if assessment.action == "abstain":
        original = _said(message, schemas)
        message = replace_answer(message, abstain_message)
    record = make_record(
        assessment,
        attempts=attempts,
        model_index=model_index,
        error=error,
        turn=turn,
        original=original,
        discarded_usage=discarded_usage,
    )
    return attach(message, record)


def may_replace(policy: Policy) -> bool:
    """Whether an answer that a model gave may not be the one that is delivered. Then its stream has
    to be held until the decision."""
    return any(not isinstance(part, Annotate | ToolGate) for part in parts(policy))


def may_ask_person(policy: Policy) -> bool:
    """Whether a person may have to decide on an answer or a call of a tool."""
    return any(map(_asks_person, parts(policy)))


def _asks_person(part: Policy) -> bool:
    match part:
        case Annotate() | Budget():
            return False
        case Threshold() | Certified() | ToolGate():
            return part.below == "human"
        case Escalate() | Retry():
            return part.otherwise == "human"
    return True  # a review, and a policy of the user's own


def _scorable(items: Sequence[Item]) -> list[QuestionAnswer]:
    return [item for item in items if isinstance(item, QuestionAnswer)]


def _in_order(
    guard: Guard,
    items: Sequence[Item],
    scored: Sequence[Assessment],
    situation: Situation | None,
) -> list[Assessment]:
    rest = iter(scored)
    return [
        next(rest)
        if isinstance(item, QuestionAnswer)
        else Assessment(confidence=item, decision=guard.decide(item, situation))
        for item in items
    ]


def _said(message: BaseMessage, schemas: Collection[str]) -> str:
    try:
        return text_of(message, schemas)
    except UsageError:
        return str(message.text)
