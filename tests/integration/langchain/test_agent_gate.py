"""The gate of an agent's tools: a score is that of one call, at its position, with its name and its
arguments, and what has none does not run."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    InterruptOnConfig,
)
from langchain.agents.middleware.types import ToolCallRequest
from langchain.tools import InjectedState, InjectedToolCallId, ToolRuntime
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from ct_guard.errors import PolicyError
from ct_guard.estimators import Estimator
from ct_guard.policies import Annotate, OnMissing, Require, Threshold, ToolGate
from ct_guard_langchain import ConfidenceMiddleware, low_confidence
from tests.integration.langchain.scripted import calling, model
from tests.integration.langchain.surfaces import is_valid, run

ASK: Any = {"messages": [("user", "Please tidy up.")]}
THREAD: RunnableConfig = {"configurable": {"thread_id": "one"}}
GATE = ToolGate(thresholds={"delete": 0.9})
WAYS = pytest.mark.parametrize("way", ["invoke", "ainvoke"])


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def tools(ran: list[str]) -> list[Any]:
    @tool
    def delete(path: str) -> str:
        """Delete a file."""
        ran.append(f"delete {path}")
        return "deleted"

    @tool
    def search(word: str) -> str:
        """Search for a word."""
        ran.append(f"search {word}")
        return "found"

    return [delete, search]


def calls(*made: tuple[str, dict[str, str], str | None]) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": n, "args": a, "id": i} for n, a, i in made])


class Edits(AgentMiddleware):
    """Another middleware, which changes a call after the model has made it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        last = state["messages"][-1]
        if not last.tool_calls:
            return None
        changed = [{**call, "args": {"path": self.path}} for call in last.tool_calls]
        return {"messages": [last.model_copy(update={"tool_calls": changed})]}


@WAYS
@pytest.mark.parametrize("ids", [("0", "0"), ("", ""), ("a", "b")])
@pytest.mark.parametrize("first", ["delete", "search"])
async def test_a_trusted_call_lends_its_score_to_no_other(
    estimator: Estimator,
    tools: list[Any],
    ran: list[str],
    way: str,
    ids: tuple[str, ...],
    first: str,
) -> None:
    made = [("delete", {"path": "perhaps"}, ids[0]), ("search", {"word": "sure"}, ids[1])]
    said = model(calls(*(made if first == "delete" else made[::-1])), "sure")
    agent = create_agent(said, tools, middleware=[ConfidenceMiddleware(estimator, GATE)])
    await run(way, agent, ASK)
    assert "delete perhaps" not in ran


async def test_a_call_without_an_id_is_gated_as_well(
    estimator: Estimator, tools: list[Any], ran: list[str]
) -> None:
    said = model(calls(("delete", {"path": "perhaps"}, None)), "sure")
    agent = create_agent(said, tools, middleware=[ConfidenceMiddleware(estimator, GATE)])
    state = await run("invoke", agent, ASK)
    assert (ran, state["messages"][2].status) == ([], "error")


async def test_two_calls_of_one_tool_have_a_score_each(
    estimator: Estimator, tools: list[Any], ran: list[str]
) -> None:
    made = [("delete", {"path": "a sure thing"}, "0"), ("delete", {"path": "perhaps"}, "0")]
    agent = create_agent(
        model(calls(*made), "sure"), tools, middleware=[ConfidenceMiddleware(estimator, GATE)]
    )
    await run("invoke", agent, ASK)
    assert ran == ["delete a sure thing"]


@WAYS
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("policy", [GATE, Threshold(threshold=0.3)], ids=["gate", "threshold"])
async def test_a_call_that_another_middleware_has_changed_does_not_run(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str, order: int, policy: Any
) -> None:
    middleware = [ConfidenceMiddleware(estimator, policy), Edits("everything, sure")]
    said = model(calling("delete", path="a sure thing"), "sure")
    agent = create_agent(said, tools, middleware=middleware[::order])
    state = await run(way, agent, ASK)
    assert ran == []
    assert "it was never scored as it stands" in state["messages"][2].text
    assert is_valid(state["messages"])


async def test_where_nothing_is_ever_withheld_a_changed_call_runs(
    estimator: Estimator, tools: list[Any], ran: list[str]
) -> None:
    said = model(calling("delete", path="a sure thing"), "sure")
    middleware = [ConfidenceMiddleware(estimator, Annotate()), Edits("another")]
    await run("invoke", create_agent(said, tools, middleware=middleware), ASK)
    assert ran == ["delete another"]


