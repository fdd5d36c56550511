"""A guard's calls as OpenTelemetry spans and metrics, and what it judged as events, exported as the
application is set up to."""

from collections.abc import Callable
from functools import partial
from time import time_ns
from typing import Any

from ct_guard.errors import MissingExtraError
from ct_guard.records import Decision

from .observing import SECONDS, Call, Judged

__all__ = ["OpenTelemetry"]

_NAME = "ct_guard"
_EVENT = "gen_ai.evaluation.result"
"""Of OpenTelemetry's semantic conventions for generative AI, with the attributes below."""


class OpenTelemetry:
    """An observer for `Guard(…, observers=[OpenTelemetry()])`.

    Spans `ct_guard.score`, one a call, under the caller's. Metrics: the histogram
    `ct_guard.call.duration` (s), and the counters `ct_guard.answers` by `status`,
    `ct_guard.answers.cached`, `ct_guard.decisions` by `action`, `ct_guard.errors` by `error.type`.

    Events `gen_ai.evaluation.result`, one for each answer that was judged and left to its reader
    (or run of an agent), under the span in which it was: `gen_ai.evaluation.name`
    (`ct_guard.confidence`, `ct_guard.run`), `.score.value` (P, where it was measured),
    `.score.label` (the action), `.explanation`, and `gen_ai.response.id` where it is known;
    `error.type` where an answer could not be scored.

    No text of a question or an answer is in any of them, unless `texts` is set: then events have
    them as `ct_guard.question` and `ct_guard.answer`.

    Providers are the application's (`opentelemetry.trace`, `.metrics`, `._logs`), or those that
    are given. Raises MissingExtraError without opentelemetry-api.
    """

    def __init__(
        self,
        *,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        logger_provider: Any = None,
        texts: bool = False,
    ) -> None:
        try:
            from opentelemetry import _logs, metrics, trace
            from opentelemetry.context import get_current
        except ImportError:
            raise MissingExtraError("OpenTelemetry", "otel") from None
        self._trace, self._here, self._texts = trace, get_current, texts
        self._logger = _logs.get_logger(_NAME, logger_provider=logger_provider)
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "ct_guard.call.duration",
            unit="s",
            description="Calls of a guard",
            explicit_bucket_boundaries_advisory=list(SECONDS),
        )
        self._answers = meter.create_counter("ct_guard.answers", description="By status")
        self._cached = meter.create_counter("ct_guard.answers.cached", description="Known before")
        self._decisions = meter.create_counter("ct_guard.decisions", description="By action")
        self._errors = meter.create_counter("ct_guard.errors", description="Calls, by error")

    def began(self, call: Call) -> None:
        call.notes["span"] = self._tracer.start_span(
            "ct_guard.score",
            attributes={"ct_guard.estimator": call.estimator, "ct_guard.answers": call.answers},
        )

    def ended(self, call: Call) -> None:
        about = {"ct_guard.estimator": call.estimator}
        self._duration.record(call.seconds, about)
        if call.cached:
            self._cached.add(call.cached, about)
        for confidence in call.scored:
            self._answers.add(1, {**about, "status": confidence.status})
        span = call.notes.pop("span")
        span.set_attribute("ct_guard.cached", call.cached)
        if len(call.scored) == 1 and call.scored[0].p is not None:
            span.set_attribute("ct_guard.confidence", call.scored[0].p)
        if call.error is not None:
            kind = type(call.error).__name__
            self._errors.add(1, {**about, "error.type": kind})
            span.set_attribute("error.type", kind)
            span.set_status(self._trace.StatusCode.ERROR, kind)
        span.end()

    def decided(self, decision: Decision) -> None:
        self._decisions.add(1, {"action": decision.action})

    def judged(self, judged: Judged) -> Callable[[], object]:
        about: dict[str, Any] = {
            "gen_ai.evaluation.name": judged.name,
            "gen_ai.evaluation.score.label": judged.action,
            "gen_ai.evaluation.explanation": judged.explanation,
            "ct_guard.estimator": judged.estimator,
            "ct_guard.status": judged.status,
        }
        if judged.p is not None:
            about["gen_ai.evaluation.score.value"] = judged.p
        elif judged.status == "error":
            about["error.type"] = "not_scored"
        if judged.id is not None:
            about["gen_ai.response.id"] = judged.id
        if self._texts and judged.texts is not None:
            about["ct_guard.question"], about["ct_guard.answer"] = judged.texts()
        return partial(
            self._logger.emit,
            event_name=_EVENT,
            timestamp=time_ns(),
            context=self._here(),
            attributes=about,
        )
