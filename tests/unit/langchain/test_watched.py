"""`monitor=` and `observers=` on every LangChain surface."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda

from ct_guard import Guard, Monitor, load_estimator
from ct_guard.certificates import Certificate, Sample
from ct_guard.errors import InputError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Judged
from ct_guard.guard.scores import LangSmith
from ct_guard.policies import Retry
from ct_guard.risk import binned
from ct_guard.store import BaseModelRef, Manifest, save_estimator
from ct_guard.testing import FakeBackend
from ct_guard_langchain import (
    ConfidenceCallbackHandler,
    ConfidenceGuard,
    ConfidenceMiddleware,
    GuardedChatModel,
    confidence_node,
    wrap,
)
from tests.known_confidence import by_word
from tests.recorder import langsmith, recorder

QUESTION = "What is there?"
CERTIFICATE = Certificate(
    alpha=0.1, delta=0.1, threshold=0.5, n=100, answered=80, errors=1,
    sample=Sample(scores=binned([0.9] * 100), statuses={"ok": 100}),
)  # fmt: skip


class Hears:
    """Writes down what was judged."""

    def __init__(self) -> None:
        self.heard: list[Judged] = []

    def began(self, *_: object) -> None: ...

    ended = decided = began

    def judged(self, judged: Judged) -> None:
        self.heard.append(judged)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Estimator, Monitor]]:
    manifest = Manifest(
        name="mine", method="zero-shot", base=BaseModelRef(id="fake"), style="chat_turn",
        certificates=(CERTIFICATE,),
    )  # fmt: skip
    save_estimator(tmp_path / "mine", manifest)
    monitor = Monitor(tmp_path / "mine")
    yield load_estimator(tmp_path / "mine", backend=FakeBackend(logit=by_word)), monitor
    monitor.close()


def saying(*texts: str) -> Any:
    return FakeListChatModel(responses=list(texts))


def of_model(estimator: Estimator, **options: Any) -> Any:
    return GuardedChatModel(
        inner=saying("I am sure"), estimator=estimator, policy=0.5, **options
    ).invoke(QUESTION)


def of_stream(estimator: Estimator, **options: Any) -> Any:
    model = GuardedChatModel(
        inner=saying("I am sure"), estimator=estimator, policy="annotate", **options
    )
    whole: Any = None
    for chunk in model.stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    return whole


def of_wrapped_model(estimator: Estimator, **options: Any) -> Any:
    return wrap(saying("I am sure"), estimator=estimator, policy=0.5, **options).invoke(QUESTION)


def of_agent(estimator: Estimator, **options: Any) -> Any:
    middleware = ConfidenceMiddleware(estimator, 0.5, **options)
    agent: Any = create_agent(saying("I am sure"), middleware=[middleware])
    return agent.invoke({"messages": [HumanMessage(QUESTION)]})["messages"][-1]


def of_callback(estimator: Estimator, **options: Any) -> Any:
    watch = ConfidenceCallbackHandler(estimator, 0.5, **options)
    return saying("I am sure").invoke(QUESTION, {"callbacks": [watch]})


def of_chain(estimator: Estimator, **options: Any) -> Any:
    chain = saying("I am sure") | StrOutputParser()
    wrap(chain, estimator=estimator, policy=0.5, **options).invoke(QUESTION)


def of_pairs(estimator: Estimator, **options: Any) -> Any:
    pair = {"input": QUESTION, "output": "I am sure"}
    ConfidenceGuard(estimator, 0.5, **options).invoke(pair)


def of_node(estimator: Estimator, **options: Any) -> Any:
    node = confidence_node(Guard(estimator, 0.5, **options))
    said = saying("I am sure").invoke(QUESTION)
    return node.invoke({"messages": [HumanMessage(QUESTION), said]})["messages"][-1]


WITH_MESSAGES = [of_model, of_stream, of_wrapped_model, of_agent, of_callback, of_node]
SURFACES = [*WITH_MESSAGES, of_chain, of_pairs]


@pytest.mark.parametrize("surface", SURFACES)
def test_observers_hear_once_of_what_each_surface_delivers(
    surface: Callable[..., Any], watched: tuple[Estimator, Monitor]
) -> None:
    hears = Hears()
    surface(watched[0], observers=[hears])
    (judged,) = hears.heard
    assert judged.p == pytest.approx(0.953, abs=1e-3)
    assert (judged.action, judged.name) == ("pass", "ct_guard.confidence")
    assert judged.texts is not None
    assert judged.texts() == (QUESTION, "I am sure")


@pytest.mark.parametrize("surface", SURFACES)
def test_a_monitor_sees_what_each_surface_judges(
    surface: Callable[..., Any], watched: tuple[Estimator, Monitor]
) -> None:
    estimator, monitor = watched
    surface(estimator, monitor=monitor)
    assert monitor.flush(10)
    assert monitor.counters["seen"] == 1


@pytest.mark.parametrize("surface", WITH_MESSAGES)
def test_an_outcome_finds_the_answer_by_the_id_of_its_message(
    surface: Callable[..., Any], watched: tuple[Estimator, Monitor]
) -> None:
    estimator, monitor = watched
    message = surface(estimator, monitor=monitor)
    monitor.record_outcome(message.id, correct=True)
    assert monitor.counters["outcomes"] == 1
    with pytest.raises(InputError):
        monitor.record_outcome("another", correct=True)


def test_answers_that_were_tried_and_discarded_have_ids_of_their_own(
    watched: tuple[Estimator, Monitor],
) -> None:
    estimator, monitor = watched
    hears, policy = Hears(), Retry(threshold=0.5)
    model = GuardedChatModel(
        inner=saying("unsure", "I am sure"), estimator=estimator, policy=policy,
        monitor=monitor, observers=[hears],
    )  # fmt: skip
    message = model.invoke(QUESTION)
    assert monitor.flush(10)
    assert monitor.counters["noted"] == 2
    assert message.id is not None
    monitor.record_outcome(message.id, correct=True)
    assert [judged.id for judged in hears.heard] == [message.id]


def test_wrapping_again_keeps_who_watches(watched: tuple[Estimator, Monitor]) -> None:
    estimator, monitor = watched
    hears = Hears()
    runnables: list[Any] = [saying("I am sure"), RunnableLambda(lambda _: "I am sure")]
    for runnable in runnables:
        once = wrap(runnable, estimator=estimator, monitor=monitor, observers=[hears])
        again: Any = wrap(once, policy=0.9)
        again.invoke(QUESTION)
    assert monitor.flush(10)
    assert monitor.counters["seen"] == 2
    assert len(hears.heard) == 2


@pytest.mark.parametrize("surface", [of_model, of_chain, of_agent])
def test_a_monitor_of_another_estimator_is_refused(
    surface: Callable[..., Any], watched: tuple[Estimator, Monitor], estimator: Estimator
) -> None:
    with pytest.raises(UsageError, match="this monitor is of mine"):
        surface(estimator, monitor=watched[1])


def test_feedback_lands_on_the_run_that_langsmith_traces(
    watched: tuple[Estimator, Monitor],
) -> None:
    from langchain_core.tracers.context import tracing_v2_enabled
    from langsmith import Client

    project = str(uuid4())

    with recorder(langsmith(project)) as server:
        client = Client(api_url=server.url, api_key="key", auto_batch_tracing=False)
        guard = ConfidenceGuard(watched[0], 0.5, observers=[LangSmith(client, project="mine")])
        chain = RunnableLambda(lambda asked: asked) | guard.wrap(saying("I am sure"))
        with tracing_v2_enabled(project_name="mine", client=client) as tracer:
            chain.invoke(QUESTION)
            tracer.wait_for_futures()
        assert guard.guard.observers.flush(10)
        (sent,) = server.to("POST", "/feedback")
        runs = {one.body["id"]: one.body for one in server.to("POST", "/runs")}
        client.close()
    assert runs[sent.body["run_id"]]["name"] == "GuardedChain"
    assert runs[sent.body["trace_id"]].get("parent_run_id") is None
    assert sent.body["session_id"] == project
    assert sent.body["score"] == pytest.approx(0.953, abs=1e-3)
