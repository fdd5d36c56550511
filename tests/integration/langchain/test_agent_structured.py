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


# --- an answer that misses its schema -------------------------------------------------------------

WITHHOLD: dict[str, Any] = {
    "abstain": 0.7,
    "human": Review(threshold=0.7),
    "retry": {"kind": "retry", "threshold": 0.7},
    "escalate": {"kind": "escalate", "threshold": 0.7},
}


@each_way
@pytest.mark.parametrize("policy", WITHHOLD)
@pytest.mark.parametrize("also", [(), (search,)], ids=["alone", "beside a call"])
async def test_one_that_the_policy_withholds_leaves_nothing_in_the_history_and_is_asked_for_again(
    estimator: Estimator, way: str, policy: str, also: tuple[Any, ...]
) -> None:
    missed = calling("Place", village="unsure", text="unsure")
    if also:
        other = {"name": "search", "args": {"word": "unsure"}, "id": "2", "type": "tool_call"}
        missed = missed.model_copy(update={"tool_calls": [*missed.tool_calls, other]})
    said = [missed, place("tool", "sure")]
    agent = agent_on(estimator, "tool", *said, tools=also, policy=WITHHOLD[policy])
    state = await run(way, agent, ASK, THREAD)
    assert "unsure" not in str(list(agent.get_state_history(THREAD)))
    record = get_confidence(state["messages"][1])
    assert record is not None
    assert (record.action, record["turn"]) == ("abstain", "answer")
    assert "does not fit its schema" in record["error"]
    assert state["structured_response"] == Place(town="sure")
    assert state["ct_guard"]["action"] == "pass"
    assert is_valid(state["messages"])


@each_way
@pytest.mark.parametrize(("policy", "village"), [(0.7, "sure"), (Annotate(), "unsure")])
async def test_one_that_passes_stays_as_it_is_with_its_record(
    estimator: Estimator, way: str, policy: Any, village: str
) -> None:
    said = [calling("Place", village=village), place("tool", "sure")]
    state = await run(way, agent_on(estimator, "tool", *said, policy=policy), ASK, THREAD)
    missed = state["messages"][1]
    assert missed.tool_calls == said[0].tool_calls
    assert record_of(missed)["action"] == "pass"
    assert "town" in state["messages"][2].text
    assert state["structured_response"] == Place(town="sure")


async def test_one_that_nobody_can_judge_goes_by_on_error(broken: Estimator) -> None:
    said = [calling("Place", village="unsure"), place("tool", "sure")]
    agent = agent_on(broken, "tool", *said)
    state = await run("invoke", agent, ASK, THREAD)
    record = record_of(state["messages"][1])
    assert (record["status"], record["action"]) == ("error", "abstain")
    assert "unsure" not in str(state)


@pytest.mark.parametrize("mode", ["messages", "updates", "values", "debug", "custom"])
def test_no_stream_tells_one_that_is_withheld(estimator: Estimator, mode: Any) -> None:
    said = [calling("Place", village="unsure", text="unsure"), place("tool", "sure")]
    parts = list(agent_on(estimator, "tool", *said).stream(ASK, THREAD, stream_mode=mode))
    assert "unsure" not in repr(parts)


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
