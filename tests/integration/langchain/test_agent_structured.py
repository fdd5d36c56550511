"""Agents with structured output: the JSON is the answer, by a tool or by the provider."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.policies import Annotate, Review
from ct_guard_langchain import ConfidenceMiddleware, get_confidence
from tests.confidences import record_of
from tests.integration.langchain.scripted import calling, model
from tests.integration.langchain.surfaces import is_valid, run

ASK: Any = {"messages": [("user", "Where does she live?")]}
THREAD: RunnableConfig = {"configurable": {"thread_id": "one"}}


class Place(BaseModel):
    """A place."""

    town: str


@tool
def search(word: str) -> str:
    """Search for a word."""
    return f"found {word}"


STRATEGIES: dict[str, Any] = {
    "tool": ToolStrategy(Place),
    "provider": ProviderStrategy(Place),
    "schema": Place,
}


def place(strategy: str, town: str) -> AIMessage:
    if strategy == "provider":
        return AIMessage(json.dumps({"town": town}))
    return calling("Place", f"call-{town}", town=town)


def agent_on(estimator: Any, strategy: str, *said: Any, tools: Any = (), **kwargs: Any) -> Any:
    policy = kwargs.pop("policy", 0.7)
    return create_agent(
        model(*said),
        tools,
        response_format=STRATEGIES[strategy],
        middleware=[ConfidenceMiddleware(estimator, policy, **kwargs)],
        checkpointer=InMemorySaver(),
    )


each_way = pytest.mark.parametrize("way", ["invoke", "ainvoke"])
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
with_and_without_tools = pytest.mark.parametrize("tools", [(), (search,)], ids=["bare", "tools"])


@each_way
@each_strategy
@with_and_without_tools
async def test_the_json_is_scored_as_an_answer(
    estimator: Estimator, way: str, strategy: str, tools: tuple[Any, ...]
) -> None:
    agent = agent_on(estimator, strategy, place(strategy, "sure"), tools=tools)
    state = await run(way, agent, ASK, THREAD)
    assert state["structured_response"] == Place(town="sure")
    assert (state["ct_guard"]["turn"], state["ct_guard"]["action"]) == ("answer", "pass")
    assert is_valid(state["messages"])


@each_way
@each_strategy
@with_and_without_tools
async def test_abstaining_leaves_no_structured_response_and_no_dangling_call(
    estimator: Estimator, way: str, strategy: str, tools: tuple[Any, ...]
) -> None:
    said = [place(strategy, "unsure"), place(strategy, "sure")]
    agent = agent_on(estimator, strategy, *said, tools=tools)
    state = await run(way, agent, ASK, THREAD)
    assert state.get("structured_response") is None
    assert state["messages"][-1].text == "I don't know."
    assert "unsure" not in str(state)
    assert is_valid(state["messages"])
    state = await run(way, agent, {"messages": [("user", "And he?")]}, THREAD)
    assert state["structured_response"] == Place(town="sure")
    assert is_valid(state["messages"])


@each_way
@each_strategy
async def test_a_stronger_model_gives_the_structured_response(
    estimator: Estimator, way: str, strategy: str
) -> None:
    agent = agent_on(
        estimator, strategy, place(strategy, "unsure"), models=[model(place(strategy, "sure"))]
    )
    state = await run(way, agent, ASK, THREAD)
    assert state["structured_response"] == Place(town="sure")
    assert state["ct_guard"]["model_index"] == 1
    assert is_valid(state["messages"])


@each_way
@pytest.mark.parametrize("strategy", ["tool", "schema"])
async def test_a_call_before_the_answer_is_a_call(
    estimator: Estimator, way: str, strategy: str
) -> None:
    said = [calling("search", word="perhaps"), place(strategy, "sure")]
    agent = agent_on(estimator, strategy, *said, tools=[search], policy=Annotate())
    state = await run(way, agent, ASK, THREAD)
    records = [record_of(m) for m in state["messages"] if isinstance(m, AIMessage)]
    assert [record["turn"] for record in records] == ["tool_call", "answer"]


@each_way
async def test_an_answer_that_misses_its_schema_is_asked_for_again_unjudged(
    estimator: Estimator, way: str
) -> None:
    said = [calling("Place", village="unsure"), place("tool", "sure")]
    agent = agent_on(estimator, "tool", *said)
    state = await run(way, agent, ASK, THREAD)
    records = [get_confidence(m) for m in state["messages"] if isinstance(m, AIMessage)]
    assert records[0] is None
    assert state["structured_response"] == Place(town="sure")
    assert is_valid(state["messages"])


async def test_a_stronger_model_that_misses_the_schema_is_passed_over(estimator: Estimator) -> None:
    agent = agent_on(
        estimator,
        "tool",
        place("tool", "perhaps"),
        models=[model(calling("Place", village="x"))],
        policy={"kind": "escalate", "threshold": 0.7, "otherwise": "pass"},
    )
    state = await run("invoke", agent, ASK, THREAD)
    assert state["structured_response"] == Place(town="perhaps")
    assert "model 1 failed" in state["ct_guard"]["error"]
    assert is_valid(state["messages"])


@each_way
@each_strategy
async def test_a_person_approves_or_rejects_a_structured_answer(
    estimator: Estimator, way: str, strategy: str
) -> None:
    said = [place(strategy, "unsure"), place(strategy, "a sure one")]
    agent = agent_on(estimator, strategy, *said, policy=Review(threshold=0.7))
    state = await run(way, agent, ASK, THREAD)
    asked = state["__interrupt__"][0].value
    assert asked["review_configs"][0]["allowed_decisions"] == ["approve", "reject"]
    assert json.loads(asked["action_requests"][0]["args"]["answer"]) == {"town": "unsure"}
    resume: Command[Any] = Command(resume={"decisions": [{"type": "respond", "message": "Rome"}]})
    with pytest.raises(UsageError, match="'respond' is not among approve, reject"):
        await run(way, agent, resume, THREAD)
    resume = Command(resume={"decisions": [{"type": "reject"}]})
    state = await run(way, agent, resume, THREAD)
    assert state["structured_response"] == Place(town="a sure one")
    assert is_valid(state["messages"])


@each_strategy
async def test_an_approved_structured_answer_stands(estimator: Estimator, strategy: str) -> None:
    agent = agent_on(estimator, strategy, place(strategy, "unsure"), policy=Review(threshold=0.7))
    await run("invoke", agent, ASK, THREAD)
    resume: Command[Any] = Command(resume={"decisions": [{"type": "approve"}]})
    state = await run("invoke", agent, resume, THREAD)
    assert state["structured_response"] == Place(town="unsure")
    assert state["ct_guard"]["review"] == "approve"
