"""What a guarded model or chain withholds is heard by nobody and kept nowhere, unless asked for."""

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.documents import Document
from langchain_core.globals import set_debug
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_core.tracers import context
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import StreamMode

from ct_guard.errors import BackendError, PolicyError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.policies import ToolGate
from ct_guard.testing import FakeBackend
from ct_guard_langchain import (
    ChatLocal,
    ConfidenceCallbackHandler,
    ConfidenceGuard,
    ConfidenceMiddleware,
    GuardedChatModel,
    get_confidence,
    get_confidence_callback,
    wrap,
)
from tests.confidences import record_of
from tests.known_confidence import by_word
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator

SECRET = "unsure secret"


class Chatty(BaseChatModel):
    """Tells its callbacks of its tokens also where it answers in one piece, as local models do."""

    reply: str = SECRET

    def _generate(
        self,
        messages: Any,
        stop: Any = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if run_manager is not None:
            run_manager.on_llm_new_token(self.reply)
        logprobs = {"content": [{"token": self.reply, "logprob": -0.1}]}
        generation = ChatGeneration(
            message=AIMessage(self.reply), generation_info={"logprobs": logprobs}
        )
        return ChatResult(generations=[generation], llm_output={"model_name": "chatty"})

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=self.reply))

    @property
    def _llm_type(self) -> str:
        return "chatty"


class Hears(RunCollectorCallbackHandler):
    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> Any:  # type: ignore[override]
        self.tokens.append(token)
        return super().on_llm_new_token(token, **kwargs)

    @property
    def heard(self) -> str:
        def outputs(run: Any) -> list[Any]:
            return [run.outputs, run.events, *map(outputs, run.child_runs)]

        return repr([self.tokens, *map(outputs, self.traced_runs)])


def surfaces(estimator: Any) -> dict[str, Any]:
    guard = ConfidenceGuard(estimator, 0.7)
    return {
        "model": GuardedChatModel(inner=Chatty(), estimator=estimator, policy=0.7),
        "chain": guard.wrap(Chatty() | StrOutputParser()),
        "chain of a model": guard.wrap(Chatty()),
        "agent as a chain": guard.wrap(create_agent(Chatty(), [])),
        "chain of a chain": RunnableLambda(lambda v: v) | guard.wrap(Chatty() | StrOutputParser()),
    }


SURFACES = pytest.mark.parametrize(
    "surface", ["model", "chain", "chain of a model", "agent as a chain", "chain of a chain"]
)


async def answered(asked: Any, way: str, given: Any, config: Any) -> Any:
    match way:
        case "ainvoke":
            return await asked.ainvoke(given, config)
        case "stream":
            return list(asked.stream(given, config))
        case "astream":
            return [part async for part in asked.astream(given, config)]
        case "batch":
            return asked.batch([given], config)
    return asked.invoke(given, config)


def given(surface: str) -> Any:
    return {"messages": [HumanMessage("?")]} if surface == "agent as a chain" else "?"


@SURFACES
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "batch"])
async def test_no_callback_or_tracer_hears_of_it(
    estimator: Estimator, surface: str, way: str
) -> None:
    asked, hears = surfaces(estimator)[surface], Hears()
    config: Any = {"callbacks": [hears]}
    said = await answered(asked, way, given(surface), config)
    assert "I don't know." in repr(said)
    assert "secret" not in repr(said)
    assert hears.traced_runs
    assert "secret" not in hears.heard


def own_of_the_model(own: Hears) -> Any:
    return Chatty(callbacks=[own]) | StrOutputParser()


def bound_to_the_model(own: Hears) -> Any:
    return Chatty().with_config(callbacks=[own]).with_retry() | StrOutputParser()


def bound_to_the_chain(own: Hears) -> Any:
    return (Chatty() | StrOutputParser()).with_config(callbacks=[own])