async def test_a_call_that_a_person_has_changed_in_the_stock_review_does_not_run(
    estimator: Estimator, tools: list[Any], ran: list[str]
) -> None:
    config = InterruptOnConfig(allowed_decisions=["approve", "edit"])
    stock = HumanInTheLoopMiddleware(interrupt_on={"delete": config})
    agent = create_agent(
        model(calling("delete", path="a sure thing"), "sure"),
        tools,
        middleware=[stock, ConfidenceMiddleware(estimator, GATE)],
        checkpointer=InMemorySaver(),
    )
    await run("invoke", agent, ASK, THREAD)
    edited = {"name": "delete", "args": {"path": "everything, sure"}}
    resume: Command[Any] = Command(
        resume={"decisions": [{"type": "edit", "edited_action": edited}]}
    )
    state = await run("invoke", agent, resume, THREAD)
    assert ran == []
    assert is_valid(state["messages"])


@WAYS
@pytest.mark.parametrize("below", ["abstain", "human"])
async def test_a_call_that_an_update_of_the_state_has_changed_does_not_run(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str, below: str
) -> None:
    gate = ToolGate(thresholds={"delete": 0.9}, below=below)
    agent = create_agent(
        model(calling("delete", path="a sure thing"), "sure"),
        tools,
        middleware=[ConfidenceMiddleware(estimator, gate)],
        checkpointer=InMemorySaver(),
        interrupt_before=["tools"],
    )
    paused = await run(way, agent, ASK, THREAD)
    last = paused["messages"][-1]
    changed = [{**last.tool_calls[0], "args": {"path": "everything, sure"}}]
    agent.update_state(THREAD, {"messages": [last.model_copy(update={"tool_calls": changed})]})
    state = await run(way, agent, None, THREAD)
    assert ran == []
    asked = state.get("__interrupt__")
    assert bool(asked) is (below == "human")
    if not asked:
        return
    assert asked[0].value["action_requests"][0]["args"] == {"path": "everything, sure"}
    decided = {"decisions": [{"type": "approve"}]}
    state = await run(way, agent, Command(resume=decided), THREAD)
    assert ran == ["delete everything, sure"]
    assert is_valid(state["messages"])


@WAYS
@pytest.mark.parametrize("added", ["0", "another"], ids=["same id", "own id"])
@pytest.mark.parametrize("policy", [GATE, Threshold(threshold=0.3)], ids=["gate", "threshold"])
async def test_the_same_call_once_more_is_one_that_nobody_scored(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str, added: str, policy: Any
) -> None:
    agent = create_agent(
        model(calls(("delete", {"path": "a sure thing"}, "0")), "sure"),
        tools,
        middleware=[ConfidenceMiddleware(estimator, policy)],
        checkpointer=InMemorySaver(),
        interrupt_before=["tools"],
    )
    last = (await run(way, agent, ASK, THREAD))["messages"][-1]
    twice = [*last.tool_calls, {**last.tool_calls[0], "id": added}]
    agent.update_state(THREAD, {"messages": [last.model_copy(update={"tool_calls": twice})]})
    await run(way, agent, None, THREAD)
    assert ran == ["delete a sure thing"] * (added != "0")


@WAYS
async def test_what_a_person_has_approved_runs_once(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str
) -> None:
    agent = create_agent(
        model(calls(("delete", {"path": "perhaps"}, "0")), "sure"),
        tools,
        middleware=[ConfidenceMiddleware(estimator, ToolGate(default=0.9, below="human"))],
        checkpointer=InMemorySaver(),
        interrupt_before=["tools"],
    )
    await run(way, agent, ASK, THREAD)
    approve: Command[Any] = Command(resume={"decisions": [{"type": "approve"}]})
    last = (await run(way, agent, approve, THREAD))["messages"][-1]
    twice = [*last.tool_calls, {**last.tool_calls[0], "id": "1"}]
    agent.update_state(THREAD, {"messages": [last.model_copy(update={"tool_calls": twice})]})
    state = await run(way, agent, None, THREAD)
    assert ran == ["delete perhaps"]
    assert state["__interrupt__"]


