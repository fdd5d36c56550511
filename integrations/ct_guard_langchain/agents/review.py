"""Human review: what a person is asked, and what becomes of their decisions.

The interrupt's value is LangChain's `HITLRequest`, which its interfaces render; it is resumed by
`Command(resume={"decisions": [{"type": "approve"}]})`, one decision for each action. A final answer
is the action `final_answer` with the argument `answer`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, cast, get_args

from langchain.agents.middleware.human_in_the_loop import (
    ActionRequest,
    ApproveDecision,
    EditDecision,
    HITLRequest,
    RejectDecision,
    RespondDecision,
    ReviewConfig,
)
from langchain.agents.middleware.types import AgentMiddleware, ToolCallRequest
from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langgraph.types import interrupt
from pydantic import AfterValidator, Discriminator, ValidationError
from typing_extensions import TypedDict

from ct_guard.errors import UsageError
from ct_guard.records import ReviewChoice

from ..delivery import Delivery, replace_answer
from ..messages import text_of
from ..record import KEY, attach, call_digest, record_in
from .asked import Question, asked_before, asking
from .gate import CallGate, places_of, refused
from .state import VERDICTS, Verdict, last_ai, verdict_on

__all__ = ["FINAL_ANSWER", "let_through", "review_answer", "review_waiting", "without_review"]

FINAL_ANSWER = "final_answer"
"""The name of the action that stands for a final answer."""

_Decision = ApproveDecision | EditDecision | RejectDecision | RespondDecision


class _Response(TypedDict):
    decisions: list[Annotated[_Decision, Discriminator("type")]]


def review_answer(
    message: AIMessage,
    *,
    reason: str,
    allowed: Sequence[ReviewChoice],
    structured: bool,
    delivery: Delivery,
    by: str,
) -> dict[str, Any]:
    """Ask about a final answer, in the name of the middleware `by`; return the update of the
    agent's state.

    approve: the answer stays. edit, respond: the person's text takes its place, and the model's is
    kept as `delivery` says. reject: the model
    is told so and answers again. A structured answer can only be approved or rejected, because
    what a person writes need not fit its schema. Raises UsageError for a reply of another shape;
    the question then stays open.
    """
    if structured:
        allowed = ["approve", "reject"]
    text = text_of(message, [call["name"] for call in message.tool_calls])
    action = ActionRequest(
        name=FINAL_ANSWER,
        args={"answer": text},
        description=f"This answer may be wrong: {reason}",
    )
    about = f"{by} {call_digest(action)}"
    if asked_before(about) is None:
        asking(about, Question(places=[], reasons=[reason], allowed=list(allowed)))
    decision = _ask([action], allowed)[0]
    if decision["type"] == "reject":
        why = decision.get("message")
        told = f"A reviewer rejected your last answer{f': {why}' if why else ''}. Answer again."
        forget = {"structured_response": None} if structured else {}
        return {"messages": [HumanMessage(told)], "jump_to": "model", **forget}
    said = text
    if decision["type"] == "edit":
        said = decision["edited_action"]["args"]["answer"]
    elif decision["type"] == "respond":
        said = decision["message"]
    return _signed(message, decision["type"], delivery.kept(text), said)


def review_waiting(
    message: AIMessage, verdict: Verdict, gate: CallGate, *, by: str
) -> dict[str, Any] | None:
    """Ask about all calls of a turn that waits for a person, else about those that the gate sends
    to one; return the update of the agent's state, the verdict `by` a middleware included. None:
    nobody is to be asked. Raises UsageError as `review_answer` does."""
    about = f"{by} {message.id}"
    asked = asked_before(about)
    if asked is None:
        waiting = _waiting(message, verdict, gate)
        if waiting is None:
            return None
        asked = asking(about, waiting)
    places = asked["places"]
    calls = [message.tool_calls[at] for at in places]
    update = _review_calls(message, calls, reasons=asked["reasons"], allowed=asked["allowed"])
    revised, *results = update["messages"]
    answered = {result.tool_call_id for result in results}
    run = ((at, revised.tool_calls[at]) for at in places)
    done: Verdict = {
        **verdict,
        "action": "pass",
        "reviewed": [_at(place, call) for place, call in run if call["id"] not in answered],
    }
    return {**update, VERDICTS: {by: done}}


def _waiting(message: AIMessage, verdict: Verdict, gate: CallGate) -> Question | None:
    """What is asked about the calls of a message; None: nothing."""
    calls = list(enumerate(message.tool_calls))
    if verdict["action"] == "human":
        reasons = [verdict["reason"]] * len(calls)
        return Question(places=[at for at, _ in calls], reasons=reasons, allowed=verdict["allowed"])
    decided = [(at, gate.decide(call, message, verdict)) for at, call in calls]
    waiting = [(at, made) for at, made in decided if made.action == "human"]
    if not waiting:
        return None
    return Question(
        places=[at for at, _ in waiting],
        reasons=[made.reason for _, made in waiting],
        allowed=list(waiting[0][1].allowed),
    )


def let_through(
    request: ToolCallRequest, gate: CallGate, *, by: str
) -> ToolCallRequest | ToolMessage:
    """The request as it may run, or what stands in place of its result; a person is asked who was
    not before. `by` is the middleware whose verdict counts. Raises UsageError as `review_answer`
    does."""
    call, message = request.tool_call, last_ai(request.state["messages"])
    verdict = verdict_on(message, request.state, by)
    places = places_of(call, message)
    if verdict and places and all(_at(place, call) in verdict["reviewed"] for place in places):
        return request
    about = f"{by} {call['id']} {call_digest(call)}"
    asked = asked_before(about)
    if asked is None:
        decision = gate.decide(call, message, verdict)
        if decision.action != "human":
            return request if decision.action == "pass" else refused(call, decision)
        allowed = list(decision.allowed)
        asked = asking(about, Question(places=[0], reasons=[decision.reason], allowed=allowed))
    reviewed = _review_call(call, reason=asked["reasons"][0], allowed=asked["allowed"])
    if isinstance(reviewed, ToolMessage):
        return reviewed
    return request.override(tool_call=reviewed)


def _at(place: int, call: ToolCall) -> str:
    return f"{place} {call_digest(call)}"


def without_review(
    kind: type[AgentMiddleware[Any, Any, Any]], base: type[AgentMiddleware[Any, Any, Any]]
) -> type[Any]:
    """A middleware without the hook after the model that it has of `base`. LangChain makes a node
    of the graph, a step of every call, of each hook that a middleware's class has; one that can
    only find that nobody is to be asked is a third of what the guard costs. Hooks of a subclass
    stay."""
    unused = {
        name: getattr(AgentMiddleware, name)
        for name in ("after_model", "aafter_model")
        if getattr(kind, name) is getattr(base, name)
    }
    return type(kind.__name__, (kind,), {"__module__": kind.__module__, **unused})


def _review_call(
    call: ToolCall, *, reason: str, allowed: Sequence[ReviewChoice]
) -> ToolCall | ToolMessage:
    """Ask about one call that is about to run; return the call as it may run, or what stands in
    place of its result. Raises UsageError as `review_answer` does."""
    description = f"This call may be wrong: {reason}"
    action = ActionRequest(name=call["name"], args=call["args"], description=description)
    decision = _ask([action], allowed)[0]
    return _result(call, decision) or _revised(call, decision)


def _review_calls(
    message: AIMessage,
    calls: Sequence[ToolCall],
    *,
    reasons: Sequence[str],
    allowed: Sequence[ReviewChoice],
) -> dict[str, Any]:
    """Ask about some of a message's tool calls, in their order; return the update of the agent's
    state.

    approve: the call runs. edit: it runs as the person wrote it. respond: their text is its result.
    reject: it does not run, and the model is told why. Raises UsageError as `review_answer` does.
    """
    actions = [
        ActionRequest(
            name=call["name"],
            args=call["args"],
            description=f"This call may be wrong: {reason}",
        )
        for call, reason in zip(calls, reasons, strict=True)
    ]
    decisions = _ask(actions, allowed)
    rest = list(zip(calls, decisions, strict=True))
    revised: list[ToolCall] = []
    results: list[ToolMessage] = []
    for call in message.tool_calls:
        asked = bool(rest) and rest[0][0] is call
        decision = rest.pop(0)[1] if asked else None
        revised.append(_revised(call, decision))
        if decision is not None and (result := _result(call, decision)) is not None:
            results.append(result)
    return {"messages": [message.model_copy(update={"tool_calls": revised}), *results]}


def _ask(actions: Sequence[ActionRequest], allowed: Sequence[ReviewChoice]) -> list[_Decision]:
    """Interrupt, and on resume return one decision for each action, checked before it is stored."""
    choices: list[ReviewChoice] = list(allowed or get_args(ReviewChoice))

    def check(response: _Response) -> _Response:
        if len(response["decisions"]) != len(actions):
            raise ValueError(f"{len(response['decisions'])} decisions for {len(actions)} actions")
        for action, decision in zip(actions, response["decisions"], strict=True):
            if decision["type"] not in choices:
                raise ValueError(f"{decision['type']!r} is not among {', '.join(choices)}")
            if decision["type"] == "edit" and action["name"] == FINAL_ANSWER:
                _check_edit(decision)
        return response

    names = dict.fromkeys(action["name"] for action in actions)
    request = HITLRequest(
        action_requests=list(actions),
        review_configs=[
            ReviewConfig(action_name=name, allowed_decisions=choices) for name in names
        ],
    )
    schema = cast("type[_Response]", Annotated[_Response, AfterValidator(check)])
    try:
        return interrupt(request, response_schema=schema)["decisions"]
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"][:2])
        wrong = where + first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"this review cannot be resumed so: {wrong}; give"
            f' {{"decisions": [{{"type": …}}]}}, one for each of {len(actions)} actions, each type'
            f" one of {', '.join(choices)}"
        ) from error


def _check_edit(decision: EditDecision) -> None:
    if not isinstance(decision["edited_action"]["args"].get("answer"), str):
        raise ValueError('an edited answer is text in {"args": {"answer": …}}')


def _signed(
    message: AIMessage, choice: ReviewChoice, original: str | None, said: str
) -> dict[str, Any]:
    """The message as the person leaves it, with their choice in its record."""
    record = record_in(message)
    if record is None:
        return {}
    record = {**record, "review": choice}
    if choice != "approve":
        record["original"] = original
        message = cast("AIMessage", replace_answer(message, said))
    return {"messages": [attach(message, record)], KEY: record}


def _revised(call: ToolCall, decision: _Decision | None) -> ToolCall:
    if decision is None or decision["type"] != "edit":
        return call
    edited = decision["edited_action"]
    return ToolCall(type="tool_call", id=call["id"], name=edited["name"], args=edited["args"])


def _result(call: ToolCall, decision: _Decision) -> ToolMessage | None:
    """What stands in place of a result, for a call that does not run."""
    if decision["type"] == "respond":
        content, status = decision["message"], "success"
    elif decision["type"] == "reject":
        why = decision.get("message") or "no reason given; do not repeat it unless the user asks"
        content, status = f"A reviewer rejected this call of {call['name']}: {why}", "error"
    else:
        return None
    return ToolMessage(
        content=content, name=call["name"], tool_call_id=call["id"] or "", status=status
    )
