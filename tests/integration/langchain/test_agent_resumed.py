"""What was decided on a call holds: for that very call, whatever its id, and under the policy that
it was scored by, also where a run is resumed without it. What nobody has decided on is judged by
the policy of the request that resumes."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from ct_guard.estimators import Estimator
from ct_guard.policies import Annotate, Review, Threshold, ToolGate
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


# --- what nobody was shown is judged by the policy of the request ---------------------------------


def paused_beside(estimator: Estimator, delete: Any, ran: list[str]) -> Any:
    """An agent that asks about the first of two calls; the other is let through."""

    @tool
    def look(path: str) -> str:
        """Look at a file."""
        ran.append(f"looked at {path}")
        return "seen"

    both = calling("delete", path="one")
    other = {"name": "look", "args": {"path": "two"}, "id": "b", "type": "tool_call"}
    both = both.model_copy(update={"tool_calls": [*both.tool_calls, other]})
    gate = ASKS.model_copy(update={"answers": Review(threshold=0.1)})
    return create_agent(
        model(both, "sure"),
        [delete, look],
        middleware=[ConfidenceMiddleware(estimator, gate)],
        checkpointer=InMemorySaver(),
    )


@WAYS
@pytest.mark.parametrize(
    ("resuming", "runs"),
    [
        (None, ["looked at two", "one"]),
        (0.4, ["looked at two", "one"]),
        (Annotate(), ["looked at two", "one"]),
        (0.9, ["one"]),
        ({"kind": "escalate", "threshold": 0.9}, ["one"]),
        (ToolGate(default=0.9), ["one"]),
    ],
)
async def test_a_call_that_nobody_was_asked_about_goes_by_the_policy_of_the_resuming_request(
    estimator: Estimator, delete: Any, ran: list[str], way: str, resuming: Any, runs: list[str]
) -> None:
    agent = paused_beside(estimator, delete, ran)
    await run(way, agent, ASK, thread())
    under = thread() if resuming is None else thread(ct_guard_policy=resuming)
    state = await run(way, agent, decided(APPROVE), under)
    assert sorted(ran) == runs
    assert ("look was not run" in str(state["messages"])) == (len(runs) == 1)
    assert is_valid(state["messages"])


@WAYS
async def test_it_is_shown_to_a_person_where_that_policy_asks_one(
    estimator: Estimator, delete: Any, ran: list[str], way: str
) -> None:
    agent = paused_beside(estimator, delete, ran)
    await run(way, agent, ASK, thread())
    strict = thread(ct_guard_policy=Review(threshold=0.9))
    state = await run(way, agent, decided(APPROVE), strict)
    (asked,) = state["__interrupt__"]
    assert [action["name"] for action in asked.value["action_requests"]] == ["look"]
    await run(way, agent, decided(APPROVE), strict)
    assert sorted(ran) == ["looked at two", "one"]


# --- an agent inside a tool of another ------------------------------------------------------------


def around(inner: Any, guard: Any, question: str) -> Any:
    """An agent that asks the other one."""

    @tool
    def ask(question: str) -> str:
        """Ask another agent."""
        return str(inner.invoke({"messages": [("user", question)]})["messages"][-1].text)

    said = model(calling("ask", question=question), "sure")
    return create_agent(said, [ask], middleware=[guard], checkpointer=InMemorySaver())


def shown(state: Any) -> Any:
    (asked,) = state["__interrupt__"]
    return asked.value["action_requests"][0]["args"]


@WAYS
@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (APPROVE, "perhaps"),
        ({"type": "respond", "message": "unsure, but mine"}, "unsure, but mine"),
        (REJECT, "I don't know."),
    ],
    ids=["approve", "respond", "reject"],
)
async def test_of_a_nested_agent_what_a_person_saw_stands_and_what_it_says_next_is_judged(
    estimator: Estimator, way: str, decision: Any, told: str
) -> None:
    inner: Any = create_agent(
        model("perhaps", "another"),
        middleware=[ConfidenceMiddleware(estimator, Review(threshold=0.7))],
    )

    agent = around(inner, ConfidenceMiddleware(estimator, 0.4), "a sure thing?")
    assert shown(await run(way, agent, ASK, thread())) == {"answer": "perhaps"}
    state = await run(way, agent, decided(decision), thread(ct_guard_policy=0.6))
    assert state["messages"][2].text == told
    assert state["messages"][-1].text == "sure"


@WAYS
@pytest.mark.parametrize("strict", [Review(threshold=0.6), ToolGate(default=0.6, below="human")])
async def test_a_decision_on_a_nested_answer_is_none_on_the_call_around_it(
    estimator: Estimator, way: str, strict: Any
) -> None:
    guard = ConfidenceMiddleware(estimator, Review(threshold=0.7))
    inner: Any = create_agent(model("perhaps"), middleware=[guard])
    outer = ConfidenceMiddleware(estimator, Review(threshold=0.4))
    agent = around(inner, outer, "anything?")
    assert shown(await run(way, agent, ASK, thread())) == {"answer": "perhaps"}
    under = thread(ct_guard_policy=strict)
    assert shown(await run(way, agent, decided(APPROVE), under)) == {"question": "anything?"}
    assert shown(await run(way, agent, decided(APPROVE), under)) == {"answer": "perhaps"}
    state = await run(way, agent, decided(APPROVE), under)
    assert state["messages"][2].text == "perhaps"


@WAYS
async def test_a_decision_is_none_on_another_answer_of_an_agent_that_remembers_nothing(
    estimator: Estimator, way: str
) -> None:
    guard = ConfidenceMiddleware(estimator, Review(threshold=0.7))
    said = model("perhaps", "another", "sure")
    inner: Any = create_agent(said, middleware=[guard], checkpointer=False)
    agent = around(inner, ConfidenceMiddleware(estimator, 0.4), "sure?")
    assert shown(await run(way, agent, ASK, thread())) == {"answer": "perhaps"}
    assert shown(await run(way, agent, decided(APPROVE), thread())) == {"answer": "another"}
    state = await run(way, agent, decided(APPROVE), thread())
    assert state["messages"][2].text == "sure"
