"""A server that fails in every way: each call ends by its deadline with a typed error, no answer
goes to another request, and the pool recovers."""

import itertools
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ct_guard.backends import Item, Want
from ct_guard.backends.server import Ask, Patience, Pool, ServerBackend, open_server
from ct_guard.backends.server.dialect import objects
from ct_guard.backends.server.text import LocalText
from ct_guard.errors import BackendError, CtGuardError, NonFiniteScoreError, ServerError
from ct_guard.query import build_query
from ct_guard.testing import FakeBackend
from tests.served import ROUTES, Fault, Handler, Kind, ServedModel, serving

FAKE = FakeBackend()
QUERY = build_query("raw", FAKE.encoder)
LABELS: frozenset[Want] = frozenset({"labels"})
DEADLINE, MARGIN = 1.0, 1.5
"""Seconds; the margin is this machine's, where other tests run beside."""
KEY = "sk-0123456789-secret"
ITEMS = [
    Item(tuple(FAKE.encoder.encode(f"question {at}")), tuple(FAKE.encoder.encode(" yes")))
    for at in range(6)
]


def reset(handler: Handler, asked: dict[str, Any]) -> bool:
    """The connection breaks in the middle of the body."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    linger = b"\1\0\0\0\0\0\0\0"  # close with a reset
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True
    return True


def dropped(handler: Handler, asked: dict[str, Any]) -> bool:
    """It ends before a byte was sent."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def status(code: int, **headers: str) -> Fault:
    def fault(handler: Handler, asked: dict[str, Any]) -> bool:
        handler.send(code, b"busy: " + KEY.encode(), **headers)
        return True

    return fault


