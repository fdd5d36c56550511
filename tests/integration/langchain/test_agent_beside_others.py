"""Beside other middlewares, in both orders, and beside itself."""

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    InterruptOnConfig,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    SummarizationMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from ct_guard.estimators import Estimator
from ct_guard.policies import Annotate, Review, Threshold, ToolGate
from ct_guard_langchain import ConfidenceMiddleware, get_confidence, low_confidence
from tests.confidences import record_of
from tests.integration.langchain.scripted import Echo, calling, model
from tests.integration.langchain.surfaces import is_valid, run

ASK: Any = {"messages": [("user", "How far is it?")]}
THREAD: RunnableConfig = {"configurable": {"thread_id": "one"}}

each_way = pytest.mark.parametrize("way", ["invoke", "ainvoke"])
in_both_orders = pytest.mark.parametrize("order", ["ours outside", "ours inside"])


def ordered(order: str, ours: Any, other: Any) -> list[Any]:
    return [ours, other] if order == "ours outside" else [other, ours]


@each_way
@in_both_orders
async def test_a_fallback_answers_for_a_model_that_is_down_and_is_judged(
    estimator: Estimator, way: str, order: str
) -> None:
    fallback = ModelFallbackMiddleware(model("unsure"))
    ours = ConfidenceMiddleware(estimator, 0.7, models=[model("I am sure")])
    agent = create_agent(model(ConnectionError("down")), middleware=ordered(order, ours, fallback))
    state = await run(way, agent, ASK)
    assert state["messages"][-1].text == "I am sure"
    assert (state["ct_guard"]["model_index"], state["ct_guard"]["attempts"]) == (1, 2)


@each_way
@in_both_orders
async def test_a_limit_of_model_calls_ends_the_run_with_a_valid_history(
    estimator: Estimator, way: str, order: str
) -> None:
    @tool
    def search(word: str) -> str:
        """Search for a word."""
        return f"found {word}"

    limit = ModelCallLimitMiddleware(run_limit=1)
    agent = create_agent(
        model(calling("search", word="sure"), "never said"),
        [search],
        middleware=ordered(order, ConfidenceMiddleware(estimator, 0.7), limit),
    )
    state = await run(way, agent, ASK)
    assert "limit" in state["messages"][-1].text
    assert get_confidence(state["messages"][-1]) is None
    assert is_valid(state["messages"])


@each_way
@in_both_orders
async def test_a_limit_counts_an_abstention_as_one_call(
    estimator: Estimator, way: str, order: str
) -> None:
    limit = ModelCallLimitMiddleware(thread_limit=2)
    agent = create_agent(
        model("unsure", "unsure"),
        middleware=ordered(order, ConfidenceMiddleware(estimator, 0.7), limit),
        checkpointer=InMemorySaver(),
    )
    for _ in range(2):
        state = await run(way, agent, ASK, THREAD)
        assert state["messages"][-1].text == "I don't know."
    state = await run(way, agent, ASK, THREAD)
    assert "limit" in state["messages"][-1].text
    assert is_valid(state["messages"])


@each_way
@in_both_orders
async def test_a_tool_that_fails_is_retried_and_a_gated_one_is_not(
    estimator: Estimator, way: str, order: str
) -> None:
    ran: list[str] = []

    @tool
    def fetch(word: str) -> str:
        """Fetch a word."""
        ran.append(word)
        if len(ran) < 2:
            raise ConnectionError("gone")
        return f"fetched {word}"

    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False)
    ours = ConfidenceMiddleware(estimator, ToolGate(default=0.4))
    agent = create_agent(
        model(calling("fetch", "a", word="sure"), calling("fetch", "b", word="unsure"), "done"),
        [fetch],
        middleware=ordered(order, ours, retry),
    )
    state = await run(way, agent, ASK)
    assert ran == ["sure", "sure"]
    assert state["messages"][2].text == "fetched sure"
    assert state["messages"][4].status == "error"
    assert is_valid(state["messages"])


@each_way
@in_both_orders
async def test_a_summarised_history_is_what_the_answer_is_judged_with(
    estimator: Estimator, way: str, order: str
) -> None:
    summary = SummarizationMiddleware(
        model("a summary of it all"), trigger=("messages", 3), keep=("messages", 1)
    )
    said = model("sure one", "sure two")
    agent = create_agent(
        said,
        middleware=ordered(order, ConfidenceMiddleware(estimator, 0.7), summary),
        checkpointer=InMemorySaver(),
    )
    await run(way, agent, ASK, THREAD)
    state = await run(way, agent, {"messages": [("user", "And back?")]}, THREAD)
    assert "a summary of it all" in said.asked[1][0].text
    assert state["messages"][-1].text == "sure two"
    assert state["ct_guard"]["action"] == "pass"


