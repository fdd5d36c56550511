"""Agents with structured output under a policy of fields."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from ct_guard import Estimator, load_estimator
from ct_guard.errors import PolicyError
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceMiddleware, get_confidence
from tests.integration.langchain.scripted import calling, model
from tests.integration.langchain.surfaces import is_valid, run

ASK: Any = {"messages": [("user", "Where does she live, and what does she do?")]}


class Place(BaseModel):
    """A place."""

    town: str | None
    job: str | None = None


STRATEGIES: dict[str, Any] = {"tool": ToolStrategy(Place), "provider": ProviderStrategy(Place)}


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    """Doubts every field with the value Selby."""
    backend = FakeBackend(logit=lambda text: -3.0 if "- " in text and "Selby" in text else 3.0)
    return load_estimator("zero-shot", base="any", backend=backend)


def said(strategy: str, **values: str) -> AIMessage:
    if strategy == "provider":
        return AIMessage(json.dumps(values))
    return calling("Place", f"call-{values['town']}", **values)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_doubtful_field_is_dropped_from_the_response_and_the_message(
    estimator: Estimator, way: str, strategy: str
) -> None:
    policy = {"kind": "fields", "threshold": 0.5, "below": "drop"}
    agent = create_agent(
        model(said(strategy, town="Selby", job="baker")),
        response_format=STRATEGIES[strategy],
        middleware=[ConfidenceMiddleware(estimator, policy)],
    )
    state = await run(way, agent, ASK, {})
    assert state["structured_response"] == Place(town=None, job="baker")
    record = get_confidence(state)
    assert record is not None
    assert {path: one["action"] for path, one in record.fields.items()} == {
        "town": "drop",
        "job": "pass",
    }
    assert not any("Selby" in message.text for message in state["messages"])
    assert is_valid(state["messages"])


@pytest.mark.parametrize("below", ["drop", "review", "retry"])
async def test_an_answer_that_misses_its_schema_stays_only_where_all_its_fields_pass(
    estimator: Estimator, below: str
) -> None:
    policy = {"kind": "fields", "threshold": 0.5, "below": below}
    missed = [calling("Place", "1", job="Selby"), calling("Place", "2", job="baker")]
    agent = create_agent(
        model(*missed, said("tool", town="Kelso")),
        response_format=STRATEGIES["tool"],
        middleware=[ConfidenceMiddleware(estimator, policy)],
        checkpointer=InMemorySaver(),
    )
    state = await run("invoke", agent, ASK, {"configurable": {"thread_id": "one"}})
    assert state["structured_response"] == Place(town="Kelso")
    assert [state["messages"][at].tool_calls[0]["args"] for at in (1, 3)] == [{}, {"job": "baker"}]
    assert "Selby" not in str(state)
    assert is_valid(state["messages"])


async def test_a_doubtful_field_has_the_agents_model_asked_once_more(estimator: Estimator) -> None:
    policy = {"kind": "fields", "threshold": 0.5, "below": "retry"}
    agent = create_agent(
        model(said("tool", town="Selby"), said("tool", town="Kelso")),
        response_format=STRATEGIES["tool"],
        middleware=[ConfidenceMiddleware(estimator, policy)],
    )
    state = await run("invoke", agent, ASK, {})
    assert state["structured_response"] == Place(town="Kelso")
    assert state["ct_guard"]["attempts"] == 2


# --- review ---------------------------------------------------------------------------------------

REVIEW = {"kind": "fields", "threshold": 0.5, "below": "review"}
THREAD: Any = {"configurable": {"thread_id": "one"}}


def reviewed(estimator: Estimator, strategy: str, *answers: AIMessage, policy: Any = REVIEW) -> Any:
    return create_agent(
        model(*answers),
        response_format=STRATEGIES[strategy],
        middleware=[ConfidenceMiddleware(estimator, policy)],
        checkpointer=InMemorySaver(),
    )


def decided(choice: str) -> Command[Any]:
    return Command(resume={"decisions": [{"type": choice}]})


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_person_sees_the_answer_with_a_doubtful_field_before_it_counts(
    estimator: Estimator, way: str, strategy: str
) -> None:
    agent = reviewed(estimator, strategy, said(strategy, town="Selby", job="baker"))
    state = await run(way, agent, ASK, THREAD)
    (asked,) = state["__interrupt__"]
    (action,) = asked.value["action_requests"]
    assert action["description"] == "This answer may be wrong: fields to review: town (p 0.047)"
    assert "Selby" in action["args"]["answer"]
    assert asked.value["review_configs"][0]["allowed_decisions"] == ["approve", "reject"]
    state = await run(way, agent, decided("approve"), THREAD)
    assert state["structured_response"] == Place(town="Selby", job="baker")
    record = get_confidence(state)
    assert record is not None
    assert (record["action"], record["review"]) == ("pass", "approve")
    assert record.fields["town"]["action"] == "review"


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_they_reject_is_made_anew(estimator: Estimator, strategy: str) -> None:
    answers = [said(strategy, town="Selby"), said(strategy, town="Kelso")]
    agent = reviewed(estimator, strategy, *answers)
    await run("invoke", agent, ASK, THREAD)
    state = await run("invoke", agent, decided("reject"), THREAD)
    assert "__interrupt__" not in state
    assert state["structured_response"] == Place(town="Kelso")
    assert is_valid(state["messages"])


async def test_nobody_is_asked_where_every_field_passes(estimator: Estimator) -> None:
    agent = reviewed(estimator, "tool", said("tool", town="Kelso", job="baker"))
    state = await run("invoke", agent, ASK, THREAD)
    assert "__interrupt__" not in state
    assert state["structured_response"] == Place(town="Kelso", job="baker")


async def test_a_field_that_stays_doubtful_when_asked_again_is_reviewed(
    estimator: Estimator,
) -> None:
    policy = {**REVIEW, "below": "retry"}
    answers = [said("provider", town="Selby"), said("provider", town="Selby")]
    state = await run(
        "invoke", reviewed(estimator, "provider", *answers, policy=policy), ASK, THREAD
    )
    assert state["__interrupt__"]
    assert state["ct_guard"]["attempts"] == 2


async def test_an_agent_that_was_made_without_a_review_refuses_fields_to_review(
    estimator: Estimator,
) -> None:
    agent = reviewed(estimator, "tool", said("tool", town="Selby"), policy="annotate")
    per_call: Any = {"configurable": {"thread_id": "one", "ct_guard_policy": REVIEW}}
    with pytest.raises(PolicyError, match="made without a review"):
        await run("invoke", agent, ASK, per_call)
