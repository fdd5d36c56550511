"""What does a chat wait longer for, behind `ct-guard serve`? Direct and forwarded calls by turns.

    python -m benchmarks.proxy [--calls 200] [--scored-calls 40] [--rounds 5]

A stand-in of an OpenAI API, in a process of its own, answers at once; the server forwards to it
from another, over sockets of this machine; one client asks both in turn, over connections that are
kept. What is added is the difference of the medians of a round.

* without scoring: an estimator that takes no time, so that only the server's own work is left, for
  whole answers, for streams that are there at once, and for streams of a word every 5 ms, as models
  have them (aim: at most 3 ms);
* with scoring: the embedded model reads every answer; what its calls took by the server's own count
  (`/metrics`) is taken off (aim: at most 3 ms more than that).

Each figure is the median of the rounds, whose range stands beside it; so is the server's processor
time a call (Linux), which other work on the machine hardly changes. The table is written into
benchmarks/RESULTS.md, with the load of the machine (1 minute, before and after).
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ct_guard import Guard, load_estimator
from ct_guard.estimators import OutOfScopeWarning
from ct_guard.serving import Settings, Upstream, application, listening_socket
from ct_guard.testing import FakeBackend

from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
PATH = "/v1/chat/completions"
WORDS = 20
PACED, PAUSE = "paced", 0.005
"""The model whose words come one by one, and the seconds between them."""
FORMS: dict[str, Any] = {
    "whole": {},
    "streamed at once": {"stream": True},
    "streamed word by word": {"stream": True, "model": PACED},
}


async def _complete(request: Request) -> Response:
    """An answer of some words, whole or word by word, at once."""
    asked = json.loads(await request.body())
    words = [asked["messages"][-1]["content"], *["word"] * WORDS]
    about = {"id": "chat-1", "created": 1, "model": asked["model"]}
    if not asked.get("stream"):
        message = {"role": "assistant", "content": " ".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Response(json.dumps({**about, "choices": [choice]}), media_type="application/json")
    deltas: list[dict[str, Any]] = [{"content": f"{word} "} for word in words]
    chunks = [{**about, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    lines = [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]
    if asked["model"] != PACED:
        return Response("".join(lines), media_type="text/event-stream")
    return StreamingResponse(_paced(lines), media_type="text/event-stream")


async def _paced(lines: list[str]) -> AsyncIterator[str]:
    for line in lines:
        yield line
        await asyncio.sleep(PAUSE)


def _serve(app: ASGIApp, told: Connection) -> None:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    place = listening_socket("127.0.0.1", 0)
    told.send(place.getsockname()[1])
    server.run(sockets=[place])


def _upstream(told: Connection) -> None:
    _serve(Starlette(routes=[Route(PATH, _complete, methods=["POST"])]), told)


def _server(told: Connection, upstream: str, estimator: str) -> None:
    warnings.simplefilter("ignore", OutOfScopeWarning)
    loaded = (
        load_estimator("zero-shot", base="any", backend=FakeBackend(logit=lambda _: 1.0))
        if estimator == "instant"
        else load_estimator(estimator)
    )
    settings = Settings(upstream=Upstream(f"{upstream}/v1"))
    _serve(application(Guard(loaded, "annotate"), settings), told)


@dataclass(frozen=True)
class Running:
    """A server in a process of its own."""

    url: str
    process: int

    def processor(self) -> float:
        """Seconds of processor time so far; 0 where this system does not say."""
        told = Path(f"/proc/{self.process}/stat")
        if not told.exists():
            return 0.0
        user, system = told.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(target: Callable[..., None], *arguments: str) -> Iterator[Running]:
    """A server in a process of its own, for the time of the block."""
    listening, told = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=target, args=(told, *arguments), daemon=True
    )
    process.start()
    told.close()  # so that a server that cannot start is not waited for
    try:
        yield Running(f"http://127.0.0.1:{listening.recv()}", process.pid or 0)
    finally:
        process.terminate()
        process.join()


@dataclass(frozen=True)
class Round:
    """Medians of a round, in milliseconds."""

    direct: float
    forwarded: float
    scoring: float
    """Of a call of the guard's, on average, by the server's own count."""
    processor: float
    """Of the server a call, on average."""

    @property
    def added(self) -> float:
        return self.forwarded - self.direct - self.scoring


def _counted(client: httpx.Client, url: str) -> tuple[float, int]:
    """Seconds of the guard's calls, and how many there were."""
    lines = dict(
        line.rsplit(" ", 1)
        for line in client.get(f"{url}/metrics").text.splitlines()
        if not line.startswith("#")
    )
    return float(lines["ct_guard_call_seconds_sum"]), int(lines["ct_guard_call_seconds_count"])


