"""Which calls of tools may run: the gate before each call, which also sees to it that the call that
runs is the one that was let through, whatever changes it on the way; and a predicate for human
review."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID

from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.tracers.context import register_configure_hook

from ct_guard.errors import LowConfidenceError, UsageError
from ct_guard.guard import Guard
from ct_guard.policies import OnMissing, Situation, ToolGate, parts
from ct_guard.records import Confidence, Decision

from ..delivery import may_replace
from ..record import CallScore, call_digest, confidence_in, record_in
from ..ungated import ASKED
from .state import GateRecord, Verdict, last_ai, policy_digest, verdict_on, verdicts_in

__all__ = [
    "CallGate",
    "NotRunError",
    "as_let_through",
    "gate_of",
    "low_confidence",
    "places_of",
    "refused",
    "tool_names",
    "watching",
]

_UNSCORED = "it was never scored as it stands"

Decide = Callable[[Mapping[str, Any]], Decision]
"""Whether a call that nobody has scored may run."""


@dataclass(frozen=True)
class CallGate:
    """Which calls of tools may run. A score is that of a call at its position, with its name and
    its arguments: one that was changed since, or put in, has none."""

    gate: ToolGate | None
    """The policy's own, or one that `on_missing` asks for; None: what was scored and not withheld
    runs."""
    blocks: bool
    """Without a gate: whether a call that was never scored is kept from running."""
    policy: str
    guard: Guard | None = None
    """Without a gate: decides on calls that were scored under another policy; None: nobody does."""

    def decide(
        self, call: Mapping[str, Any], message: AIMessage | None, verdict: Verdict | None
    ) -> Decision:
        """Whether this call of the message may run: by this gate, and by the one under which its
        message was scored."""
        made = self._decided(call, message, verdict)
        if verdict is not None and "gate" in verdict:
            before = _gate_in(verdict["gate"])._decided(call, message, verdict)
            return max(before, made, key=lambda each: _STRICT.index(each.action))
        return made

    def as_json(self) -> GateRecord:
        """What a verdict keeps of it."""
        kept = None if self.gate is None else self.gate.model_dump(mode="json", exclude={"answers"})
        return GateRecord(gate=kept, blocks=self.blocks, policy=self.policy)

    def _decided(
        self, call: Mapping[str, Any], message: AIMessage | None, verdict: Verdict | None
    ) -> Decision:
        scores = verdict["calls"] if verdict is not None else []
        found = scores_of(call, message, scores)
        known = [p for p in found if p is not None]
        p = min(known) if known and len(known) == len(found) else None
        if self.gate is None:
            if found and self.guard is not None and not _decided_by(self.guard, verdict):
                return _decided_anew(self.guard, p, message)
            if found or not self.blocks:
                return Decision(action="pass", policy=self.policy)
            return Decision(action="abstain", policy=self.policy, reason=_UNSCORED)
        decision = self.gate.decide(Confidence(p=p), Situation(tool=call["name"], turn="tool_call"))
        if found or decision.action == "pass":
            return decision
        return decision.model_copy(update={"reason": f"{decision.reason}: {_UNSCORED}"})

    def check(self, tools: Iterable[Any], *, all_known: bool) -> None:
        """`ToolGate.check_names`, among `tools` and those of the agents around."""
        names = tool_names(tools)
        if self.gate is not None and names:
            self.gate.check_names(names | _tools_around(), all_known=all_known)


def gate_of(guard: Guard, on_missing: OnMissing | None) -> CallGate:
    """The gate in a guard's policy. `on_missing`, if given, goes before the policy's own word on
    it; without either, unscored calls run only where the guard never withholds anything. Raises
    UsageError for an unknown one."""
    if on_missing is not None:
        _check(on_missing)
    gate = next((part for part in parts(guard.policy) if isinstance(part, ToolGate)), None)
    if on_missing is not None:
        gate = (gate or ToolGate(default=0.0)).model_copy(update={"on_missing": on_missing})
    return CallGate(gate, may_replace(guard, gated=True), guard.policy.name, guard)


def _decided_by(guard: Guard, verdict: Verdict | None) -> bool:
    """Whether a verdict is of this guard's policy. One from before verdicts named it is of none."""
    return verdict is not None and verdict.get("policy") == policy_digest(guard.policy)


def _decided_anew(guard: Guard, p: float | None, message: AIMessage | None) -> Decision:
    """What this guard's policy makes of a call that was scored, and let pass, under another."""
    record = record_in(message)
    if record is None:
        confidence, index = Confidence(p=p), 0
    else:
        status = "ok" if p is not None else record["status"]
        confidence = confidence_in({**record, "p": p, "status": status})
        index = record["model_index"]
    last = Situation(models_left=0, model_index=index, exhausted=True, turn="tool_call")
    decision = guard.decide(confidence, last)
    if decision.action in ("retry", "escalate"):
        return decision.model_copy(update={"action": "abstain"})
    return decision


_STRICT = ("pass", "human", "abstain")
"""What may become of a call, the strictest last."""


