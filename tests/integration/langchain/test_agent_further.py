"""Agents: the model is asked for further answers where P is only just good enough.

`fair` alone has p = 0.73; with two further answers 0.98 where both say the same, 0.12 where none
does.
"""

import threading
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from ct_guard.errors import PolicyError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.policies import (
    Annotate,
    Budget,
    Escalate,
    Policy,
    Resample,
    Review,
    Threshold,
    ToolGate,
)
from ct_guard_langchain import ConfidenceMiddleware
from tests.confidences import record_of
from tests.integration.langchain.scripted import Scripted, calling, model
from tests.integration.langchain.surfaces import SURFACES, run
from tests.known_confidence import by_word_and_agreement

GIVEN: Any = {"messages": [("user", "Where?")]}
ALWAYS = Resample(samples=2, band=(0.0, 1.0), policy=Annotate())


@pytest.fixture
def estimator() -> Estimator:
    return by_word_and_agreement()


def costing(text: str) -> AIMessage:
    usage = UsageMetadata(input_tokens=2, output_tokens=1, total_tokens=3)
    return AIMessage(text, usage_metadata=usage)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    ("further", "text", "p"), [("fair", "fair", 0.982), ("Rome", "I don't know.", 0.119)]
)
async def test_whether_further_answers_agree_counts_on_every_surface(
    estimator: Estimator, surface: str, further: str, text: str, p: float
) -> None:
    guard = ConfidenceMiddleware(estimator, 0.7, samples=2)
    agent = create_agent(model("fair", further, further), [], middleware=[guard])
    seen = await SURFACES[surface](agent, GIVEN, None)
    assert seen.text in (text, None)
    assert seen.record is not None
    assert seen.record["p"] == pytest.approx(p, abs=1e-3)
    assert (seen.record["attempts"], seen.record["samples"]) == (3, 2)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_their_tokens_are_in_the_record_and_not_in_the_message(
    estimator: Estimator, way: str
) -> None:
    said = model(costing("fair"), costing("fair"), costing("Rome"))
    guard = ConfidenceMiddleware(estimator, 0.7, samples=2)
    state = await run(way, create_agent(said, [], middleware=[guard]), GIVEN)
    assert state["messages"][-1].usage_metadata["total_tokens"] == 3
    assert record_of(state)["discarded_usage"]["total_tokens"] == 6
    assert len(state["messages"]) == 2


class Hears(RunCollectorCallbackHandler):
    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> Any:
        self.tokens.append(token)
        return super().on_llm_new_token(token, **kwargs)

    @property
    def heard(self) -> str:
        def outputs(run: Any) -> list[Any]:
            return [run.outputs, run.events, *map(outputs, run.child_runs)]

        return repr([self.tokens, *map(outputs, self.traced_runs)])