@pytest.mark.parametrize(
    ("decision", "expected", "result"),
    [
        ({"type": "reject", "message": "no"}, [], "A reviewer rejected this call of delete: no"),
        ({"type": "respond", "message": "It is gone."}, [], "It is gone."),
        (
            {"type": "edit", "edited_action": {"name": "delete", "args": {"path": "one"}}},
            ["delete one"],
            "deleted",
        ),
    ],
    ids=["reject", "respond", "edit"],
)
async def test_a_person_decides_on_a_call_that_was_never_scored(
    estimator: Estimator,
    tools: list[Any],
    ran: list[str],
    decision: dict[str, Any],
    expected: Any,
    result: str,
) -> None:
    middleware = ConfidenceMiddleware(estimator, ToolGate(default=0.9, below="human"))
    agent = create_agent(
        model(calling("delete", path="a sure thing"), "sure"),
        tools,
        middleware=[Edits("everything"), middleware],
        checkpointer=InMemorySaver(),
    )
    state = await run("invoke", agent, ASK, THREAD)
    assert state["__interrupt__"]
    resume: Command[Any] = Command(resume={"decisions": [decision]})
    state = await run("invoke", agent, resume, THREAD)
    assert ran == expected
    assert [m.text for m in state["messages"] if isinstance(m, ToolMessage)] == [result]
    assert is_valid(state["messages"])


@WAYS
async def test_a_pending_call_that_nobody_scored_does_not_run(
    broken: Estimator, tools: list[Any], ran: list[str], way: str
) -> None:
    middleware = ConfidenceMiddleware(broken, GATE, on_error="pass")
    said = model(calling("delete", path="a sure thing"), "sure")
    state = await run(way, create_agent(said, tools, middleware=[middleware]), ASK)
    assert ran == []
    assert "no score" in state["messages"][2].text


async def test_a_call_put_into_the_state_does_not_run(
    estimator: Estimator, tools: list[Any], ran: list[str]
) -> None:
    agent = create_agent(
        model("sure", "sure"),
        tools,
        middleware=[ConfidenceMiddleware(estimator, GATE)],
        checkpointer=InMemorySaver(),
    )
    await run("invoke", agent, ASK, THREAD)
    agent.update_state(
        THREAD, {"messages": [calling("delete", path="a sure thing")]}, as_node="model"
    )
    agent.invoke(None, THREAD)
    assert ran == []


async def test_the_predicate_for_the_stock_review_believes_no_score_of_another_call(
    estimator: Estimator, tools: list[Any], ran: list[str]
) -> None:
    when = low_confidence(0.9)
    config = InterruptOnConfig(allowed_decisions=["approve"], when=when)
    stock = HumanInTheLoopMiddleware(interrupt_on={"delete": config})
    made = [("delete", {"path": "perhaps"}, "0"), ("search", {"word": "sure"}, "0")]
    agent = create_agent(
        model(calls(*made), "sure"),
        tools,
        middleware=[stock, ConfidenceMiddleware(estimator, Annotate())],
        checkpointer=InMemorySaver(),
    )
    state = await run("invoke", agent, ASK, THREAD)
    assert [each["name"] for each in state["__interrupt__"][0].value["action_requests"]] == [
        "delete"
    ]


@WAYS
async def test_a_misspelt_tool_is_an_error(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str
) -> None:
    middleware = [ConfidenceMiddleware(estimator, ToolGate(thresholds={"delet": 0.9}))]
    agent = create_agent(model("I am sure", "sure"), tools, middleware=middleware)
    with pytest.raises(PolicyError, match="the tool gate names 'delet', which is no tool here"):
        await run(way, agent, ASK)
    assert ran == []


@WAYS
async def test_agents_that_hand_over_to_each_other_share_a_gate(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str
) -> None:
    """It names tools that only one of them has."""
    guard = ConfidenceMiddleware(estimator, ToolGate(thresholds={"delete": 0.9, "search": 0.9}))
    said = (calling("search", word="a sure one"), "sure"), (calling("delete", path="x"), "sure")
    agents = [
        create_agent(model(*lines), [own], middleware=[guard])
        for lines, own in zip(said, reversed(tools), strict=True)
    ]
    graph = StateGraph(MessagesState)
    for name, agent in zip(("finder", "keeper"), agents, strict=True):
        graph.add_node(name, agent)
    graph.add_edge(START, "finder")
    graph.add_edge("finder", "keeper")
    await run(way, graph.compile(), ASK)
    assert ran == ["search a sure one"]


