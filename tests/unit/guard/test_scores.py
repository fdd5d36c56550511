"""Scores in Langfuse and LangSmith: their own clients, over sockets."""

import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from ct_guard.errors import MissingExtraError
from ct_guard.guard import Guard, Judged
from ct_guard.guard.scores import Langfuse, LangSmith
from ct_guard.records import QuestionAnswer
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on
from tests.recorder import Asked, Recorder, langsmith, recorder

SURE = QuestionAnswer(id="order-17", question="the question", answer="I am sure")
EMPTY = QuestionAnswer(question="the question", answer="")
KEY = "sk-never-shown"
PROJECT = str(uuid4())


def guard(observer: Any) -> Guard:
    return Guard(estimator_on(FakeBackend(logit=by_word)), 0.5, observers=[observer])


def langfuse_api(asked: Asked) -> tuple[int, Any]:
    sent = asked.body if isinstance(asked.body, list) else asked.body.get("batch", [])
    return 207, {"accepted": len(sent), "rejected": 0, "errors": [], "successes": []}


# --- Langfuse -------------------------------------------------------------------------------------


@pytest.fixture
def langfuse_server() -> Iterator[Recorder]:
    with recorder(langfuse_api) as server:
        yield server


@pytest.fixture
def langfuse_client(langfuse_server: Recorder) -> Iterator[Any]:
    reason = "Langfuse is not installed: pip install langfuse"
    langfuse = pytest.importorskip("langfuse", reason=reason)
    from opentelemetry.sdk.trace import TracerProvider

    client = langfuse.Langfuse(
        public_key=f"pk-{uuid4()}",
        secret_key=KEY,
        base_url=langfuse_server.url,
        tracer_provider=TracerProvider(),
        flush_at=1,
    )
    yield client
    client.shutdown()


def scores_in(server: Recorder, client: Any) -> list[dict[str, Any]]:
    client.flush()
    found = []
    for one in server.to("POST", "/api/public/scores") + server.to("POST", "/api/public/ingestion"):
        sent = one.body
        if isinstance(sent, dict):
            sent = sent.get("scores", sent.get("batch", [sent]))
        found += [score.get("body", score) for score in sent]
    return found


def test_a_score_lands_on_the_observation_in_which_the_answer_was_judged(
    langfuse_client: Any, langfuse_server: Recorder
) -> None:
    judge = guard(Langfuse(langfuse_client))
    with langfuse_client.start_as_current_observation(name="call") as span:
        judge.assess_batch([SURE, EMPTY])
    assert judge.observers.flush(10)
    (score,) = scores_in(langfuse_server, langfuse_client)  # what is not measured has none
    assert score["name"] == "ct_guard.confidence"
    assert score["value"] == pytest.approx(0.953, abs=1e-3)
    assert score["dataType"] == "NUMERIC"
    assert (score["traceId"], score["observationId"]) == (span.trace_id, span.id)
    assert score["metadata"]["action"] == "pass"
    assert "I am sure" not in str(langfuse_server.asked[-1].body)
    assert "the question" not in str(score)


def test_without_a_trace_a_score_goes_to_the_session_or_nowhere(
    langfuse_client: Any, langfuse_server: Recorder
) -> None:
    for observer in (Langfuse(langfuse_client), Langfuse(langfuse_client, session="mine")):
        judge = guard(observer)
        judge.assess(SURE)
        assert judge.observers.flush(10)
    (score,) = scores_in(langfuse_server, langfuse_client)
    assert score["sessionId"] == "mine"


def test_texts_are_sent_only_where_they_are_asked_for(
    langfuse_client: Any, langfuse_server: Recorder
) -> None:
    judge = guard(Langfuse(langfuse_client, session="mine", texts=True))
    judge.assess(SURE)
    assert judge.observers.flush(10)
    (score,) = scores_in(langfuse_server, langfuse_client)
    assert score["metadata"]["question"] == "the question"
    assert score["metadata"]["answer"] == "I am sure"


# --- LangSmith ------------------------------------------------------------------------------------


@pytest.fixture
def langsmith_server() -> Iterator[Recorder]:
    with recorder(langsmith(PROJECT)) as server:
        yield server


@pytest.fixture
def langsmith_client(langsmith_server: Recorder) -> Iterator[Any]:
    library = pytest.importorskip("langsmith", reason="pip install langsmith")
    client = library.Client(api_url=langsmith_server.url, api_key=KEY, auto_batch_tracing=False)
    yield client
    client.close()


def test_feedback_lands_on_the_run_of_the_function_around_the_call(
    langsmith_client: Any, langsmith_server: Recorder
) -> None:
    from langsmith import traceable, tracing_context
    from langsmith.run_helpers import get_current_run_tree

    judge = guard(LangSmith(langsmith_client, project="mine"))
    runs: list[Any] = []

    @traceable(client=langsmith_client)
    def answering() -> str:
        runs.append(get_current_run_tree())
        return judge.assess(SURE).action

    with tracing_context(enabled=True, client=langsmith_client):
        assert answering() == "pass"
    assert judge.observers.flush(10)
    (sent,) = langsmith_server.to("POST", "/feedback")
    assert sent.body["run_id"] == str(runs[0].id)
    assert sent.body["trace_id"] == str(runs[0].trace_id)
    assert sent.body["session_id"] == PROJECT
    assert sent.body["key"] == "ct_guard.confidence"
    assert sent.body["score"] == pytest.approx(0.953, abs=1e-3)
    assert sent.body["value"] == "pass"
    assert "I am sure" not in str(sent.body)


def test_an_answer_outside_of_any_run_is_passed_over(
    langsmith_client: Any, langsmith_server: Recorder
) -> None:
    judge = guard(LangSmith(langsmith_client))
    judge.assess(SURE)
    assert judge.observers.flush(10)
    assert langsmith_server.to("POST", "/feedback") == []
    assert judge.metrics()["observers"] == {}


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_server_that_refuses_breaks_no_call_and_no_log_holds_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = pytest.importorskip("langsmith", reason="pip install langsmith")
    with (
        caplog.at_level(logging.DEBUG),
        recorder(lambda asked: (403, {"error": f"no such key as {KEY}"})) as server,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # LangSmith's own, on a thread of ours
        client = library.Client(api_url=server.url, api_key=KEY, auto_batch_tracing=False)
        judge = guard(LangSmith(client))
        judge.observers.judged(Judged(0.9, "pass", "0.5", run_id=str(uuid4())))
        assert judge.assess(SURE).action == "pass"
        assert judge.observers.flush(30)
        client.close()
    assert judge.metrics()["observers"] == {"failed": 1}
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("ct_guard")]
    assert len(ours) == 1
    assert KEY not in " ".join(ours)


@pytest.mark.parametrize(
    ("library", "made", "extra"),
    [("langfuse", Langfuse, "langfuse"), ("langsmith", LangSmith, "langsmith")],
)
def test_without_the_library_it_says_what_to_install(
    library: str, made: Any, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'ct-guard\[{extra}\]'"):
        made()
