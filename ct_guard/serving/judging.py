"""From a conversation and its answers to assessments, and from these to what a client is told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ct_guard.conversation import is_cut_off
from ct_guard.files import Rejected, Row, question_answer
from ct_guard.files.token_logprobs import numbers_of, tokens_of
from ct_guard.guard import Guard, Outcome
from ct_guard.policies import Situation, ToolGate, parts
from ct_guard.records import Assessment, Confidence, QuestionAnswer

from .completions import Said

__all__ = ["LAST", "assess", "headers_of", "item_of", "record_of"]

LAST = Situation(models_left=0, exhausted=True)
"""Nothing can be done about an answer but to deliver it, or not."""

Item = QuestionAnswer | Confidence
"""What is to be scored, or the status that says why it cannot be."""


@dataclass(frozen=True)
class _Case:
    said: Said
    items: list[Item]


def item_of(guard: Guard, fields: dict[str, Any], where: str) -> Item:
    """A question and its answer, in the columns that files have; `where` names them in errors."""
    made = question_answer(Row(1, fields, None, where), guard.estimator.columns)
    if isinstance(made, Rejected):
        return guard.estimator.unscored(made.status, made.message)
    return made


async def assess(
    guard: Guard,
    messages: Any,
    answers: Sequence[Said],
    *,
    model: str | None,
    situation: Situation,
) -> list[Assessment]:
    """The assessments of answers to a conversation, in the form of OpenAI's API, in order.

    Several calls of tools are scored each by itself, and are as likely right as the weakest. A tool
    gate decides on the turn as a whole. What cannot be read has the status that says why.
    """
    cases = [_Case(said, _items(guard, messages, said, model)) for said in answers]
    asked = [item for case in cases for item in case.items if isinstance(item, QuestionAnswer)]
    rest = iter(await guard.ascore(asked))
    made = []
    for case in cases:
        scored = [item if isinstance(item, Confidence) else next(rest) for item in case.items]
        made.append(_decided(guard, case.said, scored, situation))
    return made


def _items(guard: Guard, messages: Any, said: Said, model: str | None) -> list[Item]:
    about = {"messages": messages, "model": model}
    items = [item_of(guard, {**about, "answer": part}, "the request") for part in said.parts()]
    update: dict[str, Any] = {"cut_off": is_cut_off(said.finish)}
    if said.calls:
        update["group"] = "tool_call"
    if (logprobs := _logprobs(said)) is not None:
        update["logprobs"] = logprobs
    return [
        item.model_copy(update=update) if isinstance(item, QuestionAnswer) else item
        for item in items
    ]


def _decided(
    guard: Guard, said: Said, scored: Sequence[Confidence], situation: Situation
) -> Assessment:
    weakest = min(scored, key=lambda each: -1.0 if each.p is None else each.p)
    decision = guard.decide(weakest, replace(situation, turn=said.turn))
    gate = next((part for part in parts(guard.policy) if isinstance(part, ToolGate)), None)
    if gate is not None and said.calls and decision.action == "pass":
        # whoever runs the calls does not ask the gate, and a single item may stand for one call
        decision = gate.decide_turn(zip(said.names, scored, strict=False))
    calls = tuple(scored) if len(scored) > 1 else ()
    return Assessment(confidence=weakest, decision=decision, calls=calls)


def _logprobs(said: Said) -> tuple[float, ...] | None:
    """Of the answer's tokens; None where the model reports none in a form that is known here."""
    if said.calls or said.logprobs is None:
        return None
    try:
        return numbers_of(tokens_of(said.logprobs)) or None
    except ValueError:
        return None


def record_of(assessment: Assessment, outcome: Outcome[Any] | None = None) -> dict[str, Any]:
    """What a client is told: plain JSON, what is not known left out, but for `p`."""
    confidence, decision = assessment.confidence, assessment.decision
    told = confidence.model_dump(mode="json", exclude_defaults=True)
    record = {
        "p": confidence.p,
        "status": confidence.status,
        "calibrated": confidence.calibrated,
        **told,
        **decision.model_dump(mode="json", exclude_defaults=True),
    }
    if assessment.calls:
        record["calls"] = [each.p for each in assessment.calls]
    if outcome is not None:
        record |= {"attempts": outcome.attempts, "model_index": outcome.model_index}
        errors = [text for text in (confidence.error, outcome.error) if text]
        record |= {"error": "; ".join(errors)} if errors else {}
    return record


def headers_of(assessments: Sequence[Assessment]) -> dict[str, str]:
    """Of the first answer: `x-ct-guard-p`, left out where not measured, and
    `x-ct-guard-action`."""
    if not assessments:
        return {}
    first = assessments[0]
    told = {} if first.p is None else {"x-ct-guard-p": f"{first.p:.6f}"}
    return {**told, "x-ct-guard-action": first.action}
