"""What a server tells of itself."""

import asyncio
import json
import re
from typing import Any

import pytest

from ct_guard import __version__
from ct_guard.serving.status import Counted

from .conftest import Serving

LINE = re.compile(r'^[a-z_]+(\{([a-z]+="[^"\n]*",?)+\})? \d+(\.\d+)?(e-?\d+)?$')


def test_it_is_healthy_once_it_answers(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    told = client.get("/health").json()
    assert told == {
        "status": "ok",
        "version": __version__,
        "estimator": "fake",
        "policy": "threshold 0.5",
    }


def test_its_counts_are_prometheus_text(serving: Serving) -> None:
    client = serving(0.5)  # of its own: nobody else's requests are counted
    for answer in ("sure", "unsure", "unsure"):
        client.post("/v1/confidence", json={"question": "?", "answer": answer})
    client.post("/v1/nothing", json={})
    found = client.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = found.text.splitlines()
    assert all(line.startswith("# ") or LINE.match(line) for line in lines)
    assert 'ct_guard_decisions_total{action="abstain"} 2' in lines
    assert 'ct_guard_answers_total{status="ok"} 3' in lines
    assert 'ct_guard_call_seconds_bucket{le="+Inf"} 3' in lines
    assert 'ct_guard_http_requests_total{path="/v1/confidence",status="200"} 3' in lines
    assert 'ct_guard_http_requests_total{path="other",status="404"} 1' in lines
    named = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("begun", [False, True])
async def test_what_the_server_gives_up_as_it_ends_is_told_so_unless_its_answer_has_begun(
    begun: bool,
) -> None:
    sent: list[Any] = []
    waits = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        waits.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    counted = Counted(app, ["/v1/confidence"])
    scope: Any = {"type": "http", "path": "/v1/confidence", "method": "POST", "headers": []}
    nothing: Any = None  # is received
    running = asyncio.create_task(counted(scope, nothing, send))
    await waits.wait()
    running.cancel()
    await running
    assert [each["status"] for each in sent if "status" in each] == [200 if begun else 503]
    assert begun or json.loads(sent[-1]["body"])["error"]["message"].startswith("the server ends")
    assert counted.running == 0