def drip(handler: Handler, asked: dict[str, Any]) -> bool:
    """A byte now and then: no single read is late."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        time.sleep(0.05)
    return True


def silent(handler: Handler, asked: dict[str, Any]) -> bool:
    time.sleep(3 * DEADLINE)
    return True


def endless(handler: Handler, asked: dict[str, Any]) -> bool:
    """A gigabyte, chunk by chunk."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(1024):
        handler.wfile.write(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
    return True


def huge(handler: Handler, asked: dict[str, Any]) -> bool:
    """It says beforehand that it is a gigabyte."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 30))
    handler.end_headers()
    handler.close_connection = True
    return True


def elsewhere(handler: Handler, asked: dict[str, Any]) -> bool:
    handler.send(307, b"", Location="http://attacker.example/completions")
    return True


def body(made: Any) -> Fault:
    def fault(handler: Handler, asked: dict[str, Any]) -> bool:
        handler.send(200, made if isinstance(made, bytes) else json.dumps(made).encode())
        return True

    return fault


def packed(as_what: str) -> Fault:
    def fault(handler: Handler, asked: dict[str, Any]) -> bool:
        handler.send(200, b"{}", Content_Encoding=as_what)
        return True

    return fault


def changed(change: Any) -> Fault:
    """The right answer, but for a change."""

    def fault(handler: Handler, asked: dict[str, Any]) -> bool:
        reply = ROUTES[handler.server.kind][handler.path](handler.server, asked)
        handler.send(200, json.dumps(change(reply)).encode())
        return True

    return fault


def without_a_label(reply: Any) -> Any:
    if "completion_probabilities" in reply:
        reply["completion_probabilities"][0]["top_probs"].pop()
    elif "meta_info" in reply:
        reply["meta_info"]["output_token_ids_logprobs"][0].pop()
    elif "data" in reply:
        reply["data"].pop()
    else:
        reply["choices"][0]["logprobs"]["top_logprobs"][0].popitem()
    return reply


def with_nan(reply: Any) -> Any:
    nan = float("nan")
    if "completion_probabilities" in reply:
        reply["completion_probabilities"][0]["top_probs"][0]["prob"] = nan
    elif "meta_info" in reply:
        reply["meta_info"]["output_token_ids_logprobs"][0][0][0] = nan
    elif "data" in reply:
        reply["data"][0]["score"] = nan
    else:
        top = reply["choices"][0]["logprobs"]["top_logprobs"][0]
        reply["choices"][0]["logprobs"]["top_logprobs"][0] = dict.fromkeys(top, nan)
    return reply


def twice(reply: Any) -> Any:
    """More choices than were asked for."""
    if "completion_probabilities" in reply or "meta_info" in reply:
        return [reply, reply]
    part = "data" if "data" in reply else "choices"
    reply[part] *= 2
    return reply


FAULTS: dict[str, tuple[Fault, type[CtGuardError], str]] = {
    "reset in mid-body": (reset, ServerError, "the connection broke"),
    "dropped": (dropped, ServerError, "the connection broke"),
    "429": (status(429), ServerError, "HTTP 429"),
    "429, a long wait": (status(429, Retry_After="60"), ServerError, "too long"),
    "500": (status(500), ServerError, "HTTP 500"),
    "503": (status(503), ServerError, "HTTP 503"),
    "400": (status(400), ServerError, "HTTP 400"),
    "401": (status(401), ServerError, "wants a key"),
    "404": (status(404), ServerError, "check the URL"),
    "slow drip": (drip, ServerError, "no reply within 1 s"),
    "silence": (silent, ServerError, "1 s"),
    "truncated JSON": (body(b'{"choices": [{"logpr'), ServerError, "no JSON"),
    "another type": (body([1, 2]), ServerError, "reply"),
    "an error as 200": (body({"error": {"message": "no memory"}}), ServerError, "no memory"),
    "a page of HTML": (body(b"<html>busy</html>"), ServerError, "the reply is no JSON: <html>"),
    "packed twice": (packed("gzip, gzip"), ServerError, "packed as 'gzip, gzip', which was not"),
    "packed as zstd": (packed("zstd"), ServerError, "packed as 'zstd', which was not asked for"),
    "nothing": (body({}), ServerError, "the reply has no"),
    "a missing label": (changed(without_a_label), ServerError, "lacks|scores for"),
    "NaN": (changed(with_nan), NonFiniteScoreError, "NaN"),
    "too many choices": (changed(twice), ServerError, "choices|scores|results"),
    "a redirect to another host": (elsewhere, ServerError, "redirects to attacker.example"),
    "a gigabyte, said before": (huge, ServerError, "longer than 16 MiB"),
    "a gigabyte": (endless, ServerError, "longer than 16 MiB|no reply within 1 s"),
}


def connect(server: ServedModel, **patience: float) -> ServerBackend:
    given = {"total": DEADLINE, "read": DEADLINE, "first_wait": 0.01, "retries": 2, **patience}
    pool = Pool(server.url, key=KEY, patience=Patience(**given))  # type: ignore[arg-type]
    return ServerBackend(pool, open_server(pool, None), LocalText(FAKE.encoder, 512, ""))


@pytest.fixture(scope="module", params=["vllm", "old vllm", "sglang", "llama_server"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Iterator[ServedModel]:
    with serving("old vllm", FAKE) as running:
        yield running


def check(server: ServedModel, name: str) -> None:
    fault, error, match = FAULTS[name]
    backend = connect(server)
    right = backend.score(ITEMS, QUERY, None, LABELS).label_logits
    server.fault = fault
    start = time.monotonic()
    with pytest.raises(error, match=match) as caught:
        backend.score(ITEMS[:2], QUERY, None, LABELS)
    assert time.monotonic() - start < DEADLINE + MARGIN
    assert isinstance(caught.value, BackendError)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    server.fault = lambda handler, asked: False
    again = backend.score(ITEMS, QUERY, None, LABELS).label_logits
    np.testing.assert_array_equal(again, right)
    backend.close()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_typed_error_by_the_deadline_and_the_pool_recovers(
    server: ServedModel, name: str
) -> None:
    check(server, name)


@pytest.mark.parametrize("name", ["a missing label", "NaN", "too many choices", "nothing"])
def test_what_no_answer_is_depends_on_the_kind_of_server(kind: Kind, name: str) -> None:
    with serving(kind, FAKE) as server:
        check(server, name)


def test_a_refused_connection_is_an_error_at_once() -> None:
    with serving("old vllm", FAKE) as server:
        url = server.url
    pool = Pool(url, patience=Patience(total=DEADLINE, first_wait=0.01))
    start = time.monotonic()
    with pytest.raises(ServerError, match="no connection"):
        pool.one(Ask("/version", lambda reply: reply))
    assert time.monotonic() - start < DEADLINE + MARGIN
    pool.close()


@pytest.mark.parametrize("fault", [reset, dropped, status(429, Retry_After="0.1"), status(502)])
def test_what_may_pass_is_tried_again(server: ServedModel, fault: Fault) -> None:
    backend = connect(server)
    right = backend.score(ITEMS, QUERY, None, LABELS).label_logits
    seen: list[Any] = []

    def once(handler: Handler, asked: dict[str, Any]) -> bool:
        if asked in seen:
            return False
        seen.append(asked)
        return fault(handler, asked)

    server.fault = once
    found = backend.score(ITEMS, QUERY, None, LABELS).label_logits
    np.testing.assert_array_equal(found, right)
    backend.close()


def test_what_says_that_the_request_is_wrong_is_not_asked_again(server: ServedModel) -> None:
    backend = connect(server)
    server.asked.clear()
    server.fault = status(400)
    with pytest.raises(ServerError, match="400"):
        backend.score(ITEMS[:1], QUERY, None, LABELS)
    assert len(server.asked) == 1
    backend.close()


def test_a_silent_server_is_not_asked_again(server: ServedModel) -> None:
    """It may compute still, and asking once more would double its work."""
    backend = connect(server, read=0.2)
    server.asked.clear()
    server.fault = silent
    with pytest.raises(ServerError, match=r"said nothing for 0\.2"):
        backend.score(ITEMS[:1], QUERY, None, LABELS)
    assert len(server.asked) == 1
    backend.close()


def test_a_server_that_fails_on_and_on_is_left_alone_for_a_while(server: ServedModel) -> None:
    backend = connect(server)
    server.fault = status(500)
    for _ in range(8):
        with pytest.raises(ServerError, match="HTTP 500"):
            backend.score(ITEMS[:1], QUERY, None, LABELS)
    server.asked.clear()
    with pytest.raises(ServerError, match="left alone"):
        backend.score(ITEMS[:1], QUERY, None, LABELS)
    assert server.asked == []
    backend.close()


def test_no_answer_goes_to_another_request_when_some_are_late(server: ServedModel) -> None:
    backend = connect(server, retries=3)
    right = backend.score(ITEMS, QUERY, None, LABELS).label_logits
    turns = itertools.count()

    def late(handler: Handler, asked: dict[str, Any]) -> bool:
        time.sleep(0.02 * (5 - next(turns) % 6))
        return False

    server.fault = late
    for _ in range(3):
        found = backend.score(ITEMS, QUERY, None, LABELS).label_logits
        np.testing.assert_array_equal(found, right)
    backend.close()


def test_connections_are_kept(server: ServedModel) -> None:
    backend, ports = connect(server), set()

    def note(handler: Handler, asked: dict[str, Any]) -> bool:
        ports.add(handler.client_address[1])
        return False

    server.fault = note
    for _ in range(5):
        backend.score(ITEMS[:1], QUERY, None, LABELS)
    assert len(ports) == 1
    backend.close()


def test_an_interrupt_or_a_close_ends_what_runs(server: ServedModel) -> None:
    backend, errors = connect(server, total=30.0, read=30.0), []
    server.fault = drip

    def ask() -> None:
        try:
            backend.score(ITEMS[:1], QUERY, None, LABELS)
        except BackendError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    backend.close()
    asking.join(5)
    assert len(errors) == 1


def test_the_key_goes_into_the_header_and_nowhere_else(
    server: ServedModel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = connect(server)
    backend.score(ITEMS[:1], QUERY, None, LABELS)
    assert set(server.keys) == {f"Bearer {KEY}"}
    server.fault = status(403)
    with pytest.raises(ServerError) as caught:
        backend.score(ITEMS[:1], QUERY, None, LABELS)
    assert "busy: ***" in str(caught.value)
    assert KEY not in caplog.text
    assert KEY not in repr(backend.about)
    backend.close()


@pytest.mark.parametrize("odd", [7, "none", [], {"prompt_tokens_details": [1], "cache_n": "2"}])
def test_what_a_server_says_of_its_caches_may_have_any_form(kind: Kind, odd: Any) -> None:
    def oddly(reply: Any) -> Any:
        return {**reply, "usage": odd, "timings": odd} if isinstance(reply, dict) else reply

    with serving(kind, FAKE) as server:
        backend = connect(server)
        right = backend.score(ITEMS, QUERY, None, LABELS).label_logits
        server.fault = changed(oddly)
        made = backend.score(ITEMS, QUERY, None, LABELS)
        np.testing.assert_array_equal(made.label_logits, right)
        backend.close()


@pytest.mark.parametrize("listed", [["a"], "abc", {"a": 1}, [{"id": "a"}, None], 7])
def test_a_list_of_models_that_is_none_is_a_fault_of_the_server(listed: Any) -> None:
    with pytest.raises(ServerError, match="the reply's data"):
        objects({"data": listed}, "data")
