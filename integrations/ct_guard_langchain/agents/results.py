"""Results of tools with `return_direct`, which end an agent's run: they are its answer, judged as
one before anything but the tool has seen them."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from langchain.agents.middleware.types import AgentState, ToolCallRequest
from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import ensure_config
from langgraph.types import Command

from ct_guard.errors import PolicyError
from ct_guard.guard import Guard
from ct_guard.policies import Situation
from ct_guard.runs import RunTurn

from ..assess import Case, Scores, ascore, score
from ..delivery import Delivery, may_ask_person
from ..direct import judged_as, with_result
from ..fields import dropped_in
from ..hearing import ModelCall, atell, note_in, tell
from ..muted import Muted
from ..record import ConfidenceRecord, record_in
from ..telling import tell_judged
from .state import last_ai, turns_in
from .unheard import Ear, Unheard, quiet_config

__all__ = ["DirectResult", "check_direct", "ends_run", "record_of_result"]

ToolResult = ToolMessage | Command[Any]


def check_direct(guard: Guard, tools: Iterable[Any], *, hold: bool) -> None:
    """Raises PolicyError for tools with `return_direct` under a policy that asks a person about
    answers: they would wait in the midst of the tool's call, which runs anew when resumed. Held,
    raises UsageError for one whose function reaches a model with callbacks of its own."""
    direct = [tool for tool in tools if getattr(tool, "return_direct", False)]
    names = [tool.name for tool in direct]
    if names and may_ask_person(guard.policy, about_calls=False):
        raise PolicyError(
            f"the policy {guard.policy.name!r} asks a person about answers, and cannot about the"
            f" result of {', '.join(map(repr, names))}, which is one with return_direct=True: let"
            " the model answer by it (return_direct=False), or choose a policy that abstains"
        )
    for tool in direct if hold else ():
        Muted(tool.model_copy(update={"callbacks": None}))


def ends_run(request: ToolCallRequest) -> bool:
    """Whether the result of this call is not read by the model, but returned: the tool says so, and
    so do all others that the same message calls."""
    if not getattr(request.tool, "return_direct", False):
        return False
    known = {tool.name: tool for tool in getattr(request.runtime, "tools", ())}
    message = last_ai(request.state["messages"])
    called = [known[call["name"]] for call in _calls(message) if call["name"] in known]
    return all(tool.return_direct for tool in called)


def record_of_result(state: AgentState[Any]) -> ConfidenceRecord | None:
    """The record of a tool's result with which a run has ended."""
    last = state["messages"][-1] if state["messages"] else None
    return record_in([last]) if isinstance(last, ToolMessage) else None