def inside_a_branch(own: Hears) -> Any:
    return RunnableParallel(answer=Chatty(callbacks=[own]), question=lambda _: "?")


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "batch"])
@pytest.mark.parametrize(
    "chain", [own_of_the_model, bound_to_the_model, bound_to_the_chain, inside_a_branch]
)
@pytest.mark.parametrize(("threshold", "told"), [(0.7, False), (0.01, True)])
async def test_a_chains_own_callbacks_hear_what_is_delivered(
    estimator: Estimator, chain: Any, way: str, threshold: float, told: bool
) -> None:
    own, around = Hears(), Hears()
    asked = ConfidenceGuard(estimator, threshold).wrap(chain(own))
    said = await answered(asked, way, "?", {"callbacks": [around]})
    assert ("secret" in repr(said)) == told
    assert len(own.traced_runs) == 1
    assert ("secret" in own.heard) == told
    assert "heard_by" not in repr([run.metadata for run in around.traced_runs[0].child_runs])


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")
def test_a_history_inside_a_chain_that_may_be_withheld_is_refused(estimator: Estimator) -> None:
    from langchain_core.chat_history import InMemoryChatMessageHistory
    from langchain_core.runnables.history import RunnableWithMessageHistory

    kept = InMemoryChatMessageHistory()
    inside = RunnableWithMessageHistory(Chatty(), lambda session_id: kept)
    config: Any = {"configurable": {"session_id": "1"}}
    listening = (Chatty() | StrOutputParser()).with_listeners(on_end=lambda run: None)
    for chain in (inside | StrOutputParser(), listening):
        with pytest.raises(UsageError, match=r"put it around guard\.wrap"):
            ConfidenceGuard(estimator, 0.7).wrap(chain).invoke("?", config)
    assert kept.messages == []
    ConfidenceGuard(estimator, "annotate").wrap(inside).invoke("?", config)
    assert len(kept.messages) == 2


@pytest.fixture
def debugging() -> Iterator[None]:
    set_debug(True)
    yield
    set_debug(False)


