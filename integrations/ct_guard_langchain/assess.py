"""From LangChain messages to assessments: the one way by which every surface asks the guard."""

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from ct_guard.errors import UsageError
from ct_guard.guard import Guard
from ct_guard.policies import Annotate, Policy, Situation
from ct_guard.records import Assessment, Confidence, QuestionAnswer

from .messages import question_answer, replace_answer, text_of
from .record import attach, make_record

__all__ = ["ABSTAIN_MESSAGE", "aassess", "assess", "deliver", "may_replace"]

ABSTAIN_MESSAGE = "I don't know."


def assess(
    guard: Guard,
    messages: Sequence[BaseMessage],
    answers: Sequence[BaseMessage],
    *,
    model: str | None = None,
    situation: Situation | None = None,
) -> list[Assessment]:
    """Assess answers to one conversation, in order; `model` is who answered.

    Content that is not text has the status `unsupported` and goes by the guard's `on_error`.
    Raises CtGuardError when that is "raise".
    """
    items = [_item(guard, messages, answer, model) for answer in answers]
    scored = guard.assess_batch(_scorable(items), situation=situation)
    return _in_order(guard, items, scored, situation)


async def aassess(
    guard: Guard,
    messages: Sequence[BaseMessage],
    answers: Sequence[BaseMessage],
    *,
    model: str | None = None,
    situation: Situation | None = None,
) -> list[Assessment]:
    """`assess` without blocking the event loop."""
    items = [_item(guard, messages, answer, model) for answer in answers]
    scored = await guard.aassess_batch(_scorable(items), situation=situation)
    return _in_order(guard, items, scored, situation)


def deliver(
    message: BaseMessage,
    assessment: Assessment,
    *,
    abstain_message: str,
    attempts: int = 1,
    model_index: int = 0,
    error: str | None = None,
) -> BaseMessage:
    """The message as its reader gets it, with its record: replaced by `abstain_message` where the
    decision is to abstain (the scored text is then the record's `original`), else unchanged."""
    original = None
    if assessment.action == "abstain":
        original = _said(message)
        message = replace_answer(message, abstain_message)
    record = make_record(
        assessment, attempts=attempts, model_index=model_index, error=error, original=original
    )
    return attach(message, record)


def may_replace(policy: Policy) -> bool:
    """Whether an answer that a model gave may not be the one that is delivered. Then its stream has
    to be held until the decision."""
    return not isinstance(policy, Annotate)


def _item(
    guard: Guard, messages: Sequence[BaseMessage], answer: BaseMessage, model: str | None
) -> QuestionAnswer | Confidence:
    try:
        return question_answer(messages, answer, model=model)
    except UsageError as error:
        return Confidence(
            p=None,
            status="unsupported",
            estimator=guard.estimator.name,
            backend=guard.estimator.backend.name,
            error=str(error),
        )


def _scorable(items: Sequence[QuestionAnswer | Confidence]) -> list[QuestionAnswer]:
    return [item for item in items if isinstance(item, QuestionAnswer)]


def _in_order(
    guard: Guard,
    items: Sequence[QuestionAnswer | Confidence],
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


def _said(message: BaseMessage) -> str:
    try:
        return text_of(message)
    except UsageError:
        return str(message.text)
