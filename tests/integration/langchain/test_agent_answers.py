"""What becomes of an agent's answer, by policy: the same on every way to run the agent."""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.chat_models import init_chat_model
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from ct_guard.errors import BackendError
from ct_guard.estimators import Estimator
from ct_guard.policies import (
    Annotate,
    Budget,
    Escalate,
    OnError,
    Retry,
    Review,
    Threshold,
    ToolGate,
)
from ct_guard.records import Confidence, Decision
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceMiddleware, get_confidence
from tests.integration.langchain.scripted import model
from tests.integration.langchain.surfaces import SURFACES, is_valid, run
from tests.known_confidence import estimator_on

ABSTAINED = "I don't know."
LADDER = Retry(
    threshold=0.7, otherwise=Escalate(threshold=0.7, otherwise=Review(threshold=0.6, hopeless=0.4))
)


@dataclass(frozen=True)
class Case:
    """A model and its stronger models say something; this is what the reader gets."""

    policy: Any
    said: list[Any]
    text: str
    record: dict[str, Any]
    stronger: list[list[Any]] = field(default_factory=list)


CASES = {
    "annotate: a bad answer passes, marked": Case(
        Annotate(), ["unsure"], "unsure", {"action": "pass", "p": 0.047, "attempts": 1}
    ),
    "pass: a good answer passes": Case(
        0.7, ["I am sure"], "I am sure", {"action": "pass", "p": 0.953, "attempts": 1}
    ),
    "abstain: a bad answer is replaced, and nothing of it kept": Case(
        0.7, ["unsure"], ABSTAINED, {"action": "abstain", "p": 0.047, "original": None}
    ),
    "abstain: an empty answer has no worth": Case(
        0.7, [""], ABSTAINED, {"action": "abstain", "p": None, "status": "empty"}
    ),
    "abstain: a refusal has no worth": Case(
        0.7, ["I cannot answer that."], ABSTAINED, {"action": "abstain", "status": "refusal"}
    ),
    "retry: the same model is asked again": Case(
        Retry(threshold=0.7),
        ["unsure", "sure now"],
        "sure now",
        {"action": "pass", "attempts": 2, "model_index": 0},
    ),
    "retry: the best of its answers counts": Case(
        Retry(threshold=0.7, times=2, otherwise="pass"),
        ["unsure", "perhaps", "unsure"],
        "perhaps",
        {"action": "pass", "p": 0.5, "attempts": 3},
    ),
    "retry: one that fails is noted": Case(
        Retry(threshold=0.7, otherwise="pass"),
        ["perhaps", ConnectionError("gone")],
        "perhaps",
        {"attempts": 2, "error": "model 0 failed: ConnectionError: gone"},
    ),
    "escalate: the next model is asked": Case(
        0.7,
        ["unsure"],
        "I am sure",
        {"action": "pass", "attempts": 2, "model_index": 1},
        [["I am sure"]],
    ),
    "escalate: through all models, then abstain from the best": Case(
        Escalate(threshold=0.7),
        ["unsure"],
        ABSTAINED,
        {"action": "abstain", "attempts": 3, "model_index": 1, "original": None},
        [["perhaps"], ["unsure"]],
    ),
    "escalate: the last word where the last model is trusted": Case(
        Escalate(threshold=0.7, otherwise="pass", keep="last"),
        ["perhaps"],
        "unsure",
        {"action": "pass", "model_index": 1, "p": 0.047},
        [["unsure"]],
    ),
    "escalate: a target that fails leaves the best so far": Case(
        Escalate(threshold=0.7, otherwise="pass"),
        ["perhaps"],
        "perhaps",
        {"attempts": 2, "model_index": 0, "error": "model 1 failed: ConnectionError: gone"},
        [[ConnectionError("gone\nand more")]],
    ),
    "escalate: a target that fails is passed over": Case(
        Escalate(threshold=0.7),
        ["perhaps"],
        "I am sure",
        {"attempts": 3, "model_index": 2, "error": "model 1 failed: ConnectionError: gone"},
        [[ConnectionError("gone")], ["I am sure"]],
    ),
    "all in one: retry, escalate, then abstain, being hopeless": Case(
        LADDER,
        ["unsure", "unsure"],
        ABSTAINED,
        {"action": "abstain", "attempts": 4, "policy": LADDER.name},
        [["unsure", "unsure"]],
    ),
    "budget: once spent, the stronger model is not asked": Case(
        Budget(policy=Threshold(threshold=0.7), share=0.0),
        ["unsure"],
        ABSTAINED,
        {"action": "abstain", "attempts": 1, "model_index": 0},
        [[]],
    ),
    "budget: a policy may let answers pass when it is spent": Case(
        Budget(policy=Escalate(threshold=0.7, otherwise="pass"), cost=0.5),
        ["unsure"],
        "unsure",
        {"action": "pass", "attempts": 1},
        [[]],
    ),
}