@SURFACES
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.usefixtures("debugging")
async def test_no_console_of_langchains_tells_of_it(
    estimator: Estimator, surface: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = surfaces(estimator)[surface]
    for told in (asked, Chatty(reply="what is heard")):
        if way == "invoke":
            told.invoke(given(surface) if told is asked else "?")
        else:
            await told.ainvoke(given(surface) if told is asked else "?")
    said = capsys.readouterr().out
    assert "what is heard" in said
    assert "secret" not in said


@SURFACES
def test_no_tracer_that_the_environment_sets_hears_of_it(
    estimator: Estimator, surface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Hears] = []

    class Traces(Hears):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    hook: Any = (ContextVar("traces", default=None), True, Traces, "TRACES_WHAT_RUNS")
    context._configure_hooks.append(hook)
    monkeypatch.setenv("TRACES_WHAT_RUNS", "true")
    try:
        surfaces(estimator)[surface].invoke(given(surface))
    finally:
        context._configure_hooks.remove(hook)
    assert made
    assert "secret" not in repr([each.heard for each in made])


@SURFACES
async def test_no_event_tells_of_it(estimator: Estimator, surface: str) -> None:
    asked = surfaces(estimator)[surface]
    events = [each async for each in asked.astream_events(given(surface), version="v2")]
    assert "secret" not in repr([each["data"] for each in events])


@SURFACES
async def test_no_stream_of_a_graph_around_tells_of_it(estimator: Estimator, surface: str) -> None:
    asked = surfaces(estimator)[surface]

    def node(state: Any, config: RunnableConfig) -> Any:
        said = asked.invoke({"messages": state["messages"]} if "agent" in surface else "?", config)
        return {"messages": [AIMessage(repr(get_confidence(said)))]}

    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    modes: list[StreamMode] = ["messages", "updates", "values", "debug", "tasks", "custom"]
    for mode in modes:
        state: Any = {"messages": [HumanMessage("?")]}
        parts = list(graph.compile().stream(state, stream_mode=mode, subgraphs=True))
        assert "secret" not in repr(parts)


async def test_a_watcher_around_hears_of_the_decision_and_not_of_the_answer(
    estimator: Estimator,
) -> None:
    with get_confidence_callback(estimator, 0.7) as watch:
        surfaces(estimator)["chain"].invoke("?")
        await surfaces(estimator)["chain"].ainvoke("?")
    assert [record["action"] for record in watch.records] == ["abstain", "abstain"]
    assert "secret" not in watch.report()


def test_what_passes_is_told_of_as_it_was(make_estimator: MakeEstimator) -> None:
    hears = Hears()
    guarded = ConfidenceGuard(make_estimator(), 0.7).wrap(Chatty(reply="sure") | StrOutputParser())
    assert guarded.invoke("?", {"callbacks": [hears]})["output"] == "sure"
    (run,) = hears.traced_runs
    (told,) = run.child_runs
    assert (run.name, run.metadata["ct_guard_action"]) == ("GuardedChain", "pass")
    assert told.outputs is not None
    assert told.outputs["generations"][0][0]["text"] == "sure"


def test_streams_that_are_not_to_be_held_are_heard_at_once(estimator: Estimator) -> None:
    hears = Hears()
    guard = ConfidenceGuard(estimator, 0.7, hold_stream=False)
    parts = list(guard.wrap(Chatty() | StrOutputParser()).stream("?", {"callbacks": [hears]}))
    assert hears.tokens == [SECRET, ""]
    assert record_of(parts[-1])["action"] == "abstain"


def test_a_run_tells_whose_answer_it_is_and_how_sure(estimator: Estimator) -> None:
    hears = Hears()
    large = RuleChatModel(reply="sure", model_name="large")
    model = GuardedChatModel(inner=Chatty(), estimator=estimator, policy=0.7, models=[large])
    model.invoke("?", {"callbacks": [hears]})
    (run,) = hears.traced_runs
    assert run.metadata["ct_guard_p"] == pytest.approx(0.953, abs=1e-3)
    assert run.outputs is not None
    assert run.outputs["generations"][0][0]["message"]["kwargs"]["response_metadata"][
        "model_name"
    ] == run.metadata.get("ls_model_name", "large")


# --- what is kept ---------------------------------------------------------------------------------


def test_what_is_kept_is_what_was_asked_for(estimator: Estimator) -> None:
    def original(**options: Any) -> Any:
        model = GuardedChatModel(inner=Chatty(), estimator=estimator, policy=0.7, **options)
        return record_of(model.invoke("?"))["original"]

    assert original() is None
    assert original(keep_original=True) == SECRET
    assert original(keep_original=True, redact=str.upper) == SECRET.upper()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (lambda record: f"p is {record['p']:.2f}", "p is 0.05"),
        (lambda record, messages: f"No answer to {messages[-1].text}", "No answer to ?"),
        (lambda: "Nothing.", "Nothing."),
    ],
)
def test_the_abstain_message_may_depend_on_the_record_and_the_conversation(
    estimator: Estimator, message: Any, said: str
) -> None:
    options: Any = {"policy": 0.7, "abstain_message": message}
    model = GuardedChatModel(inner=Chatty(), estimator=estimator, **options)
    assert model.invoke("?").text == said
    guard = ConfidenceGuard(estimator, **options)
    assert guard.invoke({"input": "?", "output": SECRET})["output"] == said


def test_an_abstain_message_that_is_none_is_refused(estimator: Estimator) -> None:
    with pytest.raises(UsageError, match="a text or a function that returns one, not 7"):
        ConfidenceGuard(estimator, abstain_message=7)  # type: ignore[arg-type]
    seven: Any = lambda record: 7  # noqa: E731
    model = GuardedChatModel(inner=Chatty(), estimator=estimator, policy=0.7, abstain_message=seven)
    with pytest.raises(UsageError, match="its function gave a int"):
        model.invoke("?")


async def test_a_passing_fault_is_not_cached_with_its_answer(make_estimator: MakeEstimator) -> None:
    class Flaky(FakeBackend):
        fails = True

        def score(self, *args: Any, **kwargs: Any) -> Any:
            if self.fails:
                raise BackendError("out of memory")
            return super().score(*args, **kwargs)

    for way in ("invoke", "ainvoke"):
        backend, inner = Flaky(logit=by_word), RuleChatModel(reply="sure", cache=InMemoryCache())
        model = GuardedChatModel(inner=inner, estimator=make_estimator(backend=backend), policy=0.7)

        async def ask(way: str = way, model: Any = model) -> tuple[str, str]:
            said = model.invoke("?") if way == "invoke" else await model.ainvoke("?")
            return said.text, record_of(said)["status"]

        assert await ask() == ("I don't know.", "error")
        backend.fails = False
        assert [await ask(), await ask()] == [("sure", "ok")] * 2
        assert len(inner.asked) == 2