def measure(
    direct: Running,
    server: Running,
    *,
    calls: int,
    rounds: int,
    scored: bool,
    stream: bool = False,
    model: str = "m",
) -> list[Round]:
    """By turns; the first round warms both up and is left out."""
    made = []
    with httpx.Client(timeout=600) as client:

        def ask(whom: Running, number: int) -> float:
            message = {"role": "user", "content": f"What is {number} plus 5?"}
            body = {"model": model, "messages": [message], "stream": stream}
            start = time.perf_counter()
            client.post(f"{whom.url}{PATH}", json=body).raise_for_status()
            return 1000 * (time.perf_counter() - start)

        for number in range(rounds + 1):
            before, count = _counted(client, server.url)
            worked = server.processor()
            times: dict[Running, list[float]] = {direct: [], server: []}
            for call in range(calls):
                for whom in (direct, server) if call % 2 else (server, direct):
                    times[whom].append(ask(whom, number * calls + call))
            worked = server.processor() - worked
            after, counted = _counted(client, server.url)
            scoring = 1000 * (after - before) / (counted - count) if scored else 0.0
            if number:
                medians = [statistics.median(times[whom]) for whom in (direct, server)]
                made.append(Round(medians[0], medians[1], scoring, 1000 * worked / calls))
    return made


def _row(name: str, found: list[Round]) -> list[str]:
    added = [each.added for each in found]
    return [
        name,
        f"{statistics.median(each.direct for each in found):.2f}",
        f"{statistics.median(each.forwarded for each in found):.2f}",
        f"{statistics.median(each.scoring for each in found):.2f}",
        f"{statistics.median(added):.2f} ({min(added):.2f} to {max(added):.2f})",
        f"{statistics.median(each.processor for each in found):.2f}",
    ]


@click.command()
@click.option("--calls", default=200, show_default=True)
@click.option("--scored-calls", default=40, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(calls: int, scored_calls: int, rounds: int, results: Path) -> None:
    load = os.getloadavg()[0]
    rows = []
    with running(_upstream) as direct:
        for estimator, many in (("instant", calls), ("mini", scored_calls)):
            with running(_server, direct.url, estimator) as server:
                scored = estimator != "instant"
                for form, asked in FORMS.items():
                    found = measure(
                        direct, server, calls=many, rounds=rounds, scored=scored, **asked
                    )
                    name = f"{'with' if scored else 'without'} scoring, {form}"
                    rows.append(_row(name, found))
    columns = [
        "", "direct, ms", "forwarded, ms", "scoring, ms", "added beside it, ms",
        "the server's processor time, ms",
    ]  # fmt: skip
    text = (
        "## A chat behind `ct-guard serve`\n\n"
        f"`python -m benchmarks.proxy --calls {calls} --scored-calls {scored_calls} --rounds"
        f" {rounds}`, {time.strftime('%Y-%m-%d')}; load {load:.1f} before and"
        f" {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores. Aim: at most 3 ms"
        f" added.\n\n{markdown(columns, rows)}"
    )
    click.echo(text)
    between_markers(results, "proxy", text)


if __name__ == "__main__":
    main()
