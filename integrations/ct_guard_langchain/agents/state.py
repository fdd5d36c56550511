"""What the middleware keeps in an agent's state."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, NotRequired, cast

from langchain.agents.middleware.types import AgentState, OmitFromInput, PrivateStateAttr
from langchain_core.messages import AIMessage, AnyMessage
from typing_extensions import TypedDict

from ct_guard.policies import Policy, Turn
from ct_guard.records import Action, Assessment, Decision, ReviewChoice
from ct_guard.runs import RunLayer, RunTurn

from ..record import CallScore, ConfidenceRecord, call_scores

__all__ = [
    "RUN",
    "VERDICTS",
    "ConfidenceState",
    "GateRecord",
    "RunRecord",
    "Verdict",
    "last_ai",
    "policy_digest",
    "run_record",
    "turns_in",
    "verdict_of",
    "verdict_on",
    "verdicts_in",
]

RUN = "ct_guard_run"
VERDICTS = "ct_guard_verdicts"
_TOLD = 5
"""Fields that a person is told of by name; the record has them all."""


class RunTurnRecord(TypedDict):
    """A `RunTurn` as plain JSON."""

    turn: Turn
    p: list[float | None]
    retries: int


class RunRecord(TypedDict):
    """An agent's run so far, plain JSON: with a label (`correct`), a row of a file of runs."""

    p: float | None
    """P(the run succeeds), in [0, 1]; None when not measured, and `reason` says why."""
    reason: str | None
    turns: list[RunTurnRecord]


class GateRecord(TypedDict):
    """What let calls run when they were scored: plain JSON."""

    gate: dict[str, Any] | None
    """A `ToolGate`, but for its policy on answers; None: the policy had none."""
    blocks: bool
    policy: str


class Verdict(TypedDict):
    """What one middleware decided on the latest AI message: plain JSON."""

    message_id: str | None
    action: Action
    allowed: list[ReviewChoice]
    """What a person may do, with the action `human`."""
    reason: str
    policy: str
    """A digest of the policy that decided."""
    calls: list[CallScore]
    """The score of each tool call, by its position."""
    reviewed: list[str]
    """The tool calls that a person let run: of each its position and its digest."""
    gate: NotRequired[GateRecord]
    """Only where the call set a policy of its own: its gate, which holds for these calls also where
    the run is resumed without it."""


def _latest(old: Any, new: Any) -> Any:
    """Several middlewares write in one step; the outermost writes last."""
    return new


def _merged(old: Mapping[str, Verdict] | None, new: Mapping[str, Verdict]) -> dict[str, Verdict]:
    return {**(old or {}), **new}


class ConfidenceState(AgentState[Any]):
    """An agent's state with the record of its latest AI message, and of its run. Callers cannot set
    these keys."""

    ct_guard: NotRequired[Annotated[ConfidenceRecord | None, OmitFromInput, _latest]]
    ct_guard_run: NotRequired[Annotated[RunRecord | None, OmitFromInput, _latest]]
    """Of this invocation, resumed ones included; of several middlewares, by the outermost."""
    ct_guard_verdicts: NotRequired[Annotated[dict[str, Verdict], PrivateStateAttr, _merged]]
    """By the name of the middleware."""


def last_ai(messages: Sequence[AnyMessage]) -> AIMessage | None:
    """The latest AI message."""
    return next((said for said in reversed(messages) if isinstance(said, AIMessage)), None)


def verdicts_in(state: object) -> dict[str, Verdict]:
    """The verdicts in an agent's state, a mapping or an object, by the middleware's name."""
    found = state.get(VERDICTS) if isinstance(state, Mapping) else getattr(state, VERDICTS, None)
    return cast("dict[str, Verdict]", found or {})


def verdict_on(message: AIMessage | None, state: object, name: str) -> Verdict | None:
    """The verdict of the middleware `name` on this very message; None for one that it never saw."""
    verdict = verdicts_in(state).get(name)
    if verdict is None or message is None or verdict["message_id"] != message.id:
        return None
    return verdict


def verdict_of(
    said: AIMessage, assessment: Assessment, policy: Policy, gate: GateRecord | None
) -> Verdict:
    """The verdict of a policy on a message, with the `gate` of one that the call has set."""
    decision, calls = _waiting(assessment), assessment.calls
    made = Verdict(
        message_id=said.id,
        action=decision.action,
        allowed=list(decision.allowed),
        reason=decision.reason,
        policy=policy_digest(policy),
        calls=call_scores(said.tool_calls, calls) if calls and said.tool_calls else [],
        reviewed=[],
    )
    return made if gate is None else {**made, "gate": gate}


def policy_digest(policy: Policy) -> str:
    """Equal for equal policies; one of the user's own may differ from itself after a restart."""
    return sha256(repr(policy).encode("utf-8", "surrogatepass")).hexdigest()


def _waiting(assessment: Assessment) -> Decision:
    """The decision on an answer, which waits for a person where a field of it does."""
    decision, fields = assessment.decision, assessment.confidence.fields or {}
    waiting = [path for path, action in (decision.fields or {}).items() if action == "review"]
    if decision.action != "pass" or not waiting:
        return decision
    told = [f"{path} ({_known(fields[path].p)})" for path in waiting[:_TOLD]]
    more = [f"{len(waiting) - _TOLD} more"] if len(waiting) > _TOLD else []
    reason = f"fields to review: {', '.join([*told, *more])}"
    return decision.model_copy(update={"action": "human", "reason": reason})


def _known(p: float | None) -> str:
    return "not scored" if p is None else f"p {p:.3f}"


def turns_in(state: object) -> tuple[RunTurn, ...]:
    """The turns of the run so far."""
    found = state.get(RUN) if isinstance(state, Mapping) else getattr(state, RUN, None)
    return tuple(RunTurn.model_validate(turn) for turn in (found or {}).get("turns", ()))


def run_record(turns: Sequence[RunTurn], layer: RunLayer | None) -> RunRecord:
    """What the state says of a run after these turns; without a layer, only what they were."""
    p = None if layer is None else layer.p(turns)
    reason = None
    if layer is None:
        reason = "the estimator knows nothing of runs: see 'ct-guard calibrate --runs'"
    elif p is None:
        reason = "no turn of this run has a score"
    told = [cast("RunTurnRecord", turn.model_dump(mode="json")) for turn in turns]
    return RunRecord(p=p, reason=reason, turns=told)