def replacing(mark: str) -> Any:
    return lambda text: mark


@pytest.mark.parametrize(
    "marks",
    [
        (lambda text: "one", lambda text: "two"),
        (replacing("one"), replacing("two")),
        ("{} one".format, "{} two".format),
    ],
    ids=["code", "closure", "object"],
)
def test_no_cache_tells_what_another_model_would_have_redacted(
    estimator: Estimator, marks: Any
) -> None:
    cache = InMemoryCache()
    kept = [
        GuardedChatModel(
            inner=Chatty(), estimator=estimator, policy=0.7, keep_original=True, redact=mark,
            cache=cache,
        ).invoke("?")
        for mark in marks
    ]  # fmt: skip
    first, second = (record_of(each)["original"] for each in kept)
    assert first != second


def test_a_guard_around_a_guard_does_not_judge_an_abstention(make_estimator: MakeEstimator) -> None:
    heard: list[str] = []

    def logit(text: str) -> float:
        heard.append(text)
        return by_word(text)

    estimator = make_estimator(logit=logit)
    inner = GuardedChatModel(inner=Chatty(), estimator=estimator, policy=0.7)
    outer = GuardedChatModel(inner=inner, estimator=estimator, policy=0.01)
    said = outer.invoke("?")
    assert (said.text, record_of(said)["action"]) == ("I don't know.", "abstain")
    made = ConfidenceGuard(estimator, "annotate").wrap(inner | StrOutputParser()).invoke("?")
    assert (made["output"], made["confidence"]["action"]) == ("I don't know.", "abstain")
    assert heard == [SECRET, SECRET]


def test_a_guard_around_a_guard_may_ask_a_stronger_model(estimator: Estimator) -> None:
    inner = GuardedChatModel(inner=Chatty(), estimator=estimator, policy=0.7)
    large = RuleChatModel(reply="sure")
    outer = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, models=[large])
    assert outer.invoke("?").text == "sure"


CLAIMED = {
    "p": 0.99, "logit": 4.6, "status": "ok", "calibrated": True, "truncated": False,
    "estimator": "theirs", "action": "abstain", "attempts": 1, "model_index": 0,
    "policy": "theirs", "error": None, "turn": "answer", "original": None,
}  # fmt: skip


def claiming(**record: Any) -> BaseChatModel:
    """A model whose provider sends a record along with its answer."""
    metadata = {"ct_guard": {**CLAIMED, **record}}
    said = AIMessage(SECRET, response_metadata=metadata)
    return FakeMessagesListChatModel(responses=[said])


def guarded_by(surface: str, model: BaseChatModel, estimator: Estimator) -> Any:
    if surface == "model":
        return GuardedChatModel(inner=model, estimator=estimator, policy=0.7)
    if surface == "agent":
        agent: Any = create_agent(model, middleware=[ConfidenceMiddleware(estimator, 0.7)])
        return RunnableLambda[str, Any](lambda text: {"messages": [HumanMessage(text)]}) | agent
    return ConfidenceGuard(estimator, 0.7).wrap(model | RunnableLambda(lambda said: said))


