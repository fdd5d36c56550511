"""`/health` and `/metrics`: does it run, and what has it done?"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ct_guard import __version__
from ct_guard.guard import Guard

from .bodies import Refused

__all__ = ["Counted", "Status", "exposition"]

PROMETHEUS = "text/plain; version=0.0.4"


class Counted:
    """An application whose requests are counted, by path and status. One that the server gives up,
    as it ends, is answered so unless its answer has begun."""

    def __init__(self, app: ASGIApp, paths: Iterable[str]) -> None:
        self._app, self._paths = app, frozenset(paths)
        self.answered: Counter[tuple[str, int]] = Counter()
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"

        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self.answered[path, message["status"]] += 1
            await send(message)

        self.running += 1
        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if not begun:
                refused = Refused(503, "the server ends: ask another one", "ending")
                await refused.response()(scope, receive, noted)
        finally:
            self.running -= 1


class Status:
    """What a server tells of itself."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.counted: Counted | None = None

    async def health(self, request: Request) -> JSONResponse:
        """It answers as long as requests are taken."""
        about = {"status": "ok", "version": __version__, "estimator": self._guard.estimator.name}
        return JSONResponse({**about, "policy": self._guard.policy.name})

    async def metrics(self, request: Request) -> PlainTextResponse:
        """Counts in the text form of Prometheus."""
        return PlainTextResponse(
            exposition(self._guard.metrics(), self.counted), media_type=PROMETHEUS
        )


def exposition(counts: Mapping[str, Any], counted: Counted | None = None) -> str:
    """`Guard.metrics()` in the text form of Prometheus, and the requests that were counted."""
    seconds = counts["seconds"]
    lines = [
        *_family("ct_guard_calls_total", "counter", "Calls of the guard", [({}, counts["calls"])]),
        *_by("ct_guard_answers_total", "Answers by status", "status", counts["statuses"]),
        *_family("ct_guard_answers_cached_total", "counter", "Answers whose score was known",
                 [({}, counts["cached"])]),
        *_by("ct_guard_decisions_total", "Decisions by action", "action", counts["actions"]),
        *_by("ct_guard_errors_total", "Calls by error", "error", counts["errors"]),
        *_family("ct_guard_calls_running", "gauge", "Calls at this moment",
                 [({}, counts["running"])]),
        *_family("ct_guard_answers_waiting", "gauge", "Answers that wait to be scored",
                 [({}, counts["waiting"])]),
        *_head("ct_guard_call_seconds", "histogram", "Duration of calls"),
        *(_line("ct_guard_call_seconds_bucket", {"le": _bound(le)}, count)
          for le, count in seconds["buckets"].items()),
        _line("ct_guard_call_seconds_sum", {}, seconds["sum"]),
        _line("ct_guard_call_seconds_count", {}, seconds["count"]),
    ]  # fmt: skip
    if counted is not None:
        answered = [
            ({"path": path, "status": str(status)}, count)
            for (path, status), count in sorted(counted.answered.items())
        ]
        lines += _family("ct_guard_http_requests_total", "counter", "Requests answered", answered)
        lines += _family("ct_guard_http_requests_running", "gauge", "Requests at this moment",
                         [({}, counted.running)])  # fmt: skip
    return "\n".join(lines) + "\n"


def _by(name: str, about: str, label: str, counts: Mapping[str, int]) -> list[str]:
    return _family(name, "counter", about, [({label: key}, n) for key, n in counts.items()])


def _family(
    name: str, kind: str, about: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> list[str]:
    return [*_head(name, kind, about), *(_line(name, labels, value) for labels, value in samples)]


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{told}}} {value}" if told else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _bound(text: str) -> str:
    return "+Inf" if text == "inf" else text
