"""A server on 127.0.0.1 that writes down what clients send, and answers as a test wants."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Asked", "Recorder", "langsmith", "recorder"]


@dataclass(frozen=True)
class Asked:
    """One request; the body is JSON, or text where it is none."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Reply = Callable[[Asked], tuple[int, Any]]


class Recorder(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def to(self, method: str, path: str) -> list[Asked]:
        """The requests of this kind, whatever their query."""
        return [
            one for one in self.asked if one.method == method and one.path.partition("?")[0] == path
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Recorder
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        return

    def _answer(self) -> None:
        body: Any = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            body = json.loads(body)
        except ValueError:
            body = body.decode("utf-8", "replace")
        asked = Asked(self.command, self.path, dict(self.headers), body)
        self.server.asked.append(asked)
        status, reply = self.server.reply(asked)
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = _answer


@contextmanager
def recorder(reply: Reply) -> Iterator[Recorder]:
    """One that runs for the time of the block."""
    server = Recorder(reply)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def langsmith(project: str) -> Reply:
    """As LangSmith's API: every project it is asked for has this id."""

    def reply(asked: Asked) -> tuple[int, Any]:
        if not asked.path.startswith("/sessions"):
            return 200, {}
        about = {
            "id": project,
            "name": "mine",
            "tenant_id": project,
            "reference_dataset_id": None,
            "start_time": "2026-01-01T00:00:00",
        }
        return 200, [about]

    return reply