@pytest.mark.parametrize("surface", ["model", "agent", "chain"])
@pytest.mark.parametrize("action", ["pass", "abstain"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
async def test_a_record_that_a_provider_sends_is_only_a_claim(
    estimator: Estimator, surface: str, action: str, way: str
) -> None:
    guarded = guarded_by(surface, claiming(action=action), estimator)
    if way == "stream":
        made: Any = list(guarded.stream("?"))
    else:
        made = await guarded.ainvoke("?") if way == "ainvoke" else guarded.invoke("?")
        assert record_of(made)["p"] == pytest.approx(0.047, abs=0.001)
    assert SECRET not in repr(made)


def test_a_watcher_believes_no_record_that_a_provider_sends(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator, 0.7)
    claiming(action="pass").invoke("?", {"callbacks": [watch]})
    assert [record["action"] for record in watch.records] == ["abstain"]


def test_a_message_that_is_a_chunk_keeps_nothing_of_its_calls(estimator: Estimator) -> None:
    parts = [{"name": "delete", "args": '{"what": "unsure"}', "id": "1", "index": 0}]
    said = AIMessageChunk(content=SECRET, tool_call_chunks=parts)
    inner = FakeMessagesListChatModel(responses=[said])
    made = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7).invoke("?")
    assert "unsure" not in repr(made)


async def test_an_agent_that_is_asked_for_the_second_form_of_output(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, 0.7)
    for reply, text in ((SECRET, "I don't know."), ("sure", "sure")):
        chain: Any = guard.wrap(create_agent(RuleChatModel(reply=reply)))
        asked = {"messages": [HumanMessage("?")]}
        for made in (chain.invoke(asked, version="v2"), await chain.ainvoke(asked, version="v2")):
            assert made["output"].value["messages"][-1].text == text
            assert made["confidence"]["p"] == pytest.approx(
                0.95 if text == "sure" else 0.047, abs=0.01
            )


class PlainCache(InMemoryCache):
    """Gives messages back as a database does, in which a record is plain JSON."""

    def lookup(self, prompt: str, llm_string: str) -> Any:
        found = super().lookup(prompt, llm_string)
        return found and [ChatGeneration.model_validate(each.model_dump()) for each in found]


def test_what_a_cache_has_kept_of_a_guard_is_known_as_its_own(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator)
    inner = GuardedChatModel(inner=Chatty(), estimator=estimator, policy=0.7, cache=PlainCache())
    outer = GuardedChatModel(inner=inner, estimator=estimator, policy="annotate")
    said = [outer.invoke("?", {"callbacks": [watch]}) for _ in range(2)]
    assert [each.text for each in said] == ["I don't know."] * 2
    assert [record_of(each)["status"] for each in said] == ["ok"] * 2
    assert [record["p"] for record in watch.records] == [record_of(said[0])["p"]] * 2


def test_what_was_streamed_under_a_guard_is_judged_by_the_one_around(estimator: Estimator) -> None:
    inner = GuardedChatModel(
        inner=RuleChatModel(reply=SECRET), estimator=estimator, policy=0.7, hold_stream=False
    )
    outer = ConfidenceGuard(estimator, 0.7, hold_stream=True).wrap(inner | StrOutputParser())
    assert SECRET not in repr(list(outer.stream("?")))


# --- what a surface is told -----------------------------------------------------------------------


def test_no_option_is_swallowed(estimator: Estimator) -> None:
    with pytest.raises(UsageError, match="no option 'threshold': give policy"):
        GuardedChatModel(inner=Chatty(), estimator=estimator, threshold=0.99)
    with pytest.raises(UsageError, match="no option 'estimators': did you mean 'estimator'"):
        GuardedChatModel(inner=Chatty(), estimators=estimator)
    with pytest.raises(UsageError, match="leave `on_error` out"):
        ChatLocal(estimator=Guard("mini"), on_error="raise")
    with pytest.raises(UsageError, match="ChatLocal has no option 'treshold': give policy"):
        ChatLocal(estimator="mini", treshold=0.9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GuardedChatModel(inner=Chatty()),
        ChatLocal,
        ConfidenceGuard,
        ConfidenceCallbackHandler,
        lambda: wrap(Chatty()),
        lambda: wrap(Chatty() | StrOutputParser()),
    ],
)
def test_an_estimator_is_never_guessed(make: Any) -> None:
    with pytest.raises(UsageError, match="needs an estimator: give the directory or hub name"):
        make()


GATE = ToolGate(thresholds={"be_sure": 0.9})


def be_sure(about: str) -> str:
    """Be sure of something."""
    return about


