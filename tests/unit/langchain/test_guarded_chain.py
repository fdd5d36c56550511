"""ConfidenceGuard.wrap: chains and agents whose every answer has a confidence."""

import threading
import time
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langchain_core.tools import tool
from pydantic import BaseModel

from ct_guard.errors import BackendError, UsageError
from ct_guard.policies import Annotate, Escalate, OnError, Retry
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceGuard, get_confidence
from tests.confidences import record_of
from tests.known_confidence import by_word
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator

PROMPT = ChatPromptTemplate.from_messages([("system", "Be short."), ("human", "{question}")])
ASKED = {"question": "2 plus 2?"}


class Listening(FakeBackend):
    """Keeps the conversations and answers that it was asked to score."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(logit=by_word, **kwargs)
        self.heard: list[tuple[str, str]] = []

    def score(self, items: Any, *args: Any, **kwargs: Any) -> Any:
        self.heard += [
            (self.encoder.decode(item.context), self.encoder.decode(item.answer)) for item in items
        ]
        return super().score(items, *args, **kwargs)


@pytest.fixture
def backend() -> Listening:
    return Listening()


@pytest.fixture
def make_guard(make_estimator: Any, backend: Listening) -> Any:
    def make(policy: Any = 0.7, **options: Any) -> ConfidenceGuard:
        return ConfidenceGuard(make_estimator(backend=backend), policy, **options)

    return make


def chain(*replies: str) -> Any:
    """Prompt, model, parser; the replies one after the other, the last one for ever."""
    return PROMPT | Replies(replies=list(replies)) | StrOutputParser()


class Replies(RuleChatModel):
    replies: list[str]

    def _answer(self, *args: Any, **kwargs: Any) -> Any:
        return (self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]), []


class Down(RuleChatModel):
    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("provider is down")


# --- what is asked --------------------------------------------------------------------------------


async def test_prompt_model_parser_is_judged_by_what_the_model_was_asked(
    make_guard: Any, backend: Listening
) -> None:
    guarded = make_guard().wrap(chain("I am sure: 4."))
    for made in (guarded.invoke(ASKED), await guarded.ainvoke(ASKED)):
        assert (made["input"], made["output"]) == (ASKED, "I am sure: 4.")
        assert made["confidence"]["action"] == "pass"
    assert backend.heard == [("Be short.2 plus 2?", "I am sure: 4.")] * 2


def test_retrieved_passages_are_part_of_the_question(make_guard: Any, backend: Listening) -> None:
    prompt = ChatPromptTemplate.from_template("{docs}\n\n{question}")
    rag = (
        {"docs": lambda _: "2 plus 2 is 4.", "question": RunnablePassthrough()}
        | prompt
        | RuleChatModel(reply="4, sure")
        | StrOutputParser()
    )
    make_guard().wrap(rag).invoke("What is it?")
    assert backend.heard == [("2 plus 2 is 4.\n\nWhat is it?", "4, sure")]


def test_of_several_model_calls_the_last_one_is_the_answer(
    make_guard: Any, backend: Listening
) -> None:
    shorter = RuleChatModel(reply="2+2?") | StrOutputParser()
    make_guard().wrap(shorter | RuleChatModel(reply="4, sure") | StrOutputParser()).invoke("Hm?")
    assert backend.heard == [("2+2?", "4, sure")]


def test_a_question_can_be_given_instead(make_guard: Any, backend: Listening) -> None:
    both = RunnableParallel(a=RuleChatModel(reply="4"), b=RuleChatModel(reply="4")) | (
        lambda said: f"{said['a'].text}, sure"
    )
    guarded = make_guard().wrap(
        RunnableLambda(lambda value: value["question"]) | both,
        question=lambda value: value["question"],
    )
    guarded.invoke(ASKED)
    assert backend.heard == [("2 plus 2?", "4, sure")]


def test_without_a_model_the_input_is_the_question(make_guard: Any, backend: Listening) -> None:
    made = make_guard().wrap(lambda value: "4, sure").invoke("2 plus 2?")
    assert made["output"] == "4, sure"
    assert backend.heard == [("2 plus 2?", "4, sure")]


def test_an_input_without_a_question_is_refused(make_guard: Any) -> None:
    with pytest.raises(UsageError, match=r"none of the keys 'topic'.*question=lambda"):
        make_guard().wrap(lambda value: "4").invoke({"topic": "cats"})


def test_a_plain_llm_is_heard_too(make_guard: Any, backend: Listening) -> None:
    template = ChatPromptTemplate.from_template("Q: {question}")
    make_guard().wrap(template | FakeListLLM(responses=["4, sure"])).invoke(ASKED)
    assert backend.heard == [("Human: Q: 2 plus 2?", "4, sure")]


def test_the_answering_model_selects_the_calibrator(make_estimator: MakeEstimator) -> None:
    class Named(FakeListChatModel):
        """Says its name when it is asked only, and not with its answers."""

        def _get_ls_params(self, *args: Any, **kwargs: Any) -> Any:
            return {"ls_model_name": "small-1"}

    flat = {"kind": "platt", "params": {"a": 0.0, "b": 0.0}, "n": 10}
    guard = ConfidenceGuard(make_estimator(calibrators={"small-1": flat}))
    made = guard.wrap(Named(responses=["I am sure."]) | StrOutputParser()).invoke("?")
    assert made["confidence"]["p"] == 0.5


# --- what comes back ------------------------------------------------------------------------------


class Person(BaseModel):
    name: str


async def test_a_chat_model_by_itself_returns_a_message_that_carries_the_record(
    make_guard: Any,
) -> None:
    guarded = make_guard().wrap(RuleChatModel(reply="unsure"))
    for made in (guarded.invoke("?"), await guarded.ainvoke("?")):
        assert made["output"].text == "I don't know."
        assert get_confidence(made["output"]) == made["confidence"]
        assert made["confidence"]["original"] is None


def test_structured_output_is_judged_by_its_json(make_guard: Any, backend: Listening) -> None:
    model = RuleChatModel().with_structured_output(Person)
    made = make_guard().wrap(model).invoke("Who is 'sure Ada'?")
    assert made["output"] == Person(name="sure Ada")
    assert backend.heard == [("Who is 'sure Ada'?", '{"name": "sure Ada"}')]
    assert made["confidence"]["turn"] == "answer"
    raw = RuleChatModel().with_structured_output(Person, include_raw=True)
    made = make_guard().wrap(raw).invoke("Who is 'unsure Ada'?")
    assert made["output"]["parsed"] is None
    assert made["output"]["raw"].text == "I don't know."
    assert record_of(made["output"]["raw"])["action"] == "abstain"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_an_agent_is_judged_with_its_instructions_and_tool_results(
    make_guard: Any, backend: Listening
) -> None:
    agent = create_agent(RuleChatModel(reply="4, sure"), [add], system_prompt="Use tools.")
    guarded = make_guard().wrap(agent)
    state = {"messages": [HumanMessage("Please add 2 and 2.")]}
    for made in (guarded.invoke(state), await guarded.ainvoke(state)):
        assert [message.type for message in made["output"]["messages"]] == [
            "human", "ai", "tool", "ai",
        ]  # fmt: skip
        assert get_confidence(made["output"]) == made["confidence"]
    assert backend.heard[0] == (
        'Use tools.add({"a": 2, "b": 2}) -> 4\n\nPlease add 2 and 2.',
        "4, sure",
    )


def test_an_agent_that_waits_for_a_person_passes_as_it_is(
    make_guard: Any, backend: Listening
) -> None:
    from langchain.agents.middleware import HumanInTheLoopMiddleware
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    agent = create_agent(
        RuleChatModel(reply="4, sure"),
        [add],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"add": True})],
        checkpointer=InMemorySaver(),
    )
    guarded = make_guard().wrap(agent, models=[chain("never asked")])
    thread = {"configurable": {"thread_id": "1"}}
    paused = guarded.invoke({"messages": [HumanMessage("Please add 2 and 2.")]}, thread)
    assert paused["output"]["messages"][-1].tool_calls
    assert paused["output"]["__interrupt__"]
    record = paused["confidence"]
    assert (record["p"], record["status"], record["action"]) == (None, "unsupported", "pass")
    assert backend.heard == []
    done = guarded.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread)
    assert done["output"]["messages"][-1].text == "4, sure"
    assert done["confidence"]["action"] == "pass"
    assert backend.heard == [('add({"a": 2, "b": 2}) -> 4\n\nPlease add 2 and 2.', "4, sure")]


# --- the policy acts ------------------------------------------------------------------------------


def retries(times: int) -> Retry:
    return Retry(threshold=0.7, times=times)


@pytest.mark.parametrize(
    ("policy", "chains", "output", "tried"),
    [
        (0.7, [["I am sure."], ["never"]], "I am sure.", ("pass", 1, 0)),
        (0.7, [["unsure"], ["sure now"]], "sure now", ("pass", 2, 1)),
        (0.7, [["unsure"], ["maybe"]], "I don't know.", ("abstain", 2, 1)),
        (Escalate(threshold=0.7, otherwise="pass"), [["maybe"], ["unsure"]], "maybe",
         ("pass", 2, 0)),
        (retries(3), [["unsure", "maybe", "sure"]], "sure", ("pass", 3, 0)),
        (retries(1), [["unsure", "maybe", "sure"]], "I don't know.", ("abstain", 2, 0)),
        ({"kind": "threshold", "threshold": 0.7, "below": "human"}, [["unsure"]], "unsure",
         ("human", 1, 0)),
        (Annotate(), [["unsure"], ["never"]], "unsure", ("pass", 1, 0)),
    ],
    ids=[
        "not needed", "escalated", "escalated in vain", "the best counts", "retried",
        "retried in vain", "a person's turn", "annotated",
    ],
)  # fmt: skip
async def test_retries_and_stronger_chains(
    make_guard: Any, policy: Any, chains: list[list[str]], output: str, tried: tuple[str | int, ...]
) -> None:
    for ask in ("invoke", "ainvoke"):
        first, *stronger = [chain(*replies) for replies in chains]
        guarded = make_guard(policy).wrap(first, models=stronger)
        made = guarded.invoke(ASKED) if ask == "invoke" else await guarded.ainvoke(ASKED)
        record = made["confidence"]
        assert made["output"] == output
        assert (record["action"], record["attempts"], record["model_index"]) == tried


def test_a_stronger_chain_that_fails_is_noted_and_passed_over(make_guard: Any) -> None:
    guarded = make_guard().wrap(
        chain("unsure"), models=[PROMPT | Down() | StrOutputParser(), chain("sure")]
    )
    made = guarded.invoke(ASKED)
    assert made["output"] == "sure"
    assert made["confidence"]["error"] == "model 1 failed: ConnectionError: provider is down"


async def test_the_first_chains_error_is_the_callers(make_guard: Any) -> None:
    guarded = make_guard().wrap(PROMPT | Down(), models=[chain("sure")])
    with pytest.raises(ConnectionError, match="provider is down"):
        guarded.invoke(ASKED)
    with pytest.raises(ConnectionError, match="provider is down"):
        await guarded.ainvoke(ASKED)


def test_a_pause_of_a_graph_inside_is_no_failure(make_guard: Any) -> None:
    from langgraph.errors import GraphInterrupt

    def pause(value: Any) -> Any:
        raise GraphInterrupt

    guarded = make_guard().wrap(chain("unsure"), models=[pause])
    with pytest.raises(GraphInterrupt):
        guarded.invoke(ASKED)


@pytest.mark.parametrize(("on_error", "output"), [("pass", "4"), ("block", "I don't know.")])
def test_an_estimator_that_fails_goes_by_on_error(
    make_estimator: MakeEstimator, on_error: OnError, output: str
) -> None:
    class Deaf(FakeBackend):
        def score(self, *args: Any, **kwargs: Any) -> Any:
            raise BackendError("the engine failed")

    estimator = make_estimator(backend=Deaf())
    made = ConfidenceGuard(estimator, 0.7, on_error=on_error).wrap(chain("4")).invoke(ASKED)
    assert (made["output"], made["confidence"]["error"]) == (output, "the engine failed")
    with pytest.raises(BackendError, match="the engine failed"):
        ConfidenceGuard(estimator, 0.7, on_error="raise").wrap(chain("4")).invoke(ASKED)


# --- batches --------------------------------------------------------------------------------------


async def test_a_batch_is_scored_as_one_in_order(make_guard: Any, backend: Listening) -> None:
    model = PROMPT | RuleChatModel() | StrOutputParser()  # says the question
    questions = [{"question": f"sure, number {n}?"} for n in range(10)]
    guarded = make_guard().wrap(model)
    for made in (guarded.batch(questions), await guarded.abatch(questions)):
        assert [each["output"] for each in made] == [asked["question"] for asked in questions]
    assert backend.calls == [10, 10]


async def test_only_what_is_not_sure_enough_goes_on_and_each_round_is_one_batch(
    make_guard: Any, backend: Listening
) -> None:
    says_it = PROMPT | RuleChatModel() | StrOutputParser()
    asked = [{"question": said} for said in ("sure", "unsure", "sure", "unsure", "unsure")]
    guarded = make_guard().wrap(says_it, models=[chain("now sure")])
    expected = ["sure", "now sure", "sure", "now sure", "now sure"]
    for made in (guarded.batch(asked), await guarded.abatch(asked)):
        assert [each["output"] for each in made] == expected
    assert backend.calls == [5, 3, 5, 3]


async def test_max_concurrency_bounds_the_chains(make_guard: Any) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def slow(value: Any) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return "sure"

    guarded = make_guard().wrap(slow)
    guarded.batch(["?"] * 8, {"max_concurrency": 2})
    assert most == 2
    most = 0
    await guarded.abatch(["?"] * 8, {"max_concurrency": 2})
    assert most == 2


async def test_with_return_exceptions_the_others_get_their_answers(make_guard: Any) -> None:
    def fragile(value: str) -> str:
        if value == "break":
            raise ConnectionError("provider is down")
        return "sure"

    guarded = make_guard().wrap(fragile)
    for made in (
        guarded.batch(["?", "break", "?"], return_exceptions=True),
        await guarded.abatch(["?", "break", "?"], return_exceptions=True),
    ):
        assert [type(each) for each in made] == [dict, ConnectionError, dict]
    with pytest.raises(ConnectionError):
        guarded.batch(["?", "break"])


def test_config_sets_the_policy_of_one_call_and_reaches_the_chain(make_guard: Any) -> None:
    guarded = make_guard().wrap(chain("unsure"))
    lax = {"configurable": {"ct_guard_policy": 0.01}}
    assert guarded.invoke(ASKED, lax)["output"] == "unsure"
    assert guarded.invoke(ASKED)["output"] == "I don't know."
    assert "ct_guard_policy" in {spec.id for spec in guarded.config_specs}


# --- streams --------------------------------------------------------------------------------------


async def test_a_stream_passes_through_with_the_confidence_in_its_last_part(
    make_guard: Any, backend: Listening
) -> None:
    guarded = make_guard("annotate").wrap(chain("I am sure of it"))
    for parts in (
        list(guarded.stream(ASKED)),
        [part async for part in guarded.astream(ASKED)],
    ):
        assert parts[0] == {"input": ASKED}
        assert "".join(part.get("output", "") for part in parts) == "I am sure of it"
        assert ["confidence" in part for part in parts] == [False] * (len(parts) - 1) + [True]
        assert len(parts) >= 5
    assert backend.heard == [("Be short.2 plus 2?", "I am sure of it")] * 2


async def test_a_stream_is_held_where_the_policy_can_replace_the_answer(make_guard: Any) -> None:
    guarded = make_guard(0.7).wrap(chain("unsure"), models=[chain("sure")])
    for parts in (
        list(guarded.stream(ASKED)),
        [part async for part in guarded.astream(ASKED)],
    ):
        (part,) = parts
        assert (part["output"], part["confidence"]["model_index"]) == ("sure", 1)


def test_pick_streams_the_output_alone(make_guard: Any) -> None:
    guarded = make_guard("annotate").wrap(chain("I am sure of it"))
    said = list(guarded.pick("output").stream(ASKED))
    assert "".join(said) == "I am sure of it"
    assert len(said) >= 3


def test_chunks_of_a_model_carry_the_record_once(make_guard: Any) -> None:
    guarded = make_guard("annotate").wrap(RuleChatModel(reply="I am sure of it"))
    chunks = list(guarded.pick("output").stream("?"))
    assert [get_confidence(chunk) is not None for chunk in chunks] == [
        *[False] * (len(chunks) - 1), True,
    ]  # fmt: skip


def test_a_stream_inside_a_chain_gets_the_whole_question(
    make_guard: Any, backend: Listening
) -> None:
    question = RuleChatModel(reply="2 plus 2?") | StrOutputParser()
    answer = RuleChatModel(reply="sure") | StrOutputParser()
    whole = question | make_guard("annotate").wrap(answer)
    parts = list(whole.stream("Ask me something."))
    assert parts[-1]["confidence"]["action"] == "pass"
    assert backend.heard == [("2 plus 2?", "sure")]


def test_an_agents_stream_passes_through_and_its_last_answer_is_judged(
    make_guard: Any, backend: Listening
) -> None:
    agent = create_agent(RuleChatModel(reply="4, sure"), [add])
    state = {"messages": [HumanMessage("Please add 2 and 2.")]}
    parts = list(make_guard("annotate").wrap(agent).stream(state))
    assert [list(part["output"]) for part in parts if "output" in part] == [
        ["model"], ["tools"], ["model"],
    ]  # fmt: skip
    assert parts[-1]["confidence"]["turn"] == "answer"
    assert [answer for _, answer in backend.heard] == ["4, sure"]


def test_a_stream_that_breaks_ends_in_its_error(make_guard: Any) -> None:
    def broken(value: Any) -> Any:
        yield "I am"
        raise ConnectionError("provider is down")

    parts = make_guard("annotate").wrap(broken).stream("?")
    with pytest.raises(ConnectionError):
        list(parts)


# --- once -----------------------------------------------------------------------------------------


def test_wrapping_twice_is_wrapping_once_by_the_outer_guard(
    make_guard: Any, backend: Listening
) -> None:
    once = make_guard(0.99).wrap(chain("I am sure."))
    twice = make_guard(0.7).wrap(once)
    assert twice.chains == once.chains
    assert twice.invoke(ASKED)["output"] == "I am sure."
    assert backend.calls == [1]


def test_a_list_of_messages_is_a_question_with_its_history(
    make_guard: Any, backend: Listening
) -> None:
    history = [HumanMessage("2 plus 2?"), AIMessage("4"), HumanMessage("And 3 plus 3?")]
    make_guard().wrap(RuleChatModel(reply="6, sure")).invoke(history)
    assert backend.heard == [("2 plus 2?4And 3 plus 3?", "6, sure")]
