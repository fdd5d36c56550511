"""`ConfidenceMiddleware`: calibrated confidence, retry, escalation, review and tool gates for
`create_agent`."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

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
from langchain_core.messages import ToolMessage
from langchain_core.runnables import ensure_config
from langgraph.runtime import Runtime
from langgraph.types import Command

from ct_guard.errors import PolicyError
from ct_guard.estimators import Estimator
from ct_guard.forks import Shared
from ct_guard.guard import Guard, Observer, Terms
from ct_guard.monitoring import Monitor
from ct_guard.policies import OnError, OnMissing, Policy

from ..assess import ascore, score
from ..climbing import aclimb, climb
from ..delivery import (
    ABSTAIN_MESSAGE,
    AbstainMessage,
    Delivery,
    Redact,
    may_ask_person,
    may_replace,
)
from ..per_call import Guards, policy_in
from ..record import KEY, record_in
from ..telling import tell_run
from .call import MISPLACED, AgentCall, NothingSaidError
from .gate import CallGate, NotRunError, as_let_through, gate_of, refused
from .results import DirectResult, check_direct, ends_run, record_of_result
from .review import let_through, review_answer, review_waiting, without_review
from .state import RUN, ConfidenceState, RunRecord, last_ai, verdict_on

__all__ = ["ConfidenceMiddleware"]

Request = ModelRequest[Any]
Response = ModelResponse[Any]
ToolResult = ToolMessage | Command[Any]

_logger = logging.getLogger(__name__)


class ConfidenceMiddleware(Shared, AgentMiddleware[Any, Any, Any]):
    """Scores what an agent's model says and does what the policy says.

        create_agent(model, tools, middleware=[ConfidenceMiddleware("mini", 0.7)])

    The final answer is judged with the whole conversation, tool results included; a turn that calls
    tools as those calls, each by itself. The record lies on the message (`get_confidence`) and in
    the state, `state["ct_guard"]`; its `turn` tells both kinds apart.

    * retry, escalate: the model, then each of `models`, is asked the same; the best answer counts.
      A stronger model that raises is noted in the record and passed over.
    * abstain: the answer becomes `abstain_message`, without tool calls, and the agent ends. With
      `keep_original` its text, as `redact` leaves it, is kept as the record's `original`.
    * `samples`, or a `Resample` in the policy: where P lies in a band, by default where it is only
      just good enough, the model is asked for further answers, heard by nobody; whether they agree
      is evidence, with which the answer is scored again. Calls of tools are decided as they are.
    * human: the agent interrupts, and is resumed as after LangChain's own human review; this needs
      a checkpointer, and so does an agent inside a tool of another, its own or the other's: with
      `checkpointer=False` it answers anew, and asks again, each time. What waits for review is in
      the state already: show it as a draft. So it does for the fields of a structured answer that a
      policy `fields` has reviewed.
    * a structured answer that does not fit its schema is judged, and asked for again as LangChain
      does it; one that does not pass leaves a call without arguments, and no person is asked.
    * a result of a tool with `return_direct` that ends the run is the answer, to what was asked: it
      is judged before the graph has it, and replaced where the policy abstains. It is asked for
      once, and a policy that has a person look at answers is refused: they would be asked in the
      midst of the call, which runs anew when resumed. The arguments of its call were judged as
      such, and what a tool itself writes to a stream is its own.
    * a `Run` in the policy: where the run as a whole is unlikely to succeed, by the confidences of
      its turns and calls so far (`state["ct_guard_run"]`), it ends, is planned anew, or waits for a
      person.
    * a `ToolGate` in the policy keeps calls below their tool's threshold from running, or asks a
      person. A score is that of a call as it was made: one that another middleware, a person or an
      update of the state has changed since counts as not scored.

    List it last. The question, the model and the answer are judged as they were in the end,
    wherever it stands, and the log says once when a middleware inside of it, which is one listed
    after it, has changed them. A call of a tool that such a one changes after the gate has let it
    through is one without a score: it does not run, unless such calls may.

    `hold_stream`: nothing that models say inside is heard by a stream, callback or tracer until it
    is decided whose answer counts; then they are told of that answer, and of other calls only that
    they were made and their tokens. By default it is held where an answer may be replaced, by the
    policy or by `on_error`: `annotate` streams at once, unless `on_error` is "block" or "raise".

    `config={"configurable": {"ct_guard_policy": 0.9}}`, or a `ct_guard_policy` in the context of
    the run (`context_schema`), sets another policy for one call. One that resumes a run judges what
    nobody was shown; what a person was shown, they decide."""

    state_schema = ConfidenceState

    def __init__(
        self,
        estimator: str | Path | Estimator,
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        *,
        samples: int | None = None,
        models: Sequence[str | BaseChatModel] = (),
        on_error: OnError | None = None,
        on_missing: OnMissing | None = None,
        hold_stream: bool | None = None,
        abstain_message: AbstainMessage = ABSTAIN_MESSAGE,
        keep_original: bool = False,
        redact: Redact | None = None,
        deadline: float | None = None,
        window: float = Terms.window,
        max_batch: int | None = None,
        max_waiting: int = Terms.max_waiting,
        monitor: Monitor | None = None,
        observers: Sequence[Observer] = (),
        name: str | None = None,
    ) -> None:
        """`estimator`, `policy`, `on_error` and `deadline` to `observers` are those of
        `ct_guard.Guard`.

        `models` are stronger ones, in the order in which they are asked. `on_missing` says whether
        a tool call without a score may run, in place of the policy's own word on it. Several
        middlewares in one agent need a `name` each.

        Raises EstimatorError, PolicyError or UsageError that says what does not fit.
        """
        super().__init__()
        self.tools = []
        self.delivery = Delivery(abstain_message, keep_original, redact)
        self.guards = Guards(
            Guard(
                estimator,
                policy,
                on_error=on_error,
                deadline=deadline,
                window=window,
                max_batch=max_batch,
                max_waiting=max_waiting,
                monitor=monitor,
                observers=observers,
            ),
            "ConfidenceMiddleware",
            draws=True,
            samples=samples,
        )
        self.models = tuple(
            init_chat_model(model) if isinstance(model, str) else model for model in models
        )
        gate_of(self.guard, on_missing)
        self.on_missing, self.hold_stream = on_missing, hold_stream
        self._reviews = may_ask_person(self.guard.policy)
        self._name, self._said_misplaced = name, False
        if not self._reviews:
            self.__class__ = without_review(type(self), ConfidenceMiddleware)

    @property
    def guard(self) -> Guard:
        """The guard with the policy of this object."""
        return self.guards.guard

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

        def ask(model: BaseChatModel) -> Response:
            with call.listening():
                return handler(call.request_to(model))

        def draw(model: BaseChatModel) -> Response:
            with call.drawing():
                return handler(call.request_to(model, held=True))

        said: Response | ExtendedModelResponse[Any]
        try:
            climb(call, ask, draw)
            said = call.delivered()
        except NothingSaidError as nothing:
            said = call.passed_on(nothing, score(nothing.cases))
        self._say_misplaced(call)
        call.tell()
        return said

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response | ExtendedModelResponse[Any]:
        """`wrap_model_call` without blocking the event loop."""
        call = self._call(request)

        async def ask(model: BaseChatModel) -> Response:
            with call.listening():
                return await handler(call.request_to(model))

        async def draw(model: BaseChatModel) -> Response:
            with call.drawing():
                return await handler(call.request_to(model, held=True))

        said: Response | ExtendedModelResponse[Any]
        try:
            await aclimb(call, ask, draw)
            said = call.delivered()
        except NothingSaidError as nothing:
            said = call.passed_on(nothing, await ascore(nothing.cases))
        self._say_misplaced(call)
        await call.atell()
        return said

    def _call(self, request: Request) -> AgentCall:
        guard = self._guard_for(request.runtime)
        self._gate(guard).check(request.tools, all_known=False)
        check_direct(guard, request.tools, hold=self._holds(guard))
        return AgentCall(
            self.name,
            guard,
            request,
            self.models,
            hold=self._holds(guard),
            delivery=self.delivery,
            gate=None if guard is self.guard else self._gate(guard).as_json(),
        )

    def _holds(self, guard: Guard) -> bool:
        """Whether nobody may hear of an answer before it is decided on."""
        return may_replace(guard, gated=True) if self.hold_stream is None else self.hold_stream

    def _guard_for(self, runtime: Any) -> Guard:
        """The guard with the policy that a call sets, if it does."""
        guard = self.guards.under(policy_in(ensure_config(), getattr(runtime, "context", None)))
        if may_ask_person(guard.policy, about_calls=False) and not self._reviews:
            raise PolicyError(
                f"the policy {guard.policy.name!r} asks a person about answers, and this agent was"
                " made without a review: give ConfidenceMiddleware a policy that asks one as well"
            )
        return guard

    def _gate(self, guard: Guard) -> CallGate:
        return gate_of(guard, self.on_missing)

    def _say_misplaced(self, call: AgentCall) -> None:
        if call.misplaced and not self._said_misplaced:
            self._said_misplaced = True
            _logger.warning(MISPLACED, self.name, self.name)

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
            gate = self._gate(self._guard_for(runtime))
            return review_waiting(message, verdict, gate, by=self.name)
        if verdict["action"] != "human":
            return None
        return review_answer(
            message,
            reason=verdict["reason"],
            allowed=verdict["allowed"],
            structured=structured,
            delivery=self.delivery,
            by=self.name,
        )

    @hook_config(can_jump_to=["model"])
    async def aafter_model(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """`after_model`: it waits for nothing but a person, which interrupts the graph."""
        return self.after_model(state, runtime)

    # --- runs -----------------------------------------------------------------------------------

    def before_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """A run begins: what a thread's memory holds is of an earlier one."""
        return {RUN: None} if state.get(RUN) is not None else None

    async def abefore_agent(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """`before_agent`, which waits for nothing."""
        return self.before_agent(state, runtime)

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Observers hear of the run. Where another middleware has ended it with a message of its
        own, the state's record is not that of an earlier one."""
        message, direct = last_ai(state["messages"]), record_of_result(state)
        run = cast("RunRecord | None", state.get(RUN))
        tell_run(self.guard, run, direct or record_in(message), ensure_config())
        if direct is not None:
            return {KEY: direct}
        if KEY not in state or verdict_on(message, state, self.name) is not None:
            return None
        return {KEY: record_in(message)}

    async def aafter_agent(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """`after_agent`, which waits for nothing."""
        return self.after_agent(state, runtime)

    # --- tools ----------------------------------------------------------------------------------

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Run the tool, unless its call scored too low; then the model is told so instead, or a
        person is asked who was not before. A result that ends the run is judged as its answer."""
        allowed = self._allowed(request)
        if isinstance(allowed, ToolMessage):
            return allowed
        direct = self._direct(allowed)
        try:
            with self._as_let_through(allowed):
                return handler(allowed) if direct is None else direct.run(handler)
        except NotRunError as stopped:
            return refused(allowed.tool_call, stopped.decision)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """`wrap_tool_call`, async."""
        allowed = self._allowed(request)
        if isinstance(allowed, ToolMessage):
            return allowed
        direct = self._direct(allowed)
        try:
            with self._as_let_through(allowed):
                return await (handler(allowed) if direct is None else direct.arun(handler))
        except NotRunError as stopped:
            return refused(allowed.tool_call, stopped.decision)

    def _direct(self, request: ToolCallRequest) -> DirectResult | None:
        """The call, where its result is the answer."""
        if not ends_run(request):
            return None
        guard = self._guard_for(request.runtime)
        return DirectResult(
            self.name, guard, request, hold=self._holds(guard), delivery=self.delivery
        )

    def _as_let_through(self, request: ToolCallRequest) -> AbstractContextManager[None]:
        gate = self._gate(self._guard_for(request.runtime))
        verdict = verdict_on(last_ai(request.state["messages"]), request.state, self.name)
        return as_let_through(request, gate, verdict)

    def _allowed(self, request: ToolCallRequest) -> ToolCallRequest | ToolMessage:
        """The request as it may run, or what stands in place of its result."""
        gate = self._gate(self._guard_for(request.runtime))
        gate.check(getattr(request.runtime, "tools", ()), all_known=True)
        return let_through(request, gate, by=self.name)
