"""Agents with structured output under a policy of fields."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from ct_guard import Estimator, load_estimator
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
    assert "Selby" not in [m.text for m in state["messages"] if isinstance(m, AIMessage)][-1]
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
