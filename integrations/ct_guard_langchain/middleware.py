"""`ConfidenceMiddleware`: calibrated confidence, retry, escalation, review and tool gates for
`create_agent`."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
    hook_config,
)
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime
from langgraph.types import Command

from ct_guard.errors import BackendError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard, Terms
from ct_guard.policies import OnError, OnMissing, Policy

from .agent_call import AgentCall
from .assess import ABSTAIN_MESSAGE, aassess, assess, may_ask_person, may_replace
from .review import review_answer, review_calls
from .state import VERDICTS, ConfidenceState, Verdict, last_ai, verdict_on
from .tools import decide_call, gate_of, refused

__all__ = ["ConfidenceMiddleware"]

Request = ModelRequest[Any]
Response = ModelResponse[Any]
ToolResult = ToolMessage | Command[Any]


class ConfidenceMiddleware(AgentMiddleware[Any, Any, Any]):
    """Scores what an agent's model says and does what the policy says.

        create_agent(model, tools, middleware=[ConfidenceMiddleware("mini", 0.7)])

    The final answer is judged with the whole conversation, tool results included; a turn that calls
    tools as those calls, each by itself. The record lies on the message (`get_confidence`) and in
    the state, `state["ct_guard"]`; its `turn` tells both kinds apart.

    * retry, escalate: the model, then each of `models`, is asked the same; the best answer counts.
      A stronger model that raises is noted in the record and passed over.
    * abstain: the answer becomes `abstain_message`, without tool calls, and the agent ends.
    * human: the agent interrupts, and is resumed as after LangChain's own human review; this needs
      a checkpointer. What waits for review is in the state already: show it as a draft.
    * a `ToolGate` in the policy keeps calls below their tool's threshold from running.

    `hold_stream`: keep tokens out of the agent's stream until it is decided whose answer counts. By
    default they are held where the policy can replace an answer.
    """

    state_schema = ConfidenceState

    def __init__(
        self,
        estimator: str | Path | Estimator,
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        *,
        models: Sequence[str | BaseChatModel] = (),
        on_error: OnError = "block",
        on_missing: OnMissing | None = None,
        hold_stream: bool | None = None,
        abstain_message: str = ABSTAIN_MESSAGE,
        deadline: float | None = None,
        window: float = Terms.window,
        max_batch: int | None = None,
        max_waiting: int = Terms.max_waiting,
        name: str | None = None,
    ) -> None:
        """`estimator` to `on_error` and `deadline` to `max_waiting` are those of
        `ct_guard.Guard`.

        `models` are stronger ones, in the order in which they are asked. `on_missing` says whether
        a tool call without a score may run, in place of the policy's own word on it. Several
        middlewares in one agent need a `name` each.

        Raises EstimatorError, PolicyError or UsageError that says what does not fit.
        """
        super().__init__()
        self.tools = []
        self.guard = Guard(
            estimator,
            policy,
            on_error=on_error,
            deadline=deadline,
            window=window,
            max_batch=max_batch,
            max_waiting=max_waiting,
        )
        self.models = tuple(
            init_chat_model(model) if isinstance(model, str) else model for model in models
        )
        self.gate = gate_of(self.guard.policy, on_missing)
        self.hold_stream = may_replace(self.guard.policy) if hold_stream is None else hold_stream
        self.abstain_message = abstain_message
        self._name = name
        if not may_ask_person(self.guard.policy):
            self.__class__ = _without_review(type(self))

    @property
    def name(self) -> str:
        """Under which the agent knows this instance, and its verdicts lie in the state."""
        return self._name or type(self).__name__

    # --- answers --------------------------------------------------------------------------------

    def wrap_model_call(
        self, request: Request, handler: Callable[[Request], Response]
    ) -> Response | ExtendedModelResponse[Any]:
        """Ask, score and decide until the policy is content."""
        call = self._call(request)
        for model in call.ladder:
            try:
                response = handler(call.request_to(model))
            except GraphBubbleUp:
                raise
            except Exception as error:
                if not call.ladder.failed(error):
                    raise
                continue
            said = call.heard(response)
            if said is None:
                if not call.ladder.failed(_NOTHING_SAID):
                    return response
                continue
            about = call.about(said, model)
            call.judged(said, assess(self.guard, call.messages, said.parts, **about))
        return call.delivered()

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response | ExtendedModelResponse[Any]:
        """`wrap_model_call` without blocking the event loop."""
        call = self._call(request)
        for model in call.ladder:
            try:
                response = await handler(call.request_to(model))
            except GraphBubbleUp:
                raise
            except Exception as error:
                if not call.ladder.failed(error):
                    raise
                continue
            said = call.heard(response)
            if said is None:
                if not call.ladder.failed(_NOTHING_SAID):
                    return response
                continue
            about = call.about(said, model)
            call.judged(said, await aassess(self.guard, call.messages, said.parts, **about))
        return call.delivered()

    def _call(self, request: Request) -> AgentCall:
        return AgentCall(
            self.name,
            self.guard,
            request,
            self.models,
            hold=self.hold_stream,
            abstain_message=self.abstain_message,
        )

    # --- review ---------------------------------------------------------------------------------

    @hook_config(can_jump_to=["model"])
    def after_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Interrupt where a person decides.

        An abstention needs no jump to the end: without tool calls the agent ends by itself, and
        other middlewares still see the turn, as the one that counts model calls must.
        """
        message = last_ai(state["messages"])
        verdict = verdict_on(message, state, self.name)
        if message is None or verdict is None:
            return None
        structured = state.get("structured_response") is not None
        if message.tool_calls and not structured:
            return self._review_calls(message, verdict)
        if verdict["action"] != "human":
            return None
        return review_answer(
            message, reason=verdict["reason"], allowed=verdict["allowed"], structured=structured
        )

    @hook_config(can_jump_to=["model"])
    async def aafter_model(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """`after_model`: it waits for nothing but a person, which interrupts the graph."""
        return self.after_model(state, runtime)

    def _review_calls(self, message: AIMessage, verdict: Verdict) -> dict[str, Any] | None:
        """All calls of a turn that waits for a person, else those that the gate sends to one."""
        calls, reasons = list(message.tool_calls), [verdict["reason"]] * len(message.tool_calls)
        allowed = verdict["allowed"]
        if verdict["action"] != "human":
            decided = [(call, decide_call(self.gate, call, verdict)) for call in calls]
            waiting = [(call, made) for call, made in decided if made.action == "human"]
            calls, reasons = [call for call, _ in waiting], [made.reason for _, made in waiting]
            allowed = list(self.gate.allowed)
        if not calls:
            return None
        update = review_calls(message, calls, reasons=reasons, allowed=allowed)
        done: Verdict = {
            **verdict,
            "action": "pass",
            "reviewed": [call["id"] or "" for call in calls],
        }
        return {**update, VERDICTS: {self.name: done}}

    # --- tools ----------------------------------------------------------------------------------

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Run the tool, unless its call scored too low; then the model is told so instead."""
        refusal = self._refusal(request)
        return handler(request) if refusal is None else refusal

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """`wrap_tool_call`, async."""
        refusal = self._refusal(request)
        return await handler(request) if refusal is None else refusal

    def _refusal(self, request: ToolCallRequest) -> ToolMessage | None:
        call, state = request.tool_call, request.state
        verdict = verdict_on(last_ai(state["messages"]), state, self.name)
        if verdict is not None and call["id"] in verdict["reviewed"]:
            return None
        decision = decide_call(self.gate, call, verdict)
        return None if decision.action == "pass" else refused(call, decision)


def _without_review(kind: type[ConfidenceMiddleware]) -> type[ConfidenceMiddleware]:
    """The same middleware without its hook after the model. LangChain makes a node of the graph, a
    step of every call, of each hook that a middleware's class has; one that can only find that
    nobody is to be asked is a third of what the guard costs. Hooks of a subclass stay."""
    unused = {
        name: getattr(AgentMiddleware, name)
        for name in ("after_model", "aafter_model")
        if getattr(kind, name) is getattr(ConfidenceMiddleware, name)
    }
    return type(kind.__name__, (kind,), {"__module__": kind.__module__, **unused})


_NOTHING_SAID = BackendError("it gave no answer that can be judged")
