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