@pytest.mark.parametrize("policy", [0.7, ALWAYS], ids=["held", "heard"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_no_callback_tracer_or_stream_hears_of_them(
    estimator: Estimator, surface: str, policy: float | Policy
) -> None:
    samples: dict[str, Any] = {} if policy is ALWAYS else {"samples": 2}
    guard = ConfidenceMiddleware(estimator, policy, **samples)
    hears = Hears()
    said = model("fair", "fair secret", "fair secret")
    said.callbacks = [hears]
    agent = create_agent(said, [], middleware=[guard])
    seen = await SURFACES[surface](agent, GIVEN, {"callbacks": [hears]})
    if policy is ALWAYS and "messages" in surface:  # the model's own tokens, as they are said
        assert seen.text == "fair"
    else:
        assert seen.record is not None
        assert seen.record["samples"] == 2
    assert "secret" not in repr(seen)
    assert hears.traced_runs
    assert "secret" not in hears.heard


async def test_a_stream_of_every_mode_at_once_tells_of_none(estimator: Estimator) -> None:
    guard = ConfidenceMiddleware(estimator, ALWAYS)
    agent = create_agent(model("fair", "fair secret", "secret"), [], middleware=[guard])
    modes: Any = ["values", "updates", "messages", "custom", "debug", "tasks"]
    parts = [part async for part in agent.astream(GIVEN, stream_mode=modes, subgraphs=True)]
    assert parts
    assert "secret" not in repr(parts)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_they_are_drawn_at_once_through_the_middlewares_inside(
    estimator: Estimator, way: str
) -> None:
    together = threading.Barrier(2, timeout=5)
    asked: list[int] = []

    class Inside(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            asked.append(1)
            if len(asked) > 1:
                together.wait()
            return handler(request)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            asked.append(1)
            return await handler(request)

    guard = ConfidenceMiddleware(estimator, 0.7, samples=2)
    agent = create_agent(model("fair", "fair", "fair"), [], middleware=[guard, Inside()])
    state = await run(way, agent, GIVEN)
    assert (record_of(state)["samples"], len(asked)) == (2, 3)


async def test_those_that_fail_are_noted(estimator: Estimator) -> None:
    said = model("fair", ConnectionError("gone"), "fair")
    guard = ConfidenceMiddleware(estimator, 0.7, samples=2)
    record = record_of(await run("ainvoke", create_agent(said, [], middleware=[guard]), GIVEN))
    assert record["error"] == "1 of 2 further answers failed: ConnectionError: gone"
    assert (record["samples"], record["action"]) == (1, "pass")


def test_what_does_not_agree_goes_on_to_the_stronger_model(estimator: Estimator) -> None:
    budget = Budget(policy=Escalate(threshold=0.7), cost=10.0, prices=(5.0,), sample_price=1.0)
    guard = ConfidenceMiddleware(estimator, budget, samples=2, models=[model("sure")])
    agent = create_agent(model("fair", "Rome", "Bonn"), [], middleware=[guard])
    state = agent.invoke(GIVEN)
    record = record_of(state)
    assert (state["messages"][-1].text, record["model_index"]) == ("sure", 1)
    assert (record["attempts"], record["cost"]) == (4, 7.0)


def test_a_person_is_asked_where_they_do_not_agree(estimator: Estimator) -> None:
    guard = ConfidenceMiddleware(estimator, Review(threshold=0.7), samples=2)
    agent = create_agent(
        model("fair", "Rome", "Bonn"), [], middleware=[guard], checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    asked = agent.invoke(GIVEN, config)["__interrupt__"][0].value
    assert asked["action_requests"][0]["args"] == {"answer": "fair"}
    approved = agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert record_of(approved)["review"] == "approve"
    assert record_of(approved)["samples"] == 2


def test_calls_of_tools_are_decided_as_they_are_and_the_answer_after_them_is_checked(
    estimator: Estimator,
) -> None:
    def look_up(city: str) -> str:
        """Look up a city."""
        return f"{city} is far"

    gate = ToolGate(default=0.5, answers=Threshold(threshold=0.7))
    guard = ConfidenceMiddleware(estimator, gate, samples=2)
    said = model(calling("look_up", city="fair"), "fair", "fair", "fair")
    state = create_agent(said, [look_up], middleware=[guard]).invoke(GIVEN)
    called, answered = (record_of(state["messages"][at]) for at in (1, 3))
    assert (called["turn"], called["attempts"], "samples" in called) == ("tool_call", 1, False)
    assert (answered["turn"], answered["samples"]) == ("answer", 2)


def test_structured_answers_agree_by_their_json(estimator: Estimator) -> None:
    class City(BaseModel):
        """A city."""

        city: str

    said = model(*(calling("City", f"call-{at}", city="fair") for at in range(3)))
    guard = ConfidenceMiddleware(estimator, 0.7, samples=2)
    agent = create_agent(said, [], middleware=[guard], response_format=City)
    state = agent.invoke(GIVEN)
    assert state["structured_response"] == City(city="fair")
    assert record_of(state)["p"] == pytest.approx(0.982, abs=1e-3)


class Repeating(Scripted):
    temperature: float = 0.0


def test_an_estimator_or_a_model_that_cannot_is_refused(
    estimator: Estimator, broken: Estimator
) -> None:
    with pytest.raises(PolicyError, match="does not weigh whether further answers agree"):
        ConfidenceMiddleware(broken, 0.7, samples=2)
    guard = ConfidenceMiddleware(estimator, 0.7, samples=2)
    repeating = Repeating(script=["fair"])
    with pytest.raises(UsageError, match="temperature 0 gives no further answers"):
        create_agent(repeating, [], middleware=[guard]).invoke(GIVEN)
    assert repeating.asked == []