class LeavesOut(AgentMiddleware):
    """Another middleware, which offers the model some of the tools."""

    def __init__(self, name: str) -> None:
        self.left_out = name

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        left = [each for each in request.tools if each.name != self.left_out]
        return handler(request.override(tools=left))


@pytest.mark.parametrize("left_out", ["search", "searches"])
async def test_a_tool_that_the_model_is_not_offered_is_no_misspelt_one(
    estimator: Estimator, tools: list[Any], ran: list[str], left_out: str
) -> None:
    @tool
    def searches(word: str) -> str:
        """Search for several words."""
        return "found"

    gate = ToolGate(thresholds={"delete": 0.9, "search": 0.9, "searches": 0.9})
    said = model(calling("delete", path="a sure thing"), "sure")
    middleware = [LeavesOut(left_out), ConfidenceMiddleware(estimator, gate)]
    await run("invoke", create_agent(said, [*tools, searches], middleware=middleware), ASK)
    assert ran == ["delete a sure thing"]


@WAYS
@pytest.mark.parametrize("by", ["config", "context"])
async def test_a_gate_that_a_call_sets_may_name_the_tools_of_an_agent_around(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str, by: str
) -> None:
    @tool
    def assistant(task: str) -> str:
        """Another agent."""
        said = model(calling("search", word="perhaps"), "sure")
        inner = create_agent(said, tools[1:], middleware=[ConfidenceMiddleware(estimator, GATE)])
        return str(inner.invoke(ASK)["messages"][2].text)

    agent = create_agent(
        model(calling("assistant", task="a sure thing"), "sure"),
        [assistant, tools[0]],
        middleware=[ConfidenceMiddleware(estimator, GATE)],
        context_schema=dict,
    )
    gate = ToolGate(thresholds={"delete": 0.9, "assistant": 0.9}, default=0.9)
    setting = {"ct_guard_policy": gate}
    given: Any = {"config": {"configurable": setting}} if by == "config" else {"context": setting}
    state = await agent.ainvoke(ASK, **given) if way == "ainvoke" else agent.invoke(ASK, **given)
    assert "search was not run" in state["messages"][2].text
    assert ran == []


async def test_what_a_reading_requires_holds_for_every_call_of_a_turn(
    estimator: Estimator, tools: list[Any], ran: list[str]
) -> None:
    policy = Require(policy=GATE, calibrated=True)
    said = model(calling("delete", path="a sure thing"), "sure")
    agent = create_agent(said, tools, middleware=[ConfidenceMiddleware(estimator, policy)])
    state = await run("invoke", agent, ASK)
    assert (ran, state["messages"][-1].text) == ([], "I don't know.")


# --- what runs is what was let through ------------------------------------------------------------


class EditsOnTheWay(AgentMiddleware):
    """Changes calls of a tool that are about to run."""

    def __init__(self, change: Callable[[ToolCallRequest], ToolCallRequest]) -> None:
        self.change = change

    def wrap_tool_call(self, request: ToolCallRequest, handler: Any) -> Any:
        return handler(self.change(request))

    async def awrap_tool_call(self, request: ToolCallRequest, handler: Any) -> Any:
        return await handler(self.change(request))


@tool
def another(path: str) -> str:
    """Do something else."""
    raise AssertionError("it ran")


def other_arguments(request: ToolCallRequest) -> ToolCallRequest:
    return request.override(tool_call={**request.tool_call, "args": {"path": "everything, sure"}})


def further_arguments(request: ToolCallRequest) -> ToolCallRequest:
    args = {**request.tool_call["args"], "force": True}
    return request.override(tool_call={**request.tool_call, "args": args})


def arguments_in_place(request: ToolCallRequest) -> ToolCallRequest:
    request.tool_call["args"]["path"] = "everything, sure"
    return request


def another_tool(request: ToolCallRequest) -> ToolCallRequest:
    return request.override(tool=another)


CHANGES = pytest.mark.parametrize(
    "change", [other_arguments, further_arguments, arguments_in_place, another_tool]
)