@pytest.mark.parametrize(("about", "kept"), [("a sure thing", 1), ("unsure", 0)])
async def test_a_gate_holds_on_every_surface(estimator: Estimator, about: str, kept: int) -> None:
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=GATE)
    bound = model.bind_tools([be_sure], tool_choice="any")
    said = [bound.invoke(about), await bound.ainvoke(about), *bound.batch([about])]
    chunks = list(bound.stream(about))
    assert sum(len(chunk.tool_calls) for chunk in chunks) == kept
    bare = RuleChatModel().bind_tools([be_sure], tool_choice="any")
    said.append(ConfidenceGuard(estimator, GATE).wrap(bare).invoke(about)["output"])
    assert [len(each.tool_calls) for each in said] == [kept] * 4
    watch = ConfidenceCallbackHandler(estimator, GATE)
    bare.invoke(about, {"callbacks": [watch]})
    assert watch.records[0]["action"] == ("pass" if kept else "abstain")


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "batch"])
@pytest.mark.parametrize("by", ["guard", "call"])
async def test_a_gate_that_nobody_asks_of_a_tool_inside_a_chain_stops_it(
    estimator: Estimator, way: str, by: str
) -> None:
    ran: list[str] = []

    @tool
    def be_sure(about: str) -> str:
        """Be sure of something."""
        ran.append(about)
        return about

    model = RuleChatModel().bind_tools([be_sure], tool_choice="any")
    chain = model | RunnableLambda(lambda said: be_sure.invoke(said.tool_calls[0]).text)
    asked = ConfidenceGuard(estimator, GATE if by == "guard" else "annotate").wrap(chain)
    config: Any = {"configurable": {"ct_guard_policy": GATE} if by == "call" else {}}
    with pytest.raises(PolicyError, match="cannot keep 'be_sure' from running"):
        await answered(asked, way, "unsure", config)
    assert ran == []
    ungated = {"kind": "tools", "thresholds": {"another": 0.9}}
    assert ConfidenceGuard(estimator, ungated).wrap(chain).invoke("unsure")["output"] == "unsure"


@pytest.mark.parametrize(("about", "result"), [("a sure thing", "done"), ("unsure", "not run")])
def test_a_gate_that_a_middleware_inside_a_chain_asks_is_in_force(
    estimator: Estimator, about: str, result: str
) -> None:
    @tool
    def be_sure(about: str) -> str:
        """Be sure of something."""
        return "done"

    calls = AIMessage("", tool_calls=[{"name": "be_sure", "args": {"about": about}, "id": "1"}])
    inner = FakeMessagesListChatModel(responses=[calls, AIMessage("sure")])
    object.__setattr__(inner, "bind_tools", lambda tools, **kwargs: inner)
    agent = create_agent(inner, [be_sure], middleware=[ConfidenceMiddleware(estimator, GATE)])
    asked = ConfidenceGuard(estimator, GATE).wrap(agent)
    assert result in asked.invoke({"messages": [HumanMessage("?")]})["output"]["messages"][2].text


def test_a_gate_that_a_surface_cannot_keep_is_refused(estimator: Estimator) -> None:
    asks = GATE.model_copy(update={"below": "human"})
    with pytest.raises(UsageError, match="cannot wait for a person before a call of a tool"):
        GuardedChatModel(inner=Chatty(), estimator=estimator, policy=asks)
    with pytest.raises(UsageError, match="ChatLocal calls no tools"):
        ChatLocal(estimator="mini", policy=GATE)
    model = GuardedChatModel(
        inner=RuleChatModel(), estimator=estimator, policy=ToolGate(thresholds={"be_sur": 0.9})
    )
    with pytest.raises(UsageError, match="did you mean 'be_sure'"):
        model.bind_tools([be_sure])


async def test_a_call_can_set_its_policy_on_every_surface(estimator: Estimator) -> None:
    config: Any = {"configurable": {"ct_guard_policy": 0.9}}
    model = GuardedChatModel(inner=RuleChatModel(reply="?"), estimator=estimator, policy=0.3)
    assert model.invoke("?").text == "?"
    said = [
        model.invoke("?", config).text,
        (await model.ainvoke("?", config)).text,
        "".join(chunk.text for chunk in model.stream("?", config)),
        "".join([chunk.text async for chunk in model.astream("?", config)]),
        model.with_config(config).invoke("?").text,
        model.batch(["?"], config)[0].text,
        (model | StrOutputParser()).invoke("?", config),
    ]
    assert said == ["I don't know."] * 7
    events = [each async for each in model.astream_events("?", config, version="v2")]
    assert "?" not in [e["data"]["chunk"].text for e in events if "stream" in e["event"]]
    local = ChatLocal(estimator="mini")
    assert local.invoke("What is 7 plus 5?").text != "I don't know."
    sure: Any = {"configurable": {"ct_guard_policy": 0.9999}}
    assert local.invoke("What is 7 plus 5?", sure).text == "I don't know."
    watch = ConfidenceCallbackHandler(estimator, 0.3)
    chain = RuleChatModel(reply="?") | StrOutputParser()
    watched: Any = {"callbacks": [watch], **config}
    chain.invoke("?", watched)
    assert watch.records[0]["action"] == "abstain"