@each_way
async def test_an_answer_that_another_middleware_gives_is_not_taken_for_ours(
    estimator: Estimator, way: str
) -> None:
    """It is not judged, and what was decided on an earlier answer does not fall on it."""

    class Canned(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            if request.messages[-1].text == "Hello?":
                return AIMessage("Good morning.")
            return handler(request)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            if request.messages[-1].text == "Hello?":
                return AIMessage("Good morning.")
            return await handler(request)

    agent = create_agent(
        model("unsure"),
        middleware=[Canned(), ConfidenceMiddleware(estimator, Review(threshold=0.7))],
        checkpointer=InMemorySaver(),
    )
    await run(way, agent, ASK, THREAD)
    resume: Command[Any] = Command(resume={"decisions": [{"type": "approve"}]})
    await run(way, agent, resume, THREAD)
    state = await run(way, agent, {"messages": [("user", "Hello?")]}, THREAD)
    assert "__interrupt__" not in state
    assert get_confidence(state["messages"][-1]) is None
    assert get_confidence(state) is None


# --- two of ours ----------------------------------------------------------------------------------


@each_way
async def test_two_instances_of_one_name_are_refused_by_langchain(
    estimator: Estimator, way: str
) -> None:
    both = [ConfidenceMiddleware(estimator, 0.7), ConfidenceMiddleware(estimator, 0.9)]
    with pytest.raises(AssertionError, match="duplicate middleware"):
        create_agent(model("sure"), middleware=both)


@each_way
@in_both_orders
async def test_two_named_instances_each_act_on_their_own_verdict(
    estimator: Estimator, way: str, order: str
) -> None:
    """One watches, the other one asks a person."""
    watch = ConfidenceMiddleware(estimator, Annotate(), name="watch")
    ask = ConfidenceMiddleware(estimator, Review(threshold=0.7), name="ask")
    agent = create_agent(
        model("perhaps"), middleware=ordered(order, watch, ask), checkpointer=InMemorySaver()
    )
    state = await run(way, agent, ASK, THREAD)
    assert len(state["__interrupt__"]) == 1
    outermost = watch if order == "ours outside" else ask
    assert state["ct_guard"]["policy"] == outermost.guard.policy.name
    resume: Command[Any] = Command(resume={"decisions": [{"type": "respond", "message": "3 km"}]})
    state = await run(way, agent, resume, THREAD)
    assert state["messages"][-1].text == "3 km"


@each_way
@in_both_orders
async def test_one_escalates_and_the_other_gates_tools(
    estimator: Estimator, way: str, order: str
) -> None:
    ran: list[str] = []

    @tool
    def delete(path: str) -> str:
        """Delete a file."""
        ran.append(path)
        return "deleted"

    climb = ConfidenceMiddleware(
        estimator, Threshold(threshold=0.4), models=[model("I am sure")], name="climb"
    )
    gate = ConfidenceMiddleware(estimator, ToolGate(thresholds={"delete": 0.9}), name="gate")
    agent = create_agent(
        model(calling("delete", path="perhaps"), "unsure"),
        [delete],
        middleware=ordered(order, climb, gate),
    )
    state = await run(way, agent, ASK)
    assert (ran, state["messages"][-1].text) == ([], "I am sure")
    assert is_valid(state["messages"])


async def test_the_predicate_can_name_the_instance_that_it_reads(estimator: Estimator) -> None:
    @tool
    def delete(path: str) -> str:
        """Delete a file."""
        return "deleted"

    def agent_with(name: str) -> Any:
        when = low_confidence(0.9, name=name, on_missing="allow")
        config = InterruptOnConfig(allowed_decisions=["approve"], when=when)
        return create_agent(
            model(calling("delete", path="perhaps"), "sure"),
            [delete],
            middleware=[
                ConfidenceMiddleware(estimator, Annotate(), name="watch"),
                HumanInTheLoopMiddleware(interrupt_on={"delete": config}),
            ],
            checkpointer=InMemorySaver(),
        )

    assert "__interrupt__" in await run("invoke", agent_with("watch"), ASK, THREAD)
    assert "__interrupt__" not in await run("invoke", agent_with("another"), ASK, THREAD)


# --- many at once ---------------------------------------------------------------------------------


async def test_of_many_runs_at_once_every_record_belongs_to_its_own_answer(
    estimator: Estimator,
) -> None:
    agent = create_agent(Echo(), middleware=[ConfidenceMiddleware(estimator, 0.7)])
    words = ["sure", "unsure", "perhaps"]

    async def one(at: int) -> tuple[int, dict[str, Any]]:
        text = f"{words[at % 3]} {at}"
        return at, await agent.ainvoke({"messages": [HumanMessage(text)]})

    for at, state in await asyncio.gather(*(one(at) for at in range(90))):
        record = record_of(state["messages"][-1])
        assert record["p"] == pytest.approx([0.953, 0.047, 0.5][at % 3], abs=1e-3)
        said = f"{words[at % 3]} {at}"
        assert state["messages"][-1].text == (said if at % 3 == 0 else "I don't know.")