@WAYS
@CHANGES
@pytest.mark.parametrize("policy", [GATE, Threshold(threshold=0.3)], ids=["gate", "threshold"])
async def test_a_call_that_is_changed_on_its_way_does_not_run(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str, change: Any, policy: Any
) -> None:
    middleware = [ConfidenceMiddleware(estimator, policy), EditsOnTheWay(change)]
    if policy is GATE:
        middleware[0] = ConfidenceMiddleware(estimator, GATE.model_copy(update={"default": 0.5}))
    said = model(calling("delete", path="a sure thing"), "sure")
    state = await run(way, create_agent(said, tools, middleware=middleware), ASK)
    assert ran == []
    assert "it was never scored as it stands" in state["messages"][2].text
    assert is_valid(state["messages"])


@WAYS
async def test_a_call_does_not_run_in_place_of_another_that_was_scored(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str
) -> None:
    """Position counts, too: what was let through once runs once."""

    def as_the_first(request: ToolCallRequest) -> ToolCallRequest:
        args = {"path": "a sure thing"}
        call: Any = {**request.tool_call, "name": "delete", "args": args}
        return request.override(tool_call=call, tool=tools[0])

    made = [("delete", {"path": "a sure thing"}, "0"), ("search", {"word": "sure"}, "1")]
    guard = ConfidenceMiddleware(estimator, ToolGate(default=0.5))
    agent = create_agent(
        model(calls(*made), "sure"), tools, middleware=[guard, EditsOnTheWay(as_the_first)]
    )
    await run(way, agent, ASK)
    assert ran == ["delete a sure thing"]


@WAYS
@pytest.mark.parametrize(
    ("policy", "on_missing"),
    [(Annotate(), None), (GATE, "allow"), (ToolGate(thresholds={"search": 0.9}), None)],
    ids=["annotate", "allowed", "another tool's gate"],
)
async def test_a_changed_call_runs_where_calls_without_a_score_may(
    estimator: Estimator,
    tools: list[Any],
    ran: list[str],
    way: str,
    policy: Any,
    on_missing: OnMissing | None,
) -> None:
    guard = ConfidenceMiddleware(estimator, policy, on_missing=on_missing)
    said = model(calling("delete", path="a sure thing"), "sure")
    agent = create_agent(said, tools, middleware=[guard, EditsOnTheWay(other_arguments)])
    await run(way, agent, ASK)
    assert ran == ["delete everything, sure"]


@WAYS
async def test_a_call_that_is_not_changed_runs_as_often_as_it_is_tried(
    estimator: Estimator, ran: list[str], way: str
) -> None:
    """Also with what LangGraph puts into it, and with tools that it calls itself."""

    @tool
    def inner(word: str) -> str:
        """Be called by a tool."""
        ran.append(f"inner {word}")
        return "found"

    @tool
    def delete(
        path: str,
        runtime: ToolRuntime,
        state: Annotated[dict[str, Any], InjectedState],
        call_id: Annotated[str, InjectedToolCallId],
    ) -> str:
        """Delete a file."""
        ran.append(f"delete {path} {len(state['messages'])} {call_id}")
        return str(inner.invoke({"word": "unsure"}))

    class Twice(AgentMiddleware):
        def wrap_tool_call(self, request: ToolCallRequest, handler: Any) -> Any:
            handler(request)
            return handler(request.override(tool_call={**request.tool_call}))

        async def awrap_tool_call(self, request: ToolCallRequest, handler: Any) -> Any:
            await handler(request)
            return await handler(request.override(tool_call={**request.tool_call}))

    guard = ConfidenceMiddleware(estimator, ToolGate(default=0.9))
    said = model(calling("delete", path="a sure thing"), "sure")
    state = await run(way, create_agent(said, [delete], middleware=[guard, Twice()]), ASK)
    assert ran == ["delete a sure thing 2 call-1", "inner unsure"] * 2
    assert state["messages"][2].text == "found"


@WAYS
async def test_what_a_person_has_approved_is_what_runs(
    estimator: Estimator, tools: list[Any], ran: list[str], way: str
) -> None:
    guard = ConfidenceMiddleware(estimator, ToolGate(default=0.9, below="human"))
    agent = create_agent(
        model(calling("delete", path="perhaps"), "sure"),
        tools,
        middleware=[guard, EditsOnTheWay(other_arguments)],
        checkpointer=InMemorySaver(),
    )
    assert (await run(way, agent, ASK, THREAD))["__interrupt__"]
    resume: Command[Any] = Command(resume={"decisions": [{"type": "approve"}]})
    state = await run(way, agent, resume, THREAD)
    assert ran == []
    assert "delete was not run" in state["messages"][2].text
