"""What does the client cost? The same requests by a bare httpx script, by turns, in one run.

    python -m benchmarks.server [--rows 2000] [--rounds 5] [--concurrency 16]

Against a stand-in of a vLLM on this machine, in a process of its own, which answers at once: what
is measured is the client alone, and a real server only hides it. A round scores the rows through
`ServerBackend` and sends the very same bodies by a script that does nothing but wait for the
replies, in alternating order. The table is written into benchmarks/RESULTS.md.
"""

import asyncio
import json
import multiprocessing
import statistics
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import httpx

from ct_guard.backends import Item
from ct_guard.backends.server import Pool, ServerBackend, open_server
from ct_guard.backends.server.text import LocalText
from ct_guard.query import build_query
from ct_guard.testing import FakeBackend

from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
FAKE = FakeBackend()
WORDS = 40


class _Quick(BaseHTTPRequestHandler):
    """As `/v1/completions` answers when two labels are asked for; nothing is computed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, status: int, made: Any) -> None:
        body = json.dumps(made).encode()
        self.wfile.write(
            b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
        )

    def do_GET(self) -> None:
        card = {"id": "base", "root": "base", "parent": None, "max_model_len": 4096}
        pages = {"/version": {"version": "0.33.0"}, "/v1/models": {"data": [card]}}
        self._send(200 if self.path in pages else 404, pages.get(self.path))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self._send(200, {"tokens": FAKE.encoder.encode(asked["prompt"])})
        elif self.path == "/v1/completions":
            top = {f"token_id:{token}": -0.5 for token in asked["logprob_token_ids"]}
            logprobs = {"top_logprobs": [top], "tokens": ["token_id:7"]}
            choice = {"index": 0, "text": "?", "logprobs": logprobs}
            self._send(200, {"model": asked["model"], "choices": [choice], "usage": {}})
        else:
            self._send(404, None)


def _serve(told: Connection) -> None:
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Quick)
    told.send(server.server_port)
    server.serve_forever()


async def bare(url: str, bodies: list[dict[str, Any]], concurrency: int) -> float:
    """Seconds for all bodies, by workers that send one after the other."""
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    waiting = iter(bodies)
    async with httpx.AsyncClient(limits=limits) as client:

        async def work() -> None:
            for body in waiting:
                (await client.post(f"{url}/v1/completions", json=body)).json()

        start = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return time.perf_counter() - start


@dataclass
class Rounds:
    """Of one way to ask, round by round."""

    rates: list[float] = field(default_factory=list)
    """Requests a second."""
    processor: list[float] = field(default_factory=list)
    """Milliseconds of this process's processor time a request, which other work beside does not
    change."""


def measure(rows: int, rounds: int, concurrency: int) -> tuple[Rounds, Rounds]:
    """Through `ServerBackend`, and bare."""
    listening, told = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(told,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{listening.recv()}"
    query = build_query("raw", FAKE.encoder)
    context = tuple(FAKE.encoder.encode("word " * WORDS))
    items = [Item(context, tuple(FAKE.encoder.encode(f" {number}"))) for number in range(rows)]
    pool = Pool(url, concurrency=concurrency)
    backend = ServerBackend(pool, open_server(pool, None), LocalText(FAKE.encoder, 512, ""))
    bodies = [
        {
            "model": "base", "prompt": [*context, *item.answer, *query.ids], "max_tokens": 1,
            "temperature": 0, "add_special_tokens": False, "logprobs": 2,
            "logprob_token_ids": list(query.label_ids), "return_tokens_as_token_ids": True,
        }
        for item in items
    ]  # fmt: skip

    def ours() -> float:
        start = time.perf_counter()
        backend.score(items, query, None, frozenset({"labels"}))
        return time.perf_counter() - start

    found = {"ours": Rounds(), "bare": Rounds()}
    try:
        for number in range(rounds + 1):
            turns = [("ours", ours), ("bare", lambda: asyncio.run(bare(url, bodies, concurrency)))]
            for name, turn in turns if number % 2 else turns[::-1]:
                before = time.process_time()
                seconds = turn()
                if number:  # the first warms both up
                    found[name].rates.append(rows / seconds)
                    found[name].processor.append(1000 * (time.process_time() - before) / rows)
    finally:
        backend.close()
        process.terminate()
        process.join()
    return found["ours"], found["bare"]


@click.command()
@click.option("--rows", default=2000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--concurrency", default=16, show_default=True)
def main(rows: int, rounds: int, concurrency: int) -> None:
    ours, theirs = measure(rows, rounds, concurrency)
    ratios = [one / other for one, other in zip(ours.rates, theirs.rates, strict=True)]
    table = markdown(
        ["", "requests/s", "processor time a request, ms"],
        [
            [
                name,
                f"{statistics.median(one.rates):,.0f}",
                f"{statistics.median(one.processor):.2f}",
            ]
            for name, one in (("through ct-guard", ours), ("bare httpx", theirs))
        ],
    )
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    text = (
        f"## A served model: what the client costs\n\n`python -m benchmarks.server --rows {rows}"
        f" --rounds {rounds} --concurrency {concurrency}`, a stand-in server in another process on"
        f" the same machine:\n\n{table}\nRequests/s through ct-guard over bare, round by round:"
        f" {ratio}."
    )
    click.echo(text)
    between_markers(RESULTS, "server", text)


if __name__ == "__main__":
    main()
