"""Who is let in, with how much, and how many at a time."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ct_guard.serving import is_loopback
from tests.listening import ChatApi

from .conftest import Serving

ROW = {"question": "?", "answer": "sure"}
TOKEN = "a-token-of-the-tests"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_this_machine_is_named_in_these_ways(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.evil"])
def test_and_in_no_others(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {TOKEN}"}, {"x-api-key": TOKEN}], ids=str
)
def test_a_token_is_shown_in_either_header(serving: Serving, headers: dict[str, str]) -> None:
    client = serving(token=TOKEN, upstream=False)
    assert client.post("/v1/confidence", json=ROW, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "another"}, {"Authorization": TOKEN}, {"Authorization": "Bearer é"}],
    ids=str,
)
def test_nobody_else_is_answered(serving: Serving, headers: dict[str, str]) -> None:
    client = serving(token=TOKEN, upstream=False)
    sent = {name.encode(): value.encode() for name, value in headers.items()}
    refused = client.post("/v1/confidence", json=ROW, headers=sent)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert client.get("/metrics", headers=sent).status_code == 401
    assert client.get("/health", headers=sent).status_code == 200


def test_a_key_of_the_environment_is_in_no_error(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "key-that-nobody-may-read")
    client = serving(upstream=False)
    refused = client.post("/v1/key-that-nobody-may-read", json=ROW)
    assert refused.status_code == 404
    assert "nobody" not in refused.text


def test_without_a_token_only_this_machine_is_answered(serving: Serving) -> None:
    """A page of a stranger's may ask by a name of its own that resolves to 127.0.0.1."""
    client = serving(upstream=False)
    refused = client.post("/v1/confidence", json=ROW, headers={"Host": "rebound.example"})
    assert refused.status_code == 403
    assert "--token-env" in refused.json()["error"]["message"]


def test_what_a_page_may_send_unasked_is_not_read(serving: Serving) -> None:
    client = serving(upstream=False)
    refused = client.post("/v1/confidence", content=b"{}", headers={"Content-Type": "text/plain"})
    assert refused.status_code == 415


def test_a_long_body_is_refused_with_the_way_out(serving: Serving) -> None:
    client = serving(upstream=False, most_bytes=1000)
    row = {**ROW, "context": "x" * 5000}
    refused = client.post("/v1/confidence", json=row)
    assert refused.status_code == 413
    assert "--most-bytes" in refused.json()["error"]["message"]
    assert client.post("/v1/confidence", json=ROW).status_code == 200


def test_so_is_one_whose_length_is_not_said(serving: Serving) -> None:
    client = serving(upstream=False, most_bytes=1000)

    def parts() -> Iterator[bytes]:
        yield b'{"question": "'
        yield from [b"x" * 500] * 10

    headers = {"Content-Type": "application/json"}
    refused = client.post("/v1/confidence", content=parts(), headers=headers)
    assert refused.status_code == 413


def test_who_goes_away_while_asking_is_counted_and_no_error(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    client = serving()
    place = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(place) as half:
        half.sendall(
            b"POST /v1/confidence HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )
    gone = 'ct_guard_http_requests_total{path="/v1/confidence",status="499"} 1'
    until = time.monotonic() + 60
    while gone not in client.get("/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert not caplog.records


def test_more_requests_than_may_be_are_told_to_ask_again(serving: Serving, api: ChatApi) -> None:
    api.pause = 0.05
    client = serving("annotate", most_requests=2)
    asked = {"model": "m", "messages": [{"role": "user", "content": "say: a b c d e f"}]}

    def ask(_: int) -> httpx.Response:
        return client.post("/v1/chat/completions", json={**asked, "stream": True})

    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(ask, range(8)))
    refused = [each for each in found if each.status_code == 429]
    assert 0 < len(refused) <= 6
    assert all(each.headers["retry-after"] == "1" for each in refused)
    assert refused[0].json()["error"]["type"] == "rate_limit_error"
    time.sleep(float(refused[0].headers["retry-after"]))
    assert ask(0).status_code == 200
