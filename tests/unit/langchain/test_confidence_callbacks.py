"""The callback handler: sees every answer, changes none."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListLLM
from langchain_core.language_models.fake_chat_models import (
    FakeMessagesListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from ct_guard.errors import BackendError, LowConfidenceError
from ct_guard.estimators import Estimator
from ct_guard.guard import Judged
from ct_guard.testing import FakeBackend
from ct_guard_langchain import (
    ConfidenceCallbackHandler,
    GuardedChatModel,
    get_confidence,
    get_confidence_callback,
)
from tests.unit.langchain.conftest import MakeEstimator

PROMPT = ChatPromptTemplate.from_messages([("system", "Be short."), ("human", "{question}")])


def saying(*answers: Any) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter(answers))


def chain(*answers: Any) -> Any:
    return PROMPT | saying(*answers) | StrOutputParser()


class Deaf(FakeBackend):
    def score(self, *args: Any, **kwargs: Any) -> Any:
        raise BackendError("the engine failed")


class Down(GenericFakeChatModel):
    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("provider is down")


# --- what it sees ---------------------------------------------------------------------------------


async def test_it_sees_the_prompt_and_the_answer_on_every_surface_and_changes_neither(
    estimator: Estimator,
) -> None:
    question = {"question": "2 plus 2?"}
    for ask in ("invoke", "ainvoke", "stream", "astream", "batch"):
        watch = ConfidenceCallbackHandler(estimator, policy=0.7)
        config = {"callbacks": [watch]}
        asked = chain("I am sure.")
        match ask:
            case "invoke":
                said = asked.invoke(question, config)
            case "ainvoke":
                said = await asked.ainvoke(question, config)
            case "stream":
                said = "".join(asked.stream(question, config))
            case "astream":
                said = "".join([part async for part in asked.astream(question, config)])
            case "batch":
                (said,) = asked.batch([question], config)
        assert said == "I am sure."
        (seen,) = watch.observations
        assert [message.text for message in seen.call.messages] == ["Be short.", "2 plus 2?"]
        assert (seen.question, seen.said) == ("2 plus 2?", "I am sure.")
        assert seen.record["action"] == "pass"
        assert seen.p == pytest.approx(0.9526, abs=1e-4)


def test_every_answer_of_a_batch_is_with_its_own_question(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator)
    model = RunnableLambda(lambda value: value) | PROMPT | _Echo()
    model.batch([{"question": f"number {n}"} for n in range(20)], {"callbacks": [watch]})
    assert sorted(seen.said for seen in watch.observations) == sorted(
        f"echo of number {n}" for n in range(20)
    )
    assert all(seen.said == f"echo of {seen.question}" for seen in watch.observations)


class _Echo(FakeMessagesListChatModel):
    responses: list[Any] = []

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        return FakeMessagesListChatModel(
            responses=[AIMessage(f"echo of {messages[-1].text}")]
        )._generate(messages)


def test_a_plain_llm_is_seen_by_its_prompt(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator, policy=0.7)
    FakeListLLM(responses=["unsure"]).invoke("2 plus 2?", {"callbacks": [watch]})
    (seen,) = watch.observations
    assert (seen.question, seen.said, seen.record["action"]) == ("2 plus 2?", "unsure", "abstain")


def test_in_an_agent_tool_calls_and_the_final_answer_are_told_apart(estimator: Estimator) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    class WithTools(FakeMessagesListChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

    call = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 2, "b": 2}, "id": "1"}])
    agent = create_agent(WithTools(responses=[call, AIMessage("I am sure: 4.")]), [add])
    watch = ConfidenceCallbackHandler(estimator)
    agent.invoke({"messages": [HumanMessage("2 plus 2?")]}, {"callbacks": [watch]})
    first, last = watch.observations
    assert (first.record["turn"], first.said) == ("tool_call", 'add({"a": 2, "b": 2})')
    assert (last.record["turn"], last.said) == ("answer", "I am sure: 4.")
    assert last.question == 'add({"a": 2, "b": 2}) -> 4\n\n2 plus 2?'


def test_an_answer_with_a_record_is_not_scored_again(
    estimator: Estimator, make_estimator: MakeEstimator
) -> None:
    backend = FakeBackend()
    watch = ConfidenceCallbackHandler(make_estimator(backend=backend))
    model = GuardedChatModel(inner=saying("I am sure."), estimator=estimator, policy=0.7)
    answer = model.invoke("?", {"callbacks": [watch]})
    assert watch.records == [get_confidence(answer)]
    strict = ConfidenceCallbackHandler(make_estimator(backend=backend), policy=0.99)
    model.model_copy(update={"inner": saying("I am sure.")}).invoke("?", {"callbacks": [strict]})
    expected = {**watch.records[0], "action": "abstain", "policy": "threshold 0.99"}
    assert strict.records == [expected]
    assert backend.calls == []


def test_the_answering_model_selects_the_calibrator(make_estimator: MakeEstimator) -> None:
    class Named(GenericFakeChatModel):
        def _get_ls_params(self, *args: Any, **kwargs: Any) -> Any:
            return {"ls_model_name": "small-1"}

    steep = {"kind": "platt", "params": {"a": 0.0, "b": 0.0}, "n": 10}
    watch = ConfidenceCallbackHandler(make_estimator(calibrators={"small-1": steep}))
    Named(messages=iter(["I am sure."])).invoke("?", {"callbacks": [watch]})
    (seen,) = watch.observations
    assert (seen.call.model, seen.p, seen.record["calibrated"]) == ("small-1", 0.5, True)


# --- what can go wrong ----------------------------------------------------------------------------


def test_a_model_that_fails_is_forgotten(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator)
    with pytest.raises(ConnectionError):
        Down(messages=iter([])).invoke("?", {"callbacks": [watch]})
    assert watch.observations == []
    assert watch._asked == {}


@pytest.mark.parametrize("generations", [[], [[]]])
def test_a_result_without_generations_is_no_observation(
    estimator: Estimator, generations: Any
) -> None:
    watch, run = ConfidenceCallbackHandler(estimator, raise_error=True), uuid4()
    watch.on_chat_model_start({}, [[HumanMessage("?")]], run_id=run)
    watch.on_llm_end(LLMResult(generations=generations), run_id=run)
    assert watch.observations == []
    assert watch._asked == {}


def test_content_that_is_not_text_is_listed_as_unsupported(estimator: Estimator) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    watch = ConfidenceCallbackHandler(estimator)
    saying("A cat.").invoke([HumanMessage([image])], {"callbacks": [watch]})
    (seen,) = watch.observations
    assert (seen.record["status"], seen.record["action"]) == ("unsupported", "pass")
    assert seen.question == "(not text)"


def test_an_estimator_that_fails_does_not_fail_the_run(make_estimator: MakeEstimator) -> None:
    watch = ConfidenceCallbackHandler(make_estimator(backend=Deaf()), policy=0.7)
    assert chain("4").invoke({"question": "?"}, {"callbacks": [watch]}) == "4"
    (record,) = watch.records
    assert (record["status"], record["error"]) == ("error", "the engine failed")


async def test_raise_error_turns_low_confidence_into_an_exception(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator, policy=0.7, raise_error=True)
    config = {"callbacks": [watch]}
    assert chain("I am sure.").invoke({"question": "?"}, config) == "I am sure."
    with pytest.raises(LowConfidenceError, match=r"0\.047 does not pass threshold 0\.7"):
        chain("unsure").invoke({"question": "?"}, config)
    with pytest.raises(LowConfidenceError):
        await chain("unsure").ainvoke({"question": "?"}, config)
    with pytest.raises(LowConfidenceError):
        list(chain("unsure").stream({"question": "?"}, config))
    assert [record["action"] for record in watch.records] == ["pass"] + ["abstain"] * 3


async def test_the_event_loop_stays_free_while_it_scores(make_estimator: MakeEstimator) -> None:
    import time

    class Slow(FakeBackend):
        def score(self, *args: Any, **kwargs: Any) -> Any:
            time.sleep(0.3)
            return super().score(*args, **kwargs)

    watch = ConfidenceCallbackHandler(make_estimator(backend=Slow()))
    run = asyncio.create_task(chain("4").ainvoke({"question": "?"}, {"callbacks": [watch]}))
    ticks = 0
    while not run.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 5
    assert len(watch.records) == 1


# --- where else it tells --------------------------------------------------------------------------


async def test_records_are_sent_as_custom_events(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator, events=True)
    events = [
        event
        async for event in chain("I am sure.").astream_events(
            {"question": "?"}, {"callbacks": [watch]}, version="v2"
        )
        if event["event"] == "on_custom_event"
    ]
    (event,) = events
    assert (event["name"], event["data"]) == ("ct_guard.confidence", watch.records[0])


def test_an_event_outside_of_any_run_is_left_out(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator, events=True, raise_error=True, policy="annotate")
    saying("I am sure.").invoke("?", {"callbacks": [watch]})
    assert len(watch.records) == 1


def test_observers_hear_of_every_answer_with_its_run_and_their_failure_fails_none(
    estimator: Estimator,
) -> None:
    heard: list[Judged] = []

    class Hears:
        def began(self, *_: object) -> None: ...

        ended = decided = began

        def judged(self, judged: Judged) -> None:
            heard.append(judged)

    class Fails(Hears):
        def judged(self, judged: Judged) -> None:
            raise ConnectionError("no network")

    watch = ConfidenceCallbackHandler(
        estimator, observers=[Fails(), Hears()], raise_error=True, policy="annotate"
    )
    assert saying("I am sure.").invoke("?", {"callbacks": [watch]}).text == "I am sure."
    (seen,), (told,) = watch.observations, heard
    assert (told.run_id, told.p, told.action) == (str(seen.call.run_id), seen.p, "pass")
    assert told.texts is not None
    assert told.texts() == ("?", "I am sure.")
    assert watch.guard.metrics()["observers"] == {"failed": 1}


# --- the context manager --------------------------------------------------------------------------


async def test_the_context_manager_watches_what_runs_inside_it_and_nothing_else(
    estimator: Estimator,
) -> None:
    with get_confidence_callback(estimator, policy=0.7) as watch:
        chain("I am sure.").invoke({"question": "?"})
        await chain("unsure").ainvoke({"question": "?"})
    chain("later").invoke({"question": "?"})
    assert [record["action"] for record in watch.records] == ["pass", "abstain"]


async def test_contexts_in_concurrent_tasks_do_not_mix(estimator: Estimator) -> None:
    async def one(answer: str) -> list[str]:
        with get_confidence_callback(estimator) as watch:
            await chain(answer).ainvoke({"question": "?"})
            await asyncio.sleep(0.01)
            await chain(answer).ainvoke({"question": "?"})
        return [seen.said for seen in watch.observations]

    said = await asyncio.gather(*(one(f"answer {n}") for n in range(5)))
    assert said == [[f"answer {n}"] * 2 for n in range(5)]


def test_many_contexts_register_one_hook(estimator: Estimator) -> None:
    from langchain_core.tracers import context

    before = len(context._configure_hooks)
    for _ in range(3):
        with get_confidence_callback(estimator):
            pass
    assert len(context._configure_hooks) == before


def test_an_error_inside_ends_the_watching(estimator: Estimator) -> None:
    with pytest.raises(KeyError), get_confidence_callback(estimator) as watch:
        raise KeyError
    chain("later").invoke({"question": "?"})
    assert watch.observations == []


# --- the report -----------------------------------------------------------------------------------


def test_the_report_counts_and_lists_the_lowest(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator, policy=0.7)
    assert watch.report() == "no answers were seen"
    for question, answer in [("one?", "sure"), ("two?", "unsure"), ("three?", "maybe"), ("4?", "")]:
        chain(answer).invoke({"question": question}, {"callbacks": [watch]})
    assert watch.report(lowest=2).splitlines() == [
        "answers     4, tool calls 0",
        "mean p      0.500",
        "actions     abstain 3, pass 1",
        "unmeasured  empty 1",
        "",
        "    p  action    question                                     answer",
        "0.047  abstain   two?                                         unsure",
        "0.500  abstain   three?                                       maybe",
    ]


def test_a_report_of_nothing_measured_and_of_long_texts_stays_a_table(
    make_estimator: MakeEstimator, estimator: Estimator
) -> None:
    deaf = ConfidenceCallbackHandler(make_estimator(backend=Deaf()))
    chain("4").invoke({"question": "?"}, {"callbacks": [deaf]})
    assert deaf.report().splitlines()[1:] == ["mean p      none", "actions     pass 1",
                                              "unmeasured  error 1"]  # fmt: skip
    watch = ConfidenceCallbackHandler(estimator)
    chain("sure " * 50).invoke({"question": "long\n" * 50}, {"callbacks": [watch]})
    assert all(len(line) <= 110 for line in watch.report().splitlines())


def test_the_report_counts_what_was_not_read_whole(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator)
    for answer in ("sure", "sure " * 2000, "sure " * 2000, "sure\u200b"):
        chain(answer).invoke({"question": "?"}, {"callbacks": [watch]})
    assert watch.report().splitlines()[3] == "not whole   truncated 2, sanitized 1"