@pytest.mark.parametrize("name", ["ct_guard_polcy", "ct_guard_threshold", "ct-guard-policy"])
async def test_a_policy_under_a_name_that_is_not_ours_is_never_ignored(
    estimator: Estimator, name: str
) -> None:
    config: Any = {"configurable": {name: 0.9}}
    guard = ConfidenceGuard(estimator, 0.3)
    surfaces: list[Any] = [
        GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=0.3),
        guard.wrap(RuleChatModel()),
        guard,
    ]
    for surface in surfaces:
        given: Any = {"input": "?", "output": "sure"} if surface is guard else "?"
        with pytest.raises(UsageError, match=f"'{name}', which is nothing here: .*ct_guard_policy"):
            surface.invoke(given, config)
        with pytest.raises(UsageError, match="which is nothing here"):
            await surface.ainvoke(given, config)


# --- what providers tell --------------------------------------------------------------------------


async def test_log_probabilities_beside_a_message_are_read_and_go_with_a_withheld_answer(
    make_estimator: MakeEstimator,
) -> None:
    """OpenAI's integration puts them in `generation_info`, and who answered in `llm_output`."""
    for reply, seen in (("sure", "unused"), (SECRET, "unused")):
        model = GuardedChatModel(inner=Chatty(reply=reply), estimator=make_estimator(), policy=0.7)
        chunks = list(model.stream("?"))
        for said in (model.invoke("?"), await model.ainvoke("?"), sum(chunks[1:], chunks[0])):
            assert record_of(said)["provider_logprobs"] == seen
            assert said.response_metadata["model_name"] == "chatty"
            assert ("logprobs" in said.response_metadata) is (reply == "sure")


# --- retrieval ------------------------------------------------------------------------------------


def rag(**extra: Any) -> Any:
    read = [Document("Ada is a pilot."), Document("Ada flies.")]
    return RunnableLambda(lambda v: {"question": v, "context": read, **extra})


def test_the_answer_of_a_dict_is_replaced_and_all_else_stays(estimator: Estimator) -> None:
    made = ConfidenceGuard(estimator, 0.7).wrap(rag(answer="unsure")).invoke("Who?")
    assert made["output"]["answer"] == "I don't know."
    assert made["output"]["question"] == "Who?"
    assert len(made["output"]["context"]) == 2


def test_answer_and_passages_are_where_the_caller_says(make_estimator: MakeEstimator) -> None:
    heard: list[tuple[str, str]] = []

    class Listening(FakeBackend):
        def score(self, items: Any, *args: Any, **kwargs: Any) -> Any:
            heard.extend(
                (self.encoder.decode(item.context), self.encoder.decode(item.answer))
                for item in items
            )
            return super().score(items, *args, **kwargs)

    guard = ConfidenceGuard(make_estimator(backend=Listening(logit=by_word)), 0.7)
    chain = rag(reply="sure", answer="a note")
    for selectors in (
        {"answer": "reply", "context": "context"},
        {"answer": lambda out: out["reply"], "context": lambda out: out["context"]},
    ):
        guard.wrap(chain, **selectors).invoke("Who?")
        wrap(chain, estimator=guard.guard.estimator, policy=0.7, **selectors).invoke("Who?")
    read = "Ada is a pilot.\n\nAda flies.\n\nWho?"
    assert len(heard) == 4
    assert all(read in context and answer == "sure" for context, answer in heard)


def test_pairs_keep_their_context(make_estimator: MakeEstimator) -> None:
    heard: list[str] = []

    class Listening(FakeBackend):
        def score(self, items: Any, *args: Any, **kwargs: Any) -> Any:
            heard.extend(self.encoder.decode(item.context) for item in items)
            return super().score(items, *args, **kwargs)

    guard = ConfidenceGuard(make_estimator(backend=Listening(logit=by_word)), 0.7)
    guard.batch(
        [
            {"input": "Who?", "context": "Ada is a pilot.", "output": "sure"},
            {"input": "Who?", "context": [Document("Ada is a pilot.")], "output": "sure"},
            {"input": {"question": "Who?", "context": "Ada is a pilot."}, "output": "sure"},
        ]
    )
    assert len(heard) == 3
    assert all("Ada is a pilot.\n\nWho?" in context for context in heard)


