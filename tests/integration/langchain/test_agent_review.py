"""A person decides: interrupt, resume, and a conversation that stays valid whatever they send."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.policies import Escalate, Retry, Review
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceMiddleware
from tests.confidences import record_of
from tests.integration.langchain.scripted import calling, model
from tests.integration.langchain.surfaces import is_valid, run, state_of

ASK: Any = {"messages": [("user", "How far is it?")]}
THREAD: RunnableConfig = {"configurable": {"thread_id": "one"}}
REVIEW = Review(threshold=0.7)


def decided(*decisions: dict[str, Any]) -> Command[Any]:
    return Command(resume={"decisions": list(decisions)})


def edited(name: str, **args: Any) -> dict[str, Any]:
    return {"type": "edit", "edited_action": {"name": name, "args": args}}


def reviewed(estimator: Any, memory: Any, *said: Any, policy: Any = REVIEW, **kwargs: Any) -> Any:
    middleware = ConfidenceMiddleware(estimator, policy, **kwargs)
    return create_agent(model(*said), middleware=[middleware], checkpointer=memory)


# --- final answers --------------------------------------------------------------------------------


async def test_the_interrupt_is_langchains_own_review_request(
    estimator: Estimator, memory: Any, ways: list[str]
) -> None:
    for way in ways:
        thread = {"configurable": {"thread_id": way}}
        agent = reviewed(estimator, memory, "unsure")
        state = await run(way, agent, ASK, thread)
        (asked,) = state["__interrupt__"]
        assert asked.value == {
            "action_requests": [
                {
                    "name": "final_answer",
                    "args": {"answer": "unsure"},
                    "description": "This answer may be wrong: p 0.047 < 0.700",
                }
            ],
            "review_configs": [
                {
                    "action_name": "final_answer",
                    "allowed_decisions": ["approve", "edit", "respond", "reject"],
                }
            ],
        }
        assert state["ct_guard"]["action"] == "human"


@pytest.mark.parametrize(
    ("decision", "text", "original"),
    [
        ({"type": "approve"}, "unsure", None),
        (edited("final_answer", answer="About 3 km."), "About 3 km.", "[unsure]"),
        ({"type": "respond", "message": "Ask me later."}, "Ask me later.", "[unsure]"),
    ],
    ids=["approve", "edit", "respond"],
)
async def test_a_person_approves_edits_or_answers(
    estimator: Estimator,
    memory: Any,
    ways: list[str],
    decision: Any,
    text: str,
    original: str | None,
) -> None:
    for way in ways:
        thread = {"configurable": {"thread_id": way}}
        kept = {"keep_original": True, "redact": lambda text: f"[{text}]"}
        agent = reviewed(estimator, memory, "unsure", "sure", **kept)
        draft = (await run(way, agent, ASK, thread))["messages"][-1]
        state = await run(way, agent, decided(decision), thread)
        answer = state["messages"][-1]
        assert (answer.text, answer.id, len(state["messages"])) == (text, draft.id, 2)
        record = record_of(answer)
        assert (record["review"], record.get("original")) == (decision["type"], original)
        assert state["ct_guard"] == record
        assert "__interrupt__" not in state
        state = await run(way, agent, {"messages": [("user", "And now?")]}, thread)
        assert state["messages"][-1].text == "sure"


async def test_rejected_the_model_is_told_why_and_answers_again(
    estimator: Estimator, memory: Any, ways: list[str]
) -> None:
    for way in ways:
        thread = {"configurable": {"thread_id": way}}
        agent = reviewed(estimator, memory, "unsure", "I am sure")
        await run(way, agent, ASK, thread)
        state = await run(way, agent, decided({"type": "reject", "message": "too vague"}), thread)
        told, answer = state["messages"][-2:]
        assert isinstance(told, HumanMessage)
        assert told.text == "A reviewer rejected your last answer: too vague. Answer again."
        assert (answer.text, state["ct_guard"]["action"]) == ("I am sure", "pass")


async def test_what_comes_after_a_rejection_is_reviewed_too(estimator: Estimator) -> None:
    agent = reviewed(estimator, InMemorySaver(), "unsure", "unsure still")
    await run("invoke", agent, ASK, THREAD)
    state = await run("invoke", agent, decided({"type": "reject"}), THREAD)
    (asked,) = state["__interrupt__"]
    assert asked.value["action_requests"][0]["args"] == {"answer": "unsure still"}


async def test_resuming_asks_no_model_and_scores_nothing_again(estimator: Estimator) -> None:
    said = model("unsure")
    agent = create_agent(
        said, middleware=[ConfidenceMiddleware(estimator, REVIEW)], checkpointer=InMemorySaver()
    )
    await run("invoke", agent, ASK, THREAD)
    await run("invoke", agent, decided({"type": "approve"}), THREAD)
    assert len(said.asked) == 1
    assert isinstance(estimator.backend, FakeBackend)
    assert estimator.backend.calls == [1]


async def test_the_policy_says_what_a_person_may_do(estimator: Estimator) -> None:
    policy = Retry(
        threshold=0.7,
        otherwise=Escalate(
            threshold=0.7, otherwise=Review(threshold=0.7, allowed=("approve", "respond"))
        ),
    )
    agent = reviewed(
        estimator,
        InMemorySaver(),
        "unsure",
        "unsure",
        policy=policy,
        models=[model(*["unsure"] * 2)],
    )
    state = await run("invoke", agent, ASK, THREAD)
    config = state["__interrupt__"][0].value["review_configs"][0]
    assert config["allowed_decisions"] == ["approve", "respond"]
    with pytest.raises(UsageError, match="'reject' is not among approve, respond"):
        await run("invoke", agent, decided({"type": "reject"}), THREAD)
    state = await run("invoke", agent, decided({"type": "approve"}), THREAD)
    assert state["messages"][-1].text == "unsure"
    assert state["ct_guard"]["attempts"] == 4


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("yes", "this review cannot be resumed so"),
        ({"decision": "approve"}, "decisions: Field required"),
        ({"decisions": "approve"}, "decisions: Input should be a valid list"),
        ({"decisions": []}, "0 decisions for 1 actions"),
        ({"decisions": [{"type": "approve"}] * 2}, "2 decisions for 1 actions"),
        ({"decisions": [{"type": "maybe"}]}, "decisions: 0: Input tag 'maybe'"),
        ({"decisions": [{"type": "respond"}]}, "decisions: 0: Field required"),
        ({"decisions": [edited("final_answer", text="x")]}, "an edited answer is text in"),
        ({"decisions": [edited("final_answer", answer=3)]}, "an edited answer is text in"),
    ],
)
async def test_a_resume_of_another_shape_is_one_clear_error_and_can_be_put_right(
    estimator: Estimator, memory: Any, ways: list[str], payload: Any, message: str
) -> None:
    for way in ways:
        thread = {"configurable": {"thread_id": way}}
        agent = reviewed(estimator, memory, "unsure")
        await run(way, agent, ASK, thread)
        with pytest.raises(UsageError, match=message) as caught:
            await run(way, agent, Command(resume=payload), thread)
        assert "\n" not in str(caught.value)
        snapshot = await state_of(agent, way, thread)
        assert [asked.value["action_requests"][0]["name"] for asked in snapshot.interrupts] == [
            "final_answer"
        ]
        state = await run(way, agent, decided({"type": "approve"}), thread)
        assert state["messages"][-1].text == "unsure"


async def test_a_new_turn_instead_of_a_decision_leaves_a_valid_conversation(
    estimator: Estimator,
) -> None:
    agent = reviewed(estimator, InMemorySaver(), "unsure", "sure")
    await run("invoke", agent, ASK, THREAD)
    state = await run("invoke", agent, {"messages": [("user", "Never mind. Hello?")]}, THREAD)
    assert state["messages"][-1].text == "sure"
    assert is_valid(state["messages"])


# --- calls of tools -------------------------------------------------------------------------------


@pytest.fixture
def sent() -> list[str]:
    return []


def mailing(estimator: Any, memory: Any, sent: list[str], *said: Any) -> Any:
    @tool
    def send(to: str) -> str:
        """Send the letter."""
        sent.append(to)
        return f"sent to {to}"

    return create_agent(
        model(*said),
        [send],
        middleware=[ConfidenceMiddleware(estimator, REVIEW)],
        checkpointer=memory,
    )


@pytest.mark.parametrize(
    ("decision", "ran", "result", "status"),
    [
        ({"type": "approve"}, ["unsure"], "sent to unsure", "success"),
        (edited("send", to="Ann"), ["Ann"], "sent to Ann", "success"),
        ({"type": "respond", "message": "I sent it."}, [], "I sent it.", "success"),
        (
            {"type": "reject", "message": "wrong town"},
            [],
            "A reviewer rejected this call of send: wrong town",
            "error",
        ),
    ],
    ids=["approve", "edit", "respond", "reject"],
)
async def test_a_person_decides_on_a_call(
    estimator: Estimator,
    memory: Any,
    ways: list[str],
    sent: list[str],
    decision: Any,
    ran: Any,
    result: str,
    status: str,
) -> None:
    for way in ways:
        sent.clear()
        thread = {"configurable": {"thread_id": way}}
        agent = mailing(estimator, memory, sent, calling("send", to="unsure"), "sure")
        state = await run(way, agent, ASK, thread)
        request = state["__interrupt__"][0].value["action_requests"][0]
        assert (request["name"], request["args"]) == ("send", {"to": "unsure"})
        state = await run(way, agent, decided(decision), thread)
        assert sent == ran
        found = [m for m in state["messages"] if isinstance(m, ToolMessage)]
        assert [(m.text, m.status) for m in found] == [(result, status)]
        assert state["messages"][-1].text == "sure"
        assert is_valid(state["messages"])


async def test_each_of_several_calls_has_its_own_decision(
    estimator: Estimator, sent: list[str]
) -> None:
    both = calling("send", to="unsure")
    both.tool_calls.append(
        {"name": "send", "args": {"to": "Bob"}, "id": "call-2", "type": "tool_call"}
    )
    agent = mailing(estimator, InMemorySaver(), sent, both, "sure")
    state = await run("invoke", agent, ASK, THREAD)
    assert len(state["__interrupt__"][0].value["action_requests"]) == 2
    with pytest.raises(UsageError, match="1 decisions for 2 actions"):
        await run("invoke", agent, decided({"type": "approve"}), THREAD)
    resume = decided({"type": "reject"}, {"type": "approve"})
    state = await run("invoke", agent, resume, THREAD)
    assert sent == ["Bob"]
    assert is_valid(state["messages"])


async def test_an_approved_call_runs_even_where_the_gate_would_not_let_it(
    estimator: Estimator, sent: list[str]
) -> None:
    """The person's word stands: what they edited was never scored."""

    @tool
    def send(to: str) -> str:
        """Send the letter."""
        sent.append(to)
        return "sent"

    agent = create_agent(
        model(calling("send", to="unsure"), "sure"),
        [send],
        middleware=[ConfidenceMiddleware(estimator, REVIEW, on_missing="block")],
        checkpointer=InMemorySaver(),
    )
    await run("invoke", agent, ASK, THREAD)
    await run("invoke", agent, decided(edited("send", to="Ann")), THREAD)
    assert sent == ["Ann"]
