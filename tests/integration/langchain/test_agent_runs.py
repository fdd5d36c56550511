"""P(the run succeeds) in an agent: what its state says, and what the policy makes of it."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from ct_guard.errors import PolicyError
from ct_guard.estimators import Estimator
from ct_guard.guard import Judged
from ct_guard.policies import Retry
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceMiddleware
from tests.agent_runs import run_layer
from tests.integration.langchain.scripted import calling, model
from tests.integration.langchain.surfaces import is_valid, run
from tests.known_confidence import by_word, estimator_on

ASK: Any = {"messages": [("user", "What is there?")]}
SURE, UNSURE = 0.953, 0.047
WAYS = pytest.mark.parametrize("way", ["invoke", "ainvoke"])


@tool
def look(what: str) -> str:
    """Look something up."""
    return f"found: {what}"


@pytest.fixture
def knowing() -> Estimator:
    """Knows of runs that they are as good as their least turn."""
    return estimator_on(FakeBackend(logit=by_word), promises=(run_layer(least=4.0),))


def rounded(turns: Any) -> list[Any]:
    return [[None if p is None else round(p, 3) for p in turn["p"]] for turn in turns]


def guarded(said: Any, estimator: Estimator, policy: Any = "annotate", **options: Any) -> Any:
    memory = options.pop("checkpointer", None)
    middleware = ConfidenceMiddleware(estimator, policy, **options)
    return create_agent(said, [look], middleware=[middleware], checkpointer=memory)


@WAYS
async def test_the_state_has_every_turn_and_call_and_what_they_come_to(
    knowing: Estimator, way: str
) -> None:
    two = AIMessage(
        "",
        tool_calls=[
            {"name": "look", "args": {"what": "sure"}, "id": "1"},
            {"name": "look", "args": {"what": "unsure"}, "id": "2"},
        ],
    )
    agent = guarded(model(two, calling("look", what="sure"), "I am sure"), knowing)
    found = (await run(way, agent, ASK))["ct_guard_run"]
    assert [turn["turn"] for turn in found["turns"]] == ["tool_call", "tool_call", "answer"]
    assert rounded(found["turns"]) == [[SURE, UNSURE], [SURE], [SURE]]
    assert 0 < found["p"] < 0.1
    assert found["reason"] is None


@WAYS
async def test_where_nothing_is_known_of_runs_the_state_says_what_would_be(
    estimator: Estimator, way: str
) -> None:
    found = (await run(way, guarded(model("I am sure"), estimator), ASK))["ct_guard_run"]
    assert found["p"] is None
    assert "calibrate --runs" in found["reason"]
    assert rounded(found["turns"]) == [[SURE]]


async def test_a_run_without_any_score_has_no_probability_and_says_so(broken: Estimator) -> None:
    knows = broken.manifest.model_copy(update={"promises": (run_layer(),)})
    broken.manifest = knows
    agent = guarded(model("I am sure"), broken, on_error="pass")
    found = (await run("invoke", agent, ASK))["ct_guard_run"]
    assert (found["p"], found["reason"]) == (None, "no turn of this run has a score")
    assert rounded(found["turns"]) == [[None]]


async def test_turns_in_which_a_model_was_asked_again_say_how_often(knowing: Estimator) -> None:
    policy = Retry(threshold=0.7, times=2, otherwise="pass")
    agent = guarded(model("unsure", "unsure", "sure now"), knowing, policy)
    (turn,) = (await run("invoke", agent, ASK))["ct_guard_run"]["turns"]
    assert turn["retries"] == 2


async def test_a_run_is_one_invocation_in_a_thread_too(knowing: Estimator) -> None:
    agent = guarded(model("unsure", "I am sure"), knowing, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    await run("invoke", agent, ASK, thread)
    found = (await run("invoke", agent, ASK, thread))["ct_guard_run"]
    assert rounded(found["turns"]) == [[SURE]]


@WAYS
async def test_stop_ends_the_run_before_anything_more_is_done(knowing: Estimator, way: str) -> None:
    said = model(calling("look", what="unsure"))
    agent = guarded(said, knowing, {"kind": "run", "threshold": 0.4})
    state = await run(way, agent, ASK)
    assert [message.text for message in state["messages"]] == ["What is there?", "I don't know."]
    assert state["ct_guard"]["action"] == "abstain"
    assert state["ct_guard_run"]["p"] < 0.4


@WAYS
async def test_a_good_turn_after_a_bad_one_does_not_save_the_run(
    knowing: Estimator, way: str
) -> None:
    policy = {"kind": "run", "threshold": 0.4, "policy": {"kind": "tools", "answers": 0.7}}
    agent = guarded(model(calling("look", what="unsure"), "I am sure"), knowing, 0.0)
    config: Any = {"configurable": {"ct_guard_policy": "annotate"}}
    assert (await run(way, agent, ASK, config))["messages"][-1].text == "I am sure"
    agent = guarded(model(calling("look", what="unsure")), knowing, policy)
    assert (await run(way, agent, ASK))["messages"][-1].text == "I don't know."


@WAYS
async def test_planning_anew_tells_the_model_and_nobody_else(knowing: Estimator, way: str) -> None:
    said = model(calling("look", what="unsure"), calling("look", what="sure"), "I am sure")
    agent = guarded(said, knowing, {"kind": "run", "threshold": 0.4, "below": "replan"})
    state = await run(way, agent, ASK)
    assert state["messages"][-1].text == "I am sure"
    assert is_valid(state["messages"])
    first, second, third = said.asked
    assert [type(message) for message in first] == [HumanMessage]
    assert isinstance(second[0], SystemMessage)
    assert "make another plan" in second[0].text
    assert second[1:] == first
    assert not any(isinstance(message, SystemMessage) for message in third)
    assert [turn["retries"] for turn in state["ct_guard_run"]["turns"]] == [1, 0]
    assert state["ct_guard_run"]["p"] > 0.4


async def test_a_plan_that_stays_bad_goes_as_otherwise_says(knowing: Estimator) -> None:
    bad = [calling("look", what="unsure") for _ in range(3)]
    policy = {"kind": "run", "threshold": 0.4, "below": "replan", "times": 2}
    state = await run("invoke", guarded(model(*bad), knowing, policy), ASK)
    assert state["messages"][-1].text == "I don't know."
    assert state["ct_guard"]["attempts"] == 3


@WAYS
async def test_ask_waits_for_a_person_and_goes_on_as_they_say(knowing: Estimator, way: str) -> None:
    said = model(calling("look", what="unsure"), "I am sure")
    policy = {"kind": "run", "threshold": 0.4, "below": "ask"}
    agent = guarded(said, knowing, policy, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": way}}
    for turn in range(2):  # the run stays what it is: each further turn waits, too
        given: Any = ASK if turn == 0 else Command(resume={"decisions": [{"type": "approve"}]})
        state = await run(way, agent, given, thread)
        (waiting,) = state["__interrupt__"]
        assert "P(the run succeeds)" in waiting.value["action_requests"][0]["description"]
    approve: Any = Command(resume={"decisions": [{"type": "approve"}]})
    state = await run(way, agent, approve, thread)
    assert state["messages"][-1].text == "I am sure"
    assert rounded(state["ct_guard_run"]["turns"]) == [[UNSURE], [SURE]]


async def test_observers_hear_of_each_turn_and_at_the_end_of_the_run(knowing: Estimator) -> None:
    heard: list[Judged] = []

    class Hears:
        def began(self, *_: object) -> None: ...

        ended = decided = began

        def judged(self, judged: Judged) -> None:
            heard.append(judged)

    agent = guarded(model(calling("look", what="sure"), "I am sure"), knowing, observers=[Hears()])
    state = await run("ainvoke", agent, ASK)
    assert [one.name for one in heard] == ["ct_guard.confidence"] * 2 + ["ct_guard.run"]
    assert heard[-1].p == state["ct_guard_run"]["p"]


def test_a_policy_over_runs_needs_an_estimator_that_knows_them(estimator: Estimator) -> None:
    with pytest.raises(PolicyError, match="knows nothing of runs"):
        ConfidenceMiddleware(estimator, {"kind": "run", "threshold": 0.5})