def test_a_dict_without_a_known_answer_says_what_to_name(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, 0.7)
    with pytest.raises(UsageError, match=r"name it, as in guard.wrap\(chain, answer='reply'\)"):
        guard.wrap(rag(said="sure")).invoke("Who?")
    with pytest.raises(UsageError, match="no answer is under 'reply': the chain's output has"):
        guard.wrap(rag(said="sure"), answer="reply").invoke("Who?")
    with pytest.raises(UsageError, match="no passages are under 'docs'"):
        guard.wrap(rag(answer="sure"), context="docs").invoke("Who?")


@pytest.mark.parametrize(
    "output",
    [
        {"input": "?", "output": "unsure"},
        {"question": "?", "text": "unsure"},
        {"query": "?", "result": "unsure"},
        {"answer": "unsure"},
    ],
)
def test_dicts_that_chains_are_known_to_answer_with(
    estimator: Estimator, output: dict[str, Any]
) -> None:
    made = ConfidenceGuard(estimator, 0.7).wrap(RunnableLambda(lambda v: output)).invoke("?")
    key = next(key for key, value in output.items() if value == "unsure")
    assert made["output"] == {**output, key: "I don't know."}
    assert made["confidence"]["p"] == pytest.approx(0.047, abs=1e-3)


@pytest.mark.parametrize(
    ("said", "replaced"),
    [
        ({"type": "ai", "content": "unsure"}, {"type": "ai", "content": "I don't know."}),
        (
            {"role": "assistant", "content": "unsure", "tool_calls": None},
            {"role": "assistant", "content": "I don't know."},
        ),
        (("ai", "unsure"), ("ai", "I don't know.")),
    ],
)
def test_messages_as_plain_json_are_messages(
    estimator: Estimator, said: Any, replaced: Any
) -> None:
    state = {"messages": [("user", "?"), said], "notes": "kept"}
    if isinstance(said, dict):
        said.pop("tool_calls", None)
    made = ConfidenceGuard(estimator, 0.7).wrap(RunnableLambda(lambda v: state)).invoke("?")
    assert made["output"] == {"messages": [("user", "?"), replaced], "notes": "kept"}
    made = ConfidenceGuard(estimator, "annotate").wrap(RunnableLambda(lambda v: state)).invoke("?")
    assert made["output"] == state


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_guards_and_guarded_chains_can_be_tools(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, 0.7)
    judge = guard.as_tool(name="judge", description="Judge an answer.")
    assert judge.invoke({"input": "?", "output": "unsure"})["output"] == "I don't know."
    answering = RunnableLambda[str, str](lambda v: "sure").with_types(input_type=str)
    chain = guard.wrap(answering).as_tool(name="ask", description="Ask.")
    assert chain.invoke("?")["output"] == "sure"
    assert "confidence" in repr(guard.get_output_jsonschema())


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")
@SURFACES
def test_no_history_around_keeps_it(estimator: Estimator, surface: str) -> None:
    from langchain_core.chat_history import InMemoryChatMessageHistory
    from langchain_core.runnables.history import RunnableWithMessageHistory

    if surface == "agent as a chain":
        pytest.skip("an agent keeps its own history, in its state")
    kept = InMemoryChatMessageHistory()
    asked = RunnableLambda(lambda messages: messages[-1].text) | surfaces(estimator)[surface]
    if surface != "model":
        asked = asked.pick("output")
    remembering = RunnableWithMessageHistory(asked, lambda session_id: kept)
    remembering.invoke([HumanMessage("?")], {"configurable": {"session_id": "1"}})
    assert [message.text for message in kept.messages] == ["?", "I don't know."]
    assert "secret" not in repr(kept.messages)


async def test_many_held_runs_at_once_keep_to_themselves(estimator: Estimator) -> None:
    guarded = ConfidenceGuard(estimator, 0.7).wrap(
        FakeListChatModel(responses=["sure"]) | StrOutputParser()
    )
    hears = [Hears() for _ in range(20)]
    await asyncio.gather(*(guarded.ainvoke("?", {"callbacks": [each]}) for each in hears))
    assert [len(each.traced_runs[0].child_runs) for each in hears] == [1] * 20