def _gate_in(record: GateRecord) -> CallGate:
    gate = None if record["gate"] is None else ToolGate.model_validate(record["gate"])
    return CallGate(gate, record["blocks"], record["policy"])


def scores_of(
    call: Mapping[str, Any], message: AIMessage | None, scores: Sequence[CallScore]
) -> list[float | None]:
    """The scores of a call at its places in a message; none where it stands nowhere, or something
    else, or nothing, stood at one of them when it was scored."""
    digest, places = call_digest(call), places_of(call, message)
    if any(at >= len(scores) or scores[at]["call"] != digest for at in places):
        return []
    return [scores[at]["p"] for at in places]


def places_of(call: Mapping[str, Any], message: AIMessage | None) -> list[int]:
    """Where in a message this very call stands, by its id, its name and its arguments: once, unless
    ids are given twice."""
    digest = call_digest(call)
    return [
        at
        for at, each in enumerate(message.tool_calls if message is not None else ())
        if each["id"] == call.get("id") and call_digest(each) == digest
    ]


def tool_names(tools: Iterable[Any]) -> set[str]:
    """The names of tools, also of those that are a provider's own."""
    names = [
        tool.get("name", tool.get("function", {}).get("name"))
        if isinstance(tool, Mapping)
        else getattr(tool, "name", None)
        for tool in tools
    ]
    return {name for name in names if isinstance(name, str)}


def refused(call: ToolCall, decision: Decision) -> ToolMessage:
    """What the model reads in place of a result."""
    return ToolMessage(
        content=(
            f"{call['name']} was not run: the confidence in this call is too low"
            f" ({decision.reason}). Do not repeat it unchanged: check it, ask the user, or try"
            " another way."
        ),
        name=call["name"],
        tool_call_id=call["id"] or "",
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
        scores = _scores(request.state, request.tool_call, name)
        return min(scores) < threshold if scores else on_missing == "block"

    return is_low


def _check(on_missing: str) -> None:
    if on_missing not in get_args(OnMissing):
        known = ", ".join(get_args(OnMissing))
        raise UsageError(f"unknown on_missing {on_missing!r}: there are {known}")


def _scores(state: object, call: ToolCall, name: str | None) -> list[float]:
    """What is known of a call: by the middlewares, else by its message's own record."""
    found = state.get("messages") if isinstance(state, Mapping) else getattr(state, "messages", [])
    message = last_ai(found or [])
    verdicts = [verdict_on(message, state, by) for by in verdicts_in(state) if name in (None, by)]
    known = [scores_of(call, message, verdict["calls"]) for verdict in verdicts if verdict]
    record = record_in(message)
    if not any(known) and name is None and record is not None:
        known = [scores_of(call, message, record.get("calls", []))]
    return [score for scores in known for score in scores if score is not None]


class NotRunError(LowConfidenceError):
    """Stops a tool before it begins; `decision` says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.decision = decision


class _Watch(BaseCallbackHandler):
    """LangChain tells it of every tool that begins: by then nothing changes the call any more. A
    tool that runs inside the one that was let through is that one's own business."""

    raise_error = run_inline = True

    def __init__(self, request: ToolCallRequest, decide: Decide, around: "_Watch | None") -> None:
        self._let_through, self._decide, self._around = (
            call_digest(request.tool_call),
            decide,
            around,
        )
        self.tools = tool_names(getattr(request.runtime, "tools", ()))
        if around is not None:
            self.tools |= around.tools
        config = getattr(request.runtime, "config", None) or {}
        self._node: UUID | None = getattr(config.get("callbacks"), "parent_run_id", None)
        self._begun = False

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Raises NotRunError for another call that may not run."""
        if self._around is not None:
            self._around.on_tool_start(
                serialized, input_str, parent_run_id=parent_run_id, inputs=inputs, **kwargs
            )
        if self._begun and parent_run_id != self._node:
            return
        self._begun = True
        call = {"name": serialized["name"], "args": input_str if inputs is None else inputs}
        if call_digest(call) != self._let_through:
            decision = self._decide(call)
            if decision.action != "pass":
                raise NotRunError(decision)


_WATCH: ContextVar[_Watch | None] = ContextVar("ct_guard_watch", default=None)
register_configure_hook(_WATCH, inheritable=False)


def watching() -> list[BaseCallbackHandler]:
    """Who sees to it that the call that runs is the one that was let through."""
    watch = _WATCH.get()
    return [] if watch is None else [watch]


def _tools_around() -> set[str]:
    """Of the agents in a call of whose tools this one runs: a policy that was set for theirs is for
    this one as well."""
    watch = _WATCH.get()
    return set() if watch is None else watch.tools


@contextmanager
def as_let_through(
    request: ToolCallRequest, gate: CallGate, verdict: Verdict | None
) -> Iterator[None]:
    """Around whatever executes the request: a tool that begins with another name or other arguments
    counts as never scored, and raises NotRunError instead where it may not run."""
    watch = _Watch(request, lambda call: gate.decide(call, None, verdict), _WATCH.get())
    tokens = _WATCH.set(watch), ASKED.set(gate.gate)
    try:
        yield
    finally:
        _WATCH.reset(tokens[0])
        ASKED.reset(tokens[1])
