"""What a guard counts of its calls, and tells those who listen."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ct_guard.errors import MissingExtraError
from ct_guard.guard import Guard, Judged
from ct_guard.guard.observing import Call
from ct_guard.guard.telemetry import OpenTelemetry
from ct_guard.records import Decision, QuestionAnswer
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on

SURE = QuestionAnswer(question="q", answer="sure")
EMPTY = QuestionAnswer(question="q", answer="")


class Broken(FakeBackend):
    def score(self, *arguments: Any) -> Any:
        raise MemoryError("no more")


class Heard:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.running = 0
        self.decisions: list[str] = []
        self.answers: list[Judged] = []

    def began(self, call: Call) -> None:
        self.running += 1

    def ended(self, call: Call) -> None:
        self.running -= 1
        self.calls.append(call)

    def decided(self, decision: Decision) -> None:
        self.decisions.append(decision.action)

    def judged(self, judged: Judged) -> Callable[[], object]:
        return lambda: self.answers.append(judged)


def guard(backend: FakeBackend, **options: Any) -> Guard:
    return Guard(estimator_on(backend), 0.5, **options)


def test_calls_answers_statuses_and_actions_are_counted() -> None:
    made = guard(FakeBackend(logit=by_word))
    made.assess_batch([SURE, EMPTY])
    asyncio.run(made.aassess(SURE))
    made.score([])
    told = made.metrics()
    assert (told["calls"], told["answers"], told["running"], told["waiting"]) == (2, 3, 0, 0)
    assert told["statuses"] == {"ok": 2, "empty": 1}
    assert told["actions"] == {"pass": 2, "abstain": 1}
    assert told["errors"] == {}
    assert told["seconds"]["count"] == told["seconds"]["buckets"]["inf"] == 2
    assert list(told["seconds"]["buckets"].values()) == sorted(told["seconds"]["buckets"].values())
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("on_error", ["block", "raise"])
def test_errors_are_counted_by_kind_whether_raised_or_not(on_error: Any) -> None:
    made = guard(Broken(), on_error=on_error)
    if on_error == "raise":
        with pytest.raises(MemoryError):
            made.assess(SURE)
    else:
        assert made.assess(SURE).action == "abstain"
    assert made.metrics()["errors"] == {"MemoryError": 1}
    assert made.metrics()["running"] == 0


def test_an_observer_hears_of_every_call_as_it_ends() -> None:
    heard = Heard()
    made = guard(FakeBackend(logit=by_word), observers=[heard])
    made.assess_batch([SURE, EMPTY])
    asyncio.run(made.ascore([SURE]))
    assert [call.answers for call in heard.calls] == [2, 1]
    assert [one.status for one in heard.calls[0].scored] == ["ok", "empty"]
    assert all(call.seconds > 0 for call in heard.calls)
    assert heard.decisions == ["pass", "abstain"]
    assert heard.running == 0


def test_decisions_on_many_confidences_are_those_on_each() -> None:
    heard = Heard()
    made = guard(FakeBackend(logit=by_word), observers=(heard,))
    scored = made.score([SURE, EMPTY])
    decisions = made.decide_each(scored)
    assert decisions == [made.decide(one) for one in scored]
    assert heard.decisions == ["pass", "abstain", "pass", "abstain"]
    assert made.metrics()["actions"] == {"pass": 2, "abstain": 2}


def test_an_observer_hears_what_was_judged_of_each_answer_aside_from_the_call() -> None:
    heard = Heard()
    made = guard(FakeBackend(logit=by_word), observers=[heard])
    made.assess_batch([SURE.model_copy(update={"id": "17"}), EMPTY])
    made.score([SURE])  # on which nothing is decided
    asyncio.run(made.aassess(SURE))
    assert made.observers.flush(10)
    first, second, third = heard.answers
    assert (first.id, first.action, first.name) == ("17", "pass", "ct_guard.confidence")
    assert first.p == pytest.approx(0.953, abs=1e-3)
    assert (second.p, second.status, second.action) == (None, "empty", "abstain")
    assert third.texts is not None
    assert third.texts() == ("q", "sure")
    assert all("sure" not in one.explanation for one in heard.answers)


class Failing:
    """Fails whenever it hears of something, in words that no log may repeat."""

    def began(self, *_: object) -> Any:
        raise RuntimeError("Bearer sk-secret")

    ended = decided = judged = began


def test_an_observer_that_fails_breaks_no_call_and_is_logged_once_by_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = Heard()
    made = guard(FakeBackend(logit=by_word), observers=[Failing(), heard])
    with caplog.at_level(logging.DEBUG):
        assert [one.action for one in made.assess_batch([SURE, EMPTY])] == ["pass", "abstain"]
        assert asyncio.run(made.aassess(SURE)).action == "pass"
    assert made.observers.flush(10)
    assert len(heard.calls) == 2  # the others hear all the same
    assert len(heard.answers) == 3
    assert made.metrics()["observers"] == {"failed": 2 * 2 + 3 * 2}
    assert caplog.text.count("Failing") == 1
    assert "sk-secret" not in caplog.text


def test_an_observer_that_waits_delays_no_call_and_what_is_too_much_is_dropped() -> None:
    done = threading.Event()

    class Waiting(Heard):
        def judged(self, judged: Judged) -> Callable[[], object]:
            return done.wait

    made = guard(FakeBackend(logit=by_word), observers=[Waiting()])
    told = Judged(p=0.9, action="pass", policy="0.5")
    for _ in range(12_000):
        made.observers.judged(told)
    assert made.assess(SURE).action == "pass"
    assert made.metrics()["observers"]["dropped"] >= 1000
    assert not made.observers.flush(0)
    done.set()
    assert made.observers.flush(10)


def test_spans_and_metrics_say_what_happened_and_hold_no_text() -> None:
    reason = "the SDK of OpenTelemetry is not installed: pip install opentelemetry-sdk"
    export = pytest.importorskip("opentelemetry.sdk.metrics.export", reason=reason)
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, reader = InMemorySpanExporter(), export.InMemoryMetricReader()
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    observer = OpenTelemetry(
        tracer_provider=tracing, meter_provider=MeterProvider(metric_readers=[reader])
    )
    guard(FakeBackend(logit=by_word), observers=[observer]).assess_batch([SURE, EMPTY])
    guard(Broken(), observers=[observer]).assess(SURE)
    first, second = spans.get_finished_spans()
    assert (first.name, first.attributes["ct_guard.answers"]) == ("ct_guard.score", 2)
    assert first.status.is_ok
    assert second.attributes["error.type"] == "MemoryError"
    assert not second.status.is_ok
    data = json.loads(reader.get_metrics_data().to_json())
    metrics = {
        metric["name"]: metric["data"]["data_points"]
        for resource in data["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
    }
    by_status = {p["attributes"]["status"]: p["value"] for p in metrics["ct_guard.answers"]}
    assert by_status == {"ok": 1, "empty": 1, "error": 1}
    assert metrics["ct_guard.call.duration"][0]["count"] == 2
    assert [point["value"] for point in metrics["ct_guard.errors"]] == [1]
    assert "sure" not in json.dumps(data) + first.to_json() + second.to_json()


def test_events_carry_the_confidence_by_the_names_of_the_semantic_conventions() -> None:
    reason = "the SDK of OpenTelemetry is not installed: pip install opentelemetry-sdk"
    logs = pytest.importorskip("opentelemetry.sdk._logs.export", reason=reason)
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as names

    kept = logs.InMemoryLogRecordExporter()
    logging_to = LoggerProvider()
    logging_to.add_log_record_processor(logs.SimpleLogRecordProcessor(kept))
    tracer = TracerProvider().get_tracer("application")
    for texts in (False, True):
        observer = OpenTelemetry(logger_provider=logging_to, texts=texts)
        made = guard(FakeBackend(logit=by_word), observers=[observer])
        with tracer.start_as_current_span("chat") as span:
            made.assess_batch([SURE.model_copy(update={"id": "resp-1"}), EMPTY])
        assert made.observers.flush(10)
        first, second = (one.log_record for one in kept.get_finished_logs())
        kept.clear()
        assert first.event_name == second.event_name == "gen_ai.evaluation.result"
        assert first.span_id == span.get_span_context().span_id
        about = dict(first.attributes or {})
        assert about[names.GEN_AI_EVALUATION_NAME] == "ct_guard.confidence"
        assert about[names.GEN_AI_EVALUATION_SCORE_VALUE] == pytest.approx(0.953, abs=1e-3)
        assert about[names.GEN_AI_EVALUATION_SCORE_LABEL] == "pass"
        assert about[names.GEN_AI_EVALUATION_EXPLANATION].startswith("P 0.953")
        assert about[names.GEN_AI_RESPONSE_ID] == "resp-1"
        assert about.get("ct_guard.answer") == ("sure" if texts else None)
        assert names.GEN_AI_EVALUATION_SCORE_VALUE not in dict(second.attributes or {})


def test_an_answer_that_could_not_be_scored_is_an_event_with_an_error() -> None:
    reason = "the SDK of OpenTelemetry is not installed: pip install opentelemetry-sdk"
    logs = pytest.importorskip("opentelemetry.sdk._logs.export", reason=reason)
    from opentelemetry.sdk._logs import LoggerProvider

    kept, logging_to = logs.InMemoryLogRecordExporter(), LoggerProvider()
    logging_to.add_log_record_processor(logs.SimpleLogRecordProcessor(kept))
    made = guard(Broken(), observers=[OpenTelemetry(logger_provider=logging_to)])
    made.assess(SURE)
    assert made.observers.flush(10)
    (event,) = kept.get_finished_logs()
    assert dict(event.log_record.attributes or {})["error.type"] == "not_scored"


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ct-guard\[otel\]'"):
        OpenTelemetry()
