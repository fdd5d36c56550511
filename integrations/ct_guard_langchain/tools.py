"""Which calls of tools may run: the gate before each call, and a predicate for human review."""

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage

from ct_guard.errors import UsageError
from ct_guard.policies import OnMissing, Policy, Situation, ToolGate, parts
from ct_guard.records import Confidence, Decision

from .record import get_confidence
from .state import Verdict, verdicts_in

__all__ = ["decide_call", "gate_of", "low_confidence", "refused"]


def gate_of(policy: Policy, on_missing: OnMissing | None) -> ToolGate:
    """The tool gate in a policy; where it has none, one that every scored call passes.
    `on_missing`, if given, goes before the gate's own. Raises UsageError for an unknown one."""
    if on_missing is not None:
        _check(on_missing)
    found = [part for part in parts(policy) if isinstance(part, ToolGate)]
    gate = found[0] if found else ToolGate(default=0.0)
    return gate if on_missing is None else gate.model_copy(update={"on_missing": on_missing})


def decide_call(gate: ToolGate, call: ToolCall, verdict: Verdict | None) -> Decision:
    """Whether this call may run, by the score that it got with the message it came in."""
    score = verdict["calls"].get(call["id"] or "") if verdict is not None else None
    return gate.decide(Confidence(p=score), Situation(tool=call["name"], turn="tool_call"))


def refused(call: ToolCall, decision: Decision) -> ToolMessage:
    """What the model reads in place of a result."""
    return ToolMessage(
        content=(
            f"{call['name']} was not run: the confidence in this call is too low"
            f" ({decision.reason}). Do not repeat it unchanged: check it, ask the user, or try"
            " another way."
        ),
        name=call["name"],
        tool_call_id=call["id"],
        status="error",
    )


def low_confidence(
    threshold: float, *, on_missing: OnMissing = "block", name: str | None = None
) -> Callable[[ToolCallRequest], bool]:
    """A predicate for LangChain's own human review: whether a tool call scored below `threshold`.

        HumanInTheLoopMiddleware(interrupt_on={"delete_file": InterruptOnConfig(
            allowed_decisions=["approve", "reject"], when=low_confidence(0.9))})

    It reads what `ConfidenceMiddleware` (the one called `name`; else the lowest of all) or a
    `GuardedChatModel` has stored and scores nothing, so that it says the same again on resume. A
    call without a score is low with `on_missing` "block". Raises UsageError for a threshold that is
    no probability.
    """
    if not 0 <= threshold <= 1:
        raise UsageError(f"a threshold is a probability between 0 and 1, not {threshold!r}")
    _check(on_missing)

    def is_low(request: ToolCallRequest) -> bool:
        scores = _scores(request.state, request.tool_call["id"], name)
        return min(scores) < threshold if scores else on_missing == "block"

    return is_low


def _check(on_missing: str) -> None:
    if on_missing not in get_args(OnMissing):
        known = ", ".join(get_args(OnMissing))
        raise UsageError(f"unknown on_missing {on_missing!r}: there are {known}")


def _scores(state: object, call_id: str | None, name: str | None) -> list[float]:
    """What is known of a call: by the middlewares, else by its message's own record."""
    known = verdicts_in(state)
    verdicts = [verdict for by, verdict in known.items() if name in (None, by)]
    scores = [verdict["calls"].get(call_id or "") for verdict in verdicts]
    if not any(score is not None for score in scores) and name is None:
        scores = [_recorded(state, call_id)]
    return [score for score in scores if score is not None]


def _recorded(state: object, call_id: str | None) -> float | None:
    found = state.get("messages") if isinstance(state, Mapping) else getattr(state, "messages", [])
    messages: Sequence[BaseMessage] = found or []
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(
            call["id"] == call_id for call in message.tool_calls
        ):
            record = get_confidence(message)
            return record["p"] if record else None
    return None