THREAD: RunnableConfig = {"configurable": {"thread_id": "one"}}


def raising(items: Any) -> Any:
    raise RuntimeError("out of memory\nsecond line")


def hanging(items: Any) -> Any:
    time.sleep(0.3)
    return []


FAULTS = {
    "raises": raising,
    "hangs": hanging,
    "NaN": estimator_on(FakeBackend(logit=lambda _: float("nan"))).score,
    "too few": lambda items: [],
}
FAULT_MESSAGES = {
    "raises": "out of memory",
    "hangs": "longer than the deadline of 0.2 s",
    "NaN": "the score is NaN or infinite",
    "too few": "the estimator returned 0 scores for 1 answers",
}


class Unheard:
    """A policy of the user's own."""

    name = "unheard"

    def decide(self, confidence: Confidence, situation: Any) -> Decision:
        return Decision(action="pass", policy=self.name)


def guarded(estimator: Any, case: Case, **kwargs: Any) -> Any:
    stronger = [model(*said) for said in case.stronger]
    middleware = ConfidenceMiddleware(estimator, case.policy, models=stronger, **kwargs)
    return create_agent(model(*case.said), middleware=[middleware])


@tool
def print_it(text: str) -> str:
    """Print a text."""
    return text


def asked(text: str = "How far is it?") -> dict[str, Any]:
    return {"messages": [("user", text)]}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_an_answer_and_its_record(estimator: Estimator, case: Case, surface: str) -> None:
    seen = await SURFACES[surface](guarded(estimator, case), asked(), None)
    if "custom" not in surface:
        assert seen.text == case.text
    held = not isinstance(case.policy, Annotate)
    if held or "messages" not in surface:  # tokens that went out as they came carry no record
        assert seen.record is not None
        shown = {name: value for name, value in seen.record.items() if name in case.record}
        assert shown == pytest.approx(case.record, abs=1e-3)
        assert seen.record["turn"] == "answer"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_the_record_lies_on_the_message_and_in_the_state(
    estimator: Estimator, way: str
) -> None:
    state = await run(way, guarded(estimator, CASES["pass: a good answer passes"]), asked())
    assert state["ct_guard"] == get_confidence(state["messages"][-1]) == get_confidence(state)
    assert set(state) == {"messages", "ct_guard", "ct_guard_run"}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("on_error", "text", "action"), [("pass", "sure", "pass"), ("block", ABSTAINED, "abstain")]
)
async def test_a_fault_of_the_estimator_goes_by_on_error(
    broken: Estimator, way: str, on_error: OnError, text: Any, action: str
) -> None:
    case = Case(0.7, ["sure"], text, {}, [[]])
    state = await run(way, guarded(broken, case, on_error=on_error), asked())
    record = state["ct_guard"]
    assert state["messages"][-1].text == text
    assert (record["action"], record["p"], record["status"]) == (action, None, "error")
    assert record["error"] == "the engine failed"
    assert record["attempts"] == 1


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("on_error", ["pass", "block", "raise"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_after_any_fault_the_conversation_is_valid_and_goes_on(
    estimator: Estimator, fault: Any, on_error: OnError, way: str
) -> None:
    healthy, now = estimator.score, [FAULTS[fault]]
    estimator.score = lambda items: now[0](items)  # type: ignore[method-assign]
    agent = create_agent(
        model("perhaps", "I am sure"),
        middleware=[ConfidenceMiddleware(estimator, 0.7, on_error=on_error, deadline=0.2)],
        checkpointer=InMemorySaver(),
    )
    if on_error == "raise":
        with pytest.raises(Exception, match=FAULT_MESSAGES[fault]):
            await run(way, agent, asked(), THREAD)
    else:
        state = await run(way, agent, asked(), THREAD)
        assert state["messages"][-1].text == ("perhaps" if on_error == "pass" else ABSTAINED)
        assert state["ct_guard"]["status"] == "error"
        assert state["ct_guard"]["p"] is None
        assert re.search(FAULT_MESSAGES[fault], state["ct_guard"]["error"])
    now[0] = healthy
    state = await run(way, agent, asked("And now?"), THREAD)
    assert is_valid(state["messages"])
    assert state["messages"][-1].text == "I am sure"
    assert state["ct_guard"]["p"] == pytest.approx(0.953, abs=1e-3)


@pytest.mark.parametrize(
    ("policy", "asks"),
    [
        (Annotate(), False),
        (0.7, False),
        (Retry(threshold=0.7, otherwise=Escalate(threshold=0.7)), False),
        (Budget(policy=Escalate(threshold=0.7), share=0.1), False),
        (ToolGate(default=0.7), False),
        (ToolGate(default=0.7, below="human"), True),
        (ToolGate(answers=Threshold(threshold=0.7, below="human")), True),
        (Escalate(threshold=0.7, otherwise="human"), True),
        (Budget(policy=Review(threshold=0.7), share=0.1), True),
        (LADDER, True),
        (Unheard(), True),
    ],
)
def test_the_agent_has_a_step_for_reviews_only_where_somebody_can_be_asked(
    estimator: Estimator, policy: Any, asks: bool
) -> None:
    agent = create_agent(model(), middleware=[ConfidenceMiddleware(estimator, policy)])
    assert ("ConfidenceMiddleware.after_model" in agent.nodes) == asks


async def test_a_subclass_keeps_its_own_hooks(estimator: Estimator) -> None:
    class Watching(ConfidenceMiddleware):
        def after_model(self, state: Any, runtime: Any) -> None:
            seen.append(state["ct_guard"]["p"])

    seen: list[float] = []
    agent = create_agent(model("I am sure"), middleware=[Watching(estimator, 0.7)])
    await run("invoke", agent, asked())
    assert seen == [pytest.approx(0.953, abs=1e-3)]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_fault_may_be_raised(broken: Estimator, way: str) -> None:
    agent = guarded(broken, Case(0.7, ["sure"], "", {}), on_error="raise")
    with pytest.raises(BackendError, match="the engine failed"):
        await run(way, agent, asked())


async def test_the_abstain_message_is_the_callers(estimator: Estimator) -> None:
    agent = guarded(estimator, Case(0.7, ["unsure"], "", {}), abstain_message="Ask a nurse.")
    assert (await run("invoke", agent, asked()))["messages"][-1].text == "Ask a nurse."


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_the_first_models_failure_is_the_callers(estimator: Estimator, way: str) -> None:
    case = Case(0.7, [ConnectionError("gone")], "", {}, [["sure"]])
    with pytest.raises(ConnectionError, match="gone"):
        await run(way, guarded(estimator, case), asked())


async def test_an_estimator_that_hangs_is_bounded_by_the_deadline(
    make_slow: Callable[[float], Estimator],
) -> None:
    agent = guarded(make_slow(0.5), Case(0.7, ["sure"], "", {}), deadline=0.05)
    state = await run("ainvoke", agent, asked())
    assert state["ct_guard"]["status"] == "error"
    assert "deadline" in state["ct_guard"]["error"]


async def test_what_is_not_text_is_unsupported_and_follows_on_error(estimator: Estimator) -> None:
    image = {"type": "image", "url": "https://example.org/a.png", "mime_type": "image/png"}
    given = {"messages": [{"role": "user", "content": [image]}]}
    state = await run("invoke", guarded(estimator, Case(0.7, ["sure"], "", {})), given)
    assert state["ct_guard"]["status"] == "unsupported"
    assert state["messages"][-1].text == ABSTAINED


async def test_a_budget_is_shared_by_all_runs_of_an_agent(estimator: Estimator) -> None:
    policy = Budget(policy=Threshold(threshold=0.7), share=0.5, window=2)
    case = Case(policy, ["unsure"] * 4, "", {}, [["sure"] * 2])
    agent = guarded(estimator, case)
    actions = [(await run("invoke", agent, asked()))["ct_guard"]["action"] for _ in range(4)]
    assert actions == ["pass", "abstain", "pass", "abstain"]


async def test_usage_is_that_of_the_answer_and_the_rest_is_in_the_record(
    estimator: Estimator,
) -> None:
    def paid(text: str, tokens: int) -> AIMessage:
        usage = {"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1}
        return AIMessage(text, usage_metadata=usage)

    case = Case(0.7, [paid("unsure", 10)], "", {}, [[paid("I am sure", 20)]])
    state = await run("invoke", guarded(estimator, case), asked())
    assert state["messages"][-1].usage_metadata["input_tokens"] == 20
    assert state["ct_guard"]["discarded_usage"]["total_tokens"] == 11


# --- held streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize("surface", ["stream messages", "astream messages"])
async def test_a_weak_answer_does_not_leak_before_the_strong_one(
    estimator: Estimator, surface: str
) -> None:
    case = Case(0.7, ["unsure words"], "", {}, [["I am sure"]])
    seen = await SURFACES[surface](guarded(estimator, case), asked(), None)
    assert seen.text == "I am sure"


@pytest.mark.parametrize("surface", ["stream messages", "astream messages"])
async def test_not_held_all_tokens_are_seen_as_they_come(
    estimator: Estimator, surface: str
) -> None:
    case = Case(0.7, ["unsure words"], "", {}, [["I am sure"]])
    seen = await SURFACES[surface](guarded(estimator, case, hold_stream=False), asked(), None)
    assert seen.text == "unsure wordsI am sure"


async def test_answers_that_cannot_be_replaced_stream_word_by_word(estimator: Estimator) -> None:
    agent = guarded(estimator, CASES["annotate: a bad answer passes, marked"])
    parts = [m.text for m, _ in agent.stream(asked(), stream_mode="messages")]
    assert "".join(parts) == "unsure"
    held = guarded(estimator, Case(Annotate(), ["un sure"], "", {}), hold_stream=True)
    assert [m.text for m, _ in held.stream(asked(), stream_mode="messages")] == ["un sure"]


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`init_chat_model` with a provider whose models say their own name."""
    said = model

    def create(model: str) -> Any:
        return said(model)

    # what is found once is kept for the process: no other test takes this provider
    module = SimpleNamespace(ChatPerplexity=create)
    monkeypatch.setitem(sys.modules, "langchain_perplexity", module)
    return init_chat_model("unsure", model_provider="perplexity", configurable_fields=("model",))


async def test_a_model_that_is_chosen_at_run_time_is_held_and_stays_the_chosen_one(
    estimator: Estimator, chosen: Any
) -> None:
    middleware = ConfidenceMiddleware(estimator, 0.7, models=[model("I am sure", "I am sure")])
    agent = create_agent(chosen, [print_it], middleware=[middleware])
    for name, text in (("unsure", "I am sure"), ("quite sure", "quite sure")):
        config = {"configurable": {"model": name}}
        assert (await run("ainvoke", agent, asked(), config))["messages"][-1].text == text
    tokens = await SURFACES["stream messages"](
        agent, asked(), {"configurable": {"model": "unsure"}}
    )
    assert tokens.text == "I am sure"


async def test_stronger_models_may_be_named_as_langchain_names_them(
    estimator: Estimator, chosen: Any
) -> None:
    middleware = ConfidenceMiddleware(estimator, 0.7, models=["perplexity:I am sure"])
    state = await run("invoke", create_agent(model("unsure"), middleware=[middleware]), asked())
    assert state["messages"][-1].text == "I am sure"


# --- interrupts from within -----------------------------------------------------------------------


async def test_an_interrupt_in_a_stronger_models_call_is_no_failure_of_that_model(
    estimator: Estimator,
) -> None:
    class Toll(AgentMiddleware):
        """Asks a person before the stronger model is asked."""

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            if request.model.script == ["I am sure"]:
                interrupt("May it cost?")
            return handler(request)

    middleware = [ConfidenceMiddleware(estimator, 0.7, models=[model("I am sure")]), Toll()]
    agent = create_agent(
        model("unsure", "unsure"), middleware=middleware, checkpointer=InMemorySaver()
    )
    thread = {"configurable": {"thread_id": "one"}}
    state = await run("invoke", agent, asked(), thread)
    assert state["__interrupt__"][0].value == "May it cost?"
    state = await run("invoke", agent, Command(resume="yes"), thread)
    assert state["messages"][-1].text == "I am sure"
