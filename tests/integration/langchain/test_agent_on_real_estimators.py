"""Agents whose answers real weights judge: the embedded model, and a tiny tuned one."""

from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool

from ct_guard.estimators import Estimator, load_estimator
from ct_guard.policies import Annotate, Threshold
from ct_guard_langchain import ConfidenceMiddleware
from tests.integration.langchain.scripted import calling, model
from tests.integration.langchain.surfaces import run

ASK: Any = {"messages": [("user", "What is 2 plus 2?")]}


@pytest.fixture(scope="module")
def mini() -> Estimator:
    return load_estimator("mini")


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_wrong_sum_goes_to_the_stronger_model_and_a_right_one_does_not(
    mini: Estimator, way: str
) -> None:
    for said, index in (("5", 1), ("4", 0)):
        middleware = ConfidenceMiddleware(mini, Threshold(threshold=0.5), models=[model("4")])
        state = await run(way, create_agent(model(said), middleware=[middleware]), ASK)
        assert (state["messages"][-1].text, state["ct_guard"]["model_index"]) == ("4", index)
        assert state["ct_guard"]["estimator"].startswith("mini")


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_tuned_directory_scores_calls_and_answers(tiny_estimator: Path, way: str) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    agent = create_agent(
        model(calling("add", a=2, b=2), "It is 4."),
        [add],
        middleware=[ConfidenceMiddleware(tiny_estimator, Annotate())],
    )
    state = await run(way, agent, ASK)
    assert 0 < state["ct_guard"]["p"] < 1
    assert state["ct_guard"]["calibrated"]
    assert state["messages"][1].response_metadata["ct_guard"]["turn"] == "tool_call"


PRICES = [{"price": 0.1}, {"price": 3, "correct": 0.95}]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_the_cost_policy_asks_the_stronger_model_where_that_costs_less(
    mini: Estimator, way: str
) -> None:
    policy: Any = {"kind": "cost", "error": 20, "abstain": 8, "models": PRICES}
    for said, index in (("5", 1), ("4", 0)):
        middleware = ConfidenceMiddleware(mini, policy, models=[model("4")])
        state = await run(way, create_agent(model(said), middleware=[middleware]), ASK)
        record = state["ct_guard"]
        assert (state["messages"][-1].text, record["model_index"]) == ("4", index)
        assert record["action"] == "pass"
        assert record["policy"] == "cost of errors 20, of abstaining 8"


async def test_the_cost_policy_abstains_where_nobody_cheaper_is_left(mini: Estimator) -> None:
    dear: Any = {"kind": "cost", "error": 20, "abstain": 2, "models": PRICES}
    agent = create_agent(
        model("5"), middleware=[ConfidenceMiddleware(mini, dear, models=[model()])]
    )
    state = await run("invoke", agent, ASK)  # asking would cost 3, and then still an error or two
    assert state["messages"][-1].text == "I don't know."
    assert state["ct_guard"]["attempts"] == 1
    alone: Any = {"kind": "cost", "error": 20, "abstain": 8, "models": PRICES}
    agent = create_agent(model("5"), middleware=[ConfidenceMiddleware(mini, alone)])
    state = await run("invoke", agent, ASK)  # priced, and not there
    assert state["ct_guard"]["action"] == "abstain"


async def test_the_cost_policy_judges_calls_of_tools_as_well(mini: Estimator) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    policy: Any = {"kind": "tools", "answers": {"kind": "cost", "error": 20, "abstain": 8}}
    agent = create_agent(
        model(calling("add", a=2, b=2), "4"),
        [add],
        middleware=[ConfidenceMiddleware(mini, policy)],
    )
    state = await run("invoke", agent, ASK)
    assert state["messages"][2].text == "4"
    assert state["ct_guard"]["policy"] == "cost of errors 20, of abstaining 8, tools gated"
