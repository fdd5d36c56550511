"""What was decided on a call holds: for that very call, whatever its id, and under the policy that
it was scored by, also where a run is resumed without it."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from ct_guard.estimators import Estimator
from ct_guard.policies import Annotate, Threshold, ToolGate
from ct_guard_langchain import ConfidenceMiddleware
from tests.integration.langchain.scripted import calling, model
from tests.integration.langchain.surfaces import is_valid, run

ASK: Any = {"messages": [("user", "Please tidy up.")]}
ASKS = ToolGate(thresholds={"delete": 0.9}, below="human")
STRICT = ToolGate(thresholds={"delete": 0.9})
WAYS = pytest.mark.parametrize("way", ["invoke", "ainvoke"])
REJECT = {"type": "reject"}
APPROVE = {"type": "approve"}
RESPOND = {"type": "respond", "message": "I did."}


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def delete(ran: list[str]) -> Any:
    @tool
    def delete(path: str) -> str:
        """Delete a file."""
        ran.append(path)
        return "deleted"

    return delete


def calls(*made: tuple[str, str | None]) -> AIMessage:
    named = [{"name": "delete", "args": {"path": path}, "id": own} for path, own in made]
    return AIMessage("", tool_calls=named)


def thread(**settings: Any) -> Any:
    return {"configurable": {"thread_id": "one", **settings}}


def decided(*decisions: Any) -> Any:
    return Command(resume={"decisions": list(decisions)})


@WAYS
@pytest.mark.parametrize("ids", [(None, None), ("", ""), ("0", "0"), ("0", None), ("a", "b")])
@pytest.mark.parametrize("paths", [("one", "two"), ("one", "one")], ids=["unlike", "alike"])
@pytest.mark.parametrize(
    ("decisions", "runs"),
    [
        ((APPROVE, REJECT), [0]),
        ((REJECT, APPROVE), [1]),
        ((REJECT, RESPOND), []),
        ((APPROVE, APPROVE), [0, 1]),
    ],
)
async def test_a_person_decides_on_one_call_whatever_its_id(
    estimator: Estimator, delete: Any, ran: list[str], way: str, ids: Any, paths: Any,
    decisions: Any, runs: list[int],
) -> None:  # fmt: skip
    agent = create_agent(
        model(calls(*zip(paths, ids, strict=True)), "sure"),
        [delete],
        middleware=[ConfidenceMiddleware(estimator, ASKS)],
        checkpointer=InMemorySaver(),
    )
    await run(way, agent, ASK, thread())
    state = await run(way, agent, decided(*decisions), thread())
    assert sorted(ran) == sorted(paths[at] for at in runs)
    asked = state["messages"][1].tool_calls
    results = {m.tool_call_id: m for m in state["messages"] if isinstance(m, ToolMessage)}
    assert [results[call["id"]].text == "deleted" for call in asked] == [
        at in runs for at in range(2)
    ]


@pytest.mark.parametrize("ids", [(None,), (None, None), ("0", "0")])
async def test_calls_without_an_id_of_their_own_run_and_have_a_result_each(
    estimator: Estimator, delete: Any, ran: list[str], ids: Any
) -> None:
    said = calls(*[("a sure thing", own) for own in ids])
    middleware = [ConfidenceMiddleware(estimator, STRICT)]
    state = await run(
        "invoke", create_agent(model(said, "sure"), [delete], middleware=middleware), ASK
    )
    assert len(ran) == len(ids)
    given = [call["id"] for call in state["messages"][1].tool_calls]
    assert len(set(given)) == len(ids)
    assert {m.tool_call_id for m in state["messages"] if isinstance(m, ToolMessage)} == set(given)


@WAYS
@pytest.mark.parametrize("own", [ToolGate(default=0.1), ASKS, Annotate(), Threshold(threshold=0.1)])
async def test_what_a_person_rejects_does_not_run_where_the_policy_of_the_call_is_gone(
    estimator: Estimator, delete: Any, ran: list[str], way: str, own: Any
) -> None:
    agent = create_agent(
        model(calling("delete", path="perhaps"), "sure"),
        [delete],
        middleware=[ConfidenceMiddleware(estimator, own)],
        checkpointer=InMemorySaver(),
    )
    paused = await run(way, agent, ASK, thread(ct_guard_policy=ASKS))
    assert paused["__interrupt__"]
    state = await run(way, agent, decided(REJECT), thread())
    assert ran == []
    assert "A reviewer rejected" in state["messages"][2].text
    assert is_valid(state["messages"])


@WAYS
async def test_what_a_person_approves_runs_where_the_policy_of_the_call_is_gone(
    estimator: Estimator, delete: Any, ran: list[str], way: str
) -> None:
    agent = create_agent(
        model(calling("delete", path="perhaps"), "sure"),
        [delete],
        middleware=[ConfidenceMiddleware(estimator, ToolGate(default=0.1))],
        checkpointer=InMemorySaver(),
    )
    await run(way, agent, ASK, thread(ct_guard_policy=ASKS))
    await run(way, agent, decided(APPROVE), thread())
    assert ran == ["perhaps"]


@WAYS
@pytest.mark.parametrize("edit", [False, True], ids=["approved", "edited"])
async def test_a_gate_that_a_call_has_set_holds_for_what_was_scored_under_it(
    estimator: Estimator, delete: Any, ran: list[str], way: str, edit: bool
) -> None:
    stock = HumanInTheLoopMiddleware(interrupt_on={"delete": True})
    agent = create_agent(
        model(calling("delete", path="a sure thing" if edit else "perhaps"), "sure"),
        [delete],
        middleware=[stock, ConfidenceMiddleware(estimator, Annotate())],
        checkpointer=InMemorySaver(),
    )
    await run(way, agent, ASK, thread(ct_guard_policy=STRICT))
    changed = {"name": "delete", "args": {"path": "everything"}}
    decision = {"type": "edit", "edited_action": changed} if edit else APPROVE
    state = await run(way, agent, decided(decision), thread())
    assert ran == []
    assert "delete was not run" in state["messages"][2].text


async def test_the_next_turn_goes_by_the_agents_own_policy_again(
    estimator: Estimator, delete: Any, ran: list[str]
) -> None:
    said = (
        calling("delete", path="perhaps"),
        "sure",
        calling("delete", "2", path="perhaps"),
        "sure",
    )
    agent = create_agent(
        model(*said),
        [delete],
        middleware=[ConfidenceMiddleware(estimator, ToolGate(default=0.1))],
        checkpointer=InMemorySaver(),
    )
    await run("invoke", agent, ASK, thread(ct_guard_policy=STRICT))
    assert ran == []
    await run("invoke", agent, ASK, thread())
    assert ran == ["perhaps"]


# --- what was asked is decided by who was asked ---------------------------------------------------


def paused_at_an_unscored_call(estimator: Estimator, delete: Any, own: Any) -> Any:
    """An agent in whose state somebody has put a call."""
    agent = create_agent(
        model("sure"),
        [delete],
        middleware=[ConfidenceMiddleware(estimator, own)],
        checkpointer=InMemorySaver(),
    )
    put = {"messages": [("user", "Please tidy up."), calling("delete", path="one")]}
    agent.update_state(thread(), put, as_node="model")
    return agent


@WAYS
@pytest.mark.parametrize(
    ("own", "asking", "resuming"),
    [
        (Annotate(), ASKS, None),
        (Annotate(), ASKS, ToolGate(default=0.1)),
        (ToolGate(default=0.0, on_missing="allow"), ASKS, None),
        (ASKS, None, Annotate()),
        (ASKS, None, ToolGate(thresholds={"delete": 0.1}, below="human", allowed=("approve",))),
    ],
)
@pytest.mark.parametrize(
    ("decision", "runs", "result"),
    [
        (REJECT, [], "A reviewer rejected"),
        (RESPOND, [], "I did."),
        (APPROVE, ["one"], "deleted"),
        ({"type": "edit", "edited_action": {"name": "delete", "args": {"path": "two"}}}, ["two"],
         "deleted"),
    ],
    ids=["reject", "respond", "approve", "edit"],
)  # fmt: skip
@pytest.mark.parametrize("scored", [False, True], ids=["put in", "scored"])
async def test_a_decision_counts_under_whatever_policy_the_run_is_resumed(
    estimator: Estimator, delete: Any, ran: list[str], way: str, own: Any, asking: Any,
    resuming: Any, decision: Any, runs: Any, result: str, scored: bool,
) -> None:  # fmt: skip
    def under(policy: Any) -> Any:
        return thread() if policy is None else thread(ct_guard_policy=policy)

    if scored:
        said = model(calling("delete", path="one"), "sure")
        guard = ConfidenceMiddleware(estimator, own)
        agent = create_agent(said, [delete], middleware=[guard], checkpointer=InMemorySaver())
    else:
        agent = paused_at_an_unscored_call(estimator, delete, own)
    paused = await run(way, agent, ASK if scored else None, under(asking))
    assert paused["__interrupt__"]
    state = await run(way, agent, decided(decision), under(resuming))
    assert ran == runs
    assert "__interrupt__" not in state
    assert result in state["messages"][2].text
    assert is_valid(state["messages"])


@WAYS
async def test_a_question_of_the_tools_own_has_its_own_answer(
    estimator: Estimator, ran: list[str], way: str
) -> None:
    @tool
    def delete(path: str) -> str:
        """Delete a file."""
        if interrupt(f"Really {path}?"):
            ran.append(path)
        return "done"

    agent = paused_at_an_unscored_call(estimator, delete, Annotate())
    await run(way, agent, None, thread(ct_guard_policy=ASKS))
    state = await run(way, agent, decided(APPROVE), thread())
    (asked,) = state["__interrupt__"]
    assert asked.value == "Really one?"
    await run(way, agent, Command(resume={asked.id: True}), thread())
    assert ran == ["one"]


@WAYS
async def test_calls_that_are_asked_about_apart_are_decided_on_apart(
    estimator: Estimator, delete: Any, ran: list[str], way: str
) -> None:
    agent = create_agent(
        model("sure"),
        [delete],
        middleware=[ConfidenceMiddleware(estimator, Annotate())],
        checkpointer=InMemorySaver(),
    )
    put = {"messages": [("user", "?"), calls(("one", "a"), ("two", "b"), ("three", "c"))]}
    agent.update_state(thread(), put, as_node="model")
    paused = await run(way, agent, None, thread(ct_guard_policy=ASKS))
    decisions = {
        asked.id: {"decisions": [
            REJECT if asked.value["action_requests"][0]["args"]["path"] == "two" else APPROVE
        ]}
        for asked in paused["__interrupt__"]
    }  # fmt: skip
    assert len(decisions) == 3
    await run(way, agent, Command(resume=decisions), thread())
    assert sorted(ran) == ["one", "three"]