class DirectResult:
    """One call of a tool that ends the run.

    Held, the tool and what runs in it is heard by nobody else before the decision; whoever listens
    is then told of it with what is delivered, and of models in it as of those in a guarded chain.
    """

    def __init__(
        self, name: str, guard: Guard, request: ToolCallRequest, *, hold: bool, delivery: Delivery
    ) -> None:
        check_direct(guard, [request.tool], hold=hold)
        self._name, self._guard, self._given, self._delivery = name, guard, request, delivery
        self._ear = Ear()
        self._hold = hold
        self._result: ToolMessage | None = None
        self._told: Any = None
        self._withheld = False
        messages: list[BaseMessage] = request.state["messages"]
        said = last_ai(request.state["messages"])
        self._said = said or AIMessage("")
        self._asked = messages[: messages.index(said)] if said is not None else messages

    def run(self, handler: Callable[[ToolCallRequest], ToolResult]) -> ToolResult:
        """Run the tool, and judge what it returns."""
        result = handler(self._request())
        cases = self._cases(result)
        made = self._delivered(result, cases, score(cases))
        self._tell()
        return made

    async def arun(self, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]) -> ToolResult:
        """`run` without blocking the event loop."""
        result = await handler(self._request())
        cases = self._cases(result)
        made = self._delivered(result, cases, await ascore(cases))
        await self._atell()
        return made

    def _request(self) -> ToolCallRequest:
        """The request to run: held, with a tool that nobody hears."""
        given = self._given
        if not self._hold or given.tool is None:
            return given
        runtime = given.runtime
        if runtime is not None and runtime.config is not None:
            runtime = replace(runtime, config=quiet_config(runtime.config, self._ear, []))
        return replace(given, tool=Unheard.around(given.tool, self._ear), runtime=runtime)

    def _cases(self, result: Any) -> list[Case]:
        """What is judged of the tool's result; nothing where it answers nothing, as one that hands
        over to another graph."""
        self._result = next(self._results(result), None)
        if self._result is None:
            return []
        return [Case(self._guard, self._asked, judged_as(self._said, [self._result]))]

    def _delivered(
        self, result: ToolResult, cases: Sequence[Case], scores: Sequence[Scores]
    ) -> ToolResult:
        """The result that is returned, with its record. Of one that is withheld nothing else stays,
        also no other update of the state."""
        if self._result is None or not cases:
            self._told = result
            return result
        (case,), (found,) = cases, scores
        turn = RunTurn(turn="answer", p=tuple(each.p for each in found), retries=0)
        run = (*turns_in(self._given.state), turn)
        last = Situation(models_left=0, exhausted=True, run=run)
        assessment = case.decided(found, last)
        self._withheld = assessment.action != "pass"  # there is nobody else to ask
        if self._withheld:
            decision = assessment.decision.model_copy(update={"action": "abstain"})
            assessment = assessment.model_copy(update={"decision": decision})
        said, record = self._delivery.deliver(case.answer, assessment, self._asked)
        changed = self._withheld or bool(dropped_in(record))
        self._told = delivered = with_result(self._result, said, replaced=changed)
        event = {"type": "ct_guard.confidence", "middleware": self._name, **record}
        self._given.runtime.stream_writer(event)
        config = ensure_config()
        note_in(config, record)
        tell_judged(self._guard, record, case.answer, self._asked, config=config)
        if self._withheld:
            return delivered
        made: ToolResult = _with(result, self._result, delivered)
        return made

    def _tell(self) -> None:
        """Those who listen to the run, or to the tool itself, hear of what was held."""
        for call, answer in self._calls():
            tell(call, answer, ensure_config())
        if self._ear.started is not None:
            manager = CallbackManager.configure(**self._about())
            run = manager.on_tool_start(*self._ear.started[0], **self._ear.started[1])
            run.on_tool_end(self._told, name=self._given.tool_call["name"])

    async def _atell(self) -> None:
        """`tell`, from an async run."""
        for call, answer in self._calls():
            await atell(call, answer, ensure_config())
        if self._ear.started is not None:
            manager = AsyncCallbackManager.configure(**self._about())
            run = await manager.on_tool_start(*self._ear.started[0], **self._ear.started[1])
            await run.on_tool_end(self._told, name=self._given.tool_call["name"])

    def _calls(self) -> Iterator[tuple[ModelCall, BaseMessage | None]]:
        for call in self._ear.calls:
            yield call, None if self._withheld else call.answer

    def _about(self) -> dict[str, Any]:
        config, tool = self._given.runtime.config, self._given.tool
        return {
            "inheritable_callbacks": config.get("callbacks"),
            "local_callbacks": getattr(tool, "callbacks", None),
            "inheritable_tags": config.get("tags"),
            "local_tags": getattr(tool, "tags", None),
            "inheritable_metadata": config.get("metadata"),
            "local_metadata": getattr(tool, "metadata", None),
        }

    def _results(self, result: Any) -> Iterator[ToolMessage]:
        """The messages by which this call is answered."""
        match result:
            case ToolMessage() if result.tool_call_id == self._given.tool_call["id"]:
                yield result
            case Command() if result.graph is None and result.update:
                for written in dict(result.update).values():
                    yield from self._results(written)
            case list():
                for each in result:
                    yield from self._results(each)


def _with(result: Any, judged: ToolMessage, said: ToolMessage) -> Any:
    """The result of a tool with this message in place of the one that was judged."""
    match result:
        case ToolMessage():
            return said if result is judged else result
        case Command() if result.graph is None and result.update:
            update = {key: _with(each, judged, said) for key, each in dict(result.update).items()}
            return replace(result, update=update)
        case list():
            return [_with(each, judged, said) for each in result]
    return result


def _calls(message: AIMessage | None) -> Sequence[Any]:
    return message.tool_calls if message is not None else ()
