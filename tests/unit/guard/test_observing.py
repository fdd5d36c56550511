"""What a guard counts of its calls, and tells those who listen."""

import asyncio
import json
from typing import Any

import pytest

from ct_guard.errors import MissingExtraError
from ct_guard.guard import Guard
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

    def began(self, call: Call) -> None:
        self.running += 1

    def ended(self, call: Call) -> None:
        self.running -= 1
        self.calls.append(call)

    def decided(self, decision: Decision) -> None:
        self.decisions.append(decision.action)


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


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ct-guard\[otel\]'"):
        OpenTelemetry()
