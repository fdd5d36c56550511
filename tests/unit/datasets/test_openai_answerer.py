"""The client of OpenAI-compatible servers, against a real socket."""

import gzip
import json
import logging
import re
import socket
import threading
import time
from typing import Any

import pytest

from ct_guard.datasets.answerers import OpenAIAnswerer, Reply, Request, Sampling
from ct_guard.datasets.answerers.openai import FAILURES_IN_A_ROW
from ct_guard.errors import UsageError
from ct_guard.records import Message
from ct_guard.remote import MOST_BYTES

from .conftest import ChatServer, says

KEY = "sk-very-secret-key-0123456789"


def asking(*texts: str, **sampling: Any) -> list[Request]:
    settings = Sampling(**{"max_tokens": 9, **sampling})
    return [Request((Message(role="user", content=text),), settings) for text in texts]


def client(server: ChatServer, **settings: Any) -> OpenAIAnswerer:
    return OpenAIAnswerer(server.url, "m", **{"first_wait": 0.01, "timeout": 5.0, **settings})


def failing_first(times: int, status: int, **headers: str) -> Any:
    """A behaviour that fails the first requests, then echoes."""

    def behave(server: ChatServer, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if len(server.asked) <= times:
            return status, headers, b"busy"
        return says("fine")

    return behave


def test_replies_come_in_the_order_of_the_requests(server: ChatServer) -> None:
    texts = [f"question {number}" for number in range(20)]
    assert client(server).answer(asking(*texts)) == [Reply(text) for text in texts]
    assert set(server.paths) == {"/v1/chat/completions"}


def test_what_is_sent(server: ChatServer) -> None:
    client(server).answer(asking("hi"))
    client(server).answer(asking("hi", temperature=0.7, seed=3))
    greedy, sampled = server.asked
    assert greedy == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.0,
    }
    assert (sampled["temperature"], sampled["seed"]) == (0.7, 3)
    assert "Authorization" not in server.headers[0]


def test_requests_run_at_once_but_not_too_many(server: ChatServer) -> None:
    together = threading.Barrier(3, timeout=10)

    def behave(server: ChatServer, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        together.wait()
        return says("fine")

    server.behave = behave
    replies = client(server, concurrency=3).answer(asking(*"abcdef"))
    assert [reply.text for reply in replies] == ["fine"] * 6
    assert server.most_at_once == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_pass_is_tried_again(server: ChatServer, status: int) -> None:
    server.behave = failing_first(2, status)
    assert client(server).answer(asking("hi")) == [Reply("fine")]
    assert len(server.asked) == 3


def test_the_server_says_how_long_to_wait(server: ChatServer) -> None:
    server.behave = failing_first(1, 429, **{"Retry-After": "0.4"})
    started = time.monotonic()
    assert client(server).answer(asking("hi")) == [Reply("fine")]
    assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize("after", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-5"])
def test_a_wait_that_is_no_number_is_no_trouble(server: ChatServer, after: str) -> None:
    server.behave = failing_first(1, 429, **{"Retry-After": after})
    assert client(server).answer(asking("hi")) == [Reply("fine")]


def test_attempts_are_bounded(server: ChatServer) -> None:
    server.behave = failing_first(99, 500)
    [reply] = client(server, retries=2).answer(asking("hi"))
    assert len(server.asked) == 3
    assert reply.text is None
    assert "HTTP 500: busy (3 attempts)" in str(reply.error)
    assert not reply.stop


def test_a_server_that_hangs_is_given_up(server: ChatServer) -> None:
    def behave(server: ChatServer, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        server.released.wait(20)
        return says("late")

    server.behave = behave
    started = time.monotonic()
    [reply] = client(server, timeout=0.2, retries=1).answer(asking("hi"))
    assert time.monotonic() - started < 10
    assert "no reply within 0.2 seconds (2 attempts)" in str(reply.error)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"choices": []}', b'{"choices": [{"message": null}]}',
     b'{"choices": [{"message": {"content": null}}]}', b"<html>", b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_a_reply_without_an_answer_is_tried_again_and_then_an_error(
    server: ChatServer, body: bytes
) -> None:
    server.behave = lambda server, asked: (200, {}, body)
    [reply] = client(server, retries=1).answer(asking("hi"))
    assert reply.text is None
    assert "no answer in the reply" in str(reply.error)
    assert len(server.asked) == 2


def says_at_the_end(finish: str, **message: Any) -> Any:
    choice = {"finish_reason": finish, "message": {"role": "assistant", **message}}
    return lambda server, asked: (200, {}, json.dumps({"choices": [choice]}).encode())


@pytest.mark.parametrize(
    ("finish", "message", "said"),
    [
        ("length", {"content": None, "reasoning_content": "Seven and"}, "9 tokens .*`max_tokens`"),
        ("length", {"content": " "}, "finish_reason length"),
        ("tool_calls", {"content": None, "tool_calls": [{"id": "x"}]}, "called a tool"),
        ("content_filter", {"content": None}, "content_filter"),
    ],
)
def test_a_reply_that_says_why_it_has_no_answer_is_final_and_stops_nothing(
    server: ChatServer, finish: str, message: dict[str, Any], said: str
) -> None:
    server.behave = says_at_the_end(finish, **message)
    replies = client(server).answer(asking(*"abcdefghijklmn"))
    assert len(server.asked) == len(replies) == 14
    for reply in replies:
        assert (reply.text, reply.stop) == (None, False)
        assert re.search(said, str(reply.error))


def test_a_refusal_is_the_answer(server: ChatServer) -> None:
    server.behave = says_at_the_end("stop", content=None, refusal="I can't help with that.")
    assert client(server).answer(asking("hi")) == [Reply("I can't help with that.")]


def test_a_reply_that_was_cut_says_so(server: ChatServer) -> None:
    server.behave = says_at_the_end("length", content="To add seven and")
    assert client(server).answer(asking("hi")) == [Reply("To add seven and", cut_off=True)]


def test_the_limit_of_tokens_goes_by_the_name_that_the_server_wants(server: ChatServer) -> None:
    def behave(server: ChatServer, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if "max_tokens" in asked:
            return 400, {}, b"'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        return says("fine")

    server.behave = behave
    asker = client(server, concurrency=1)
    assert asker.answer(asking("a", "b")) == [Reply("fine"), Reply("fine")]
    assert [asked.get("max_completion_tokens") for asked in server.asked] == [None, 9, 9]


def test_parts_of_text_are_joined(server: ChatServer) -> None:
    server.behave = lambda server, asked: says([{"type": "text", "text": "a"}, {"type": "x"}, "b"])
    assert client(server).answer(asking("hi")) == [Reply("ab")]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_is_its_own_failure_only(server: ChatServer, status: int) -> None:
    def behave(server: ChatServer, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        bad = asked["messages"][0]["content"] == "bad"
        return (status, {}, b"too\nlong") if bad else says("fine")

    server.behave = behave
    bad, good = client(server).answer(asking("bad", "good"))
    assert bad == Reply(None, f"HTTP {status}: too long")
    assert good == Reply("fine")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "`key_env`"), (403, "key"), (404, "/v1"), (302, "URL")]
)
def test_what_fails_for_every_request_stops_the_run(
    server: ChatServer, status: int, hint: str
) -> None:
    server.behave = lambda server, asked: (status, {}, b"no")
    [reply] = client(server).answer(asking("hi"))
    assert reply.stop
    assert hint in str(reply.error)
    assert len(server.asked) == 1


def test_a_server_that_is_down_is_not_asked_for_ever(server: ChatServer) -> None:
    server.behave = failing_first(10_000, 503)
    replies = client(server, retries=1, concurrency=1).answer(asking(*map(str, range(100))))
    assert replies[-1].stop
    assert len(server.asked) == 2 * FAILURES_IN_A_ROW
    assert sum(not reply.stop for reply in replies) == FAILURES_IN_A_ROW - 1


def test_no_server_at_all() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    [reply] = OpenAIAnswerer(url, "m", retries=0).answer(asking("hi"))
    assert "no connection" in str(reply.error)


def test_the_key_comes_from_the_environment_and_goes_into_the_header_only(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_SERVER", KEY)
    caplog.set_level(logging.DEBUG)

    def behave(server: ChatServer, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        quoted = f"for {server.headers[-1]['Authorization']}"
        return says(quoted) if len(server.asked) == 1 else (400, {}, quoted.encode())

    server.behave = behave
    answerer = client(server, key_env="MY_SERVER")
    replies = answerer.answer(asking("one")) + answerer.answer(asking("two"))
    assert [headers["Authorization"] for headers in server.headers] == [f"Bearer {KEY}"] * 2
    assert replies == [Reply("for Bearer ***"), Reply(None, "HTTP 400: for Bearer ***")]
    assert caplog.text
    for text in (caplog.text, repr(answerer), repr(answerer.settings), repr(replies)):
        assert KEY not in text


@pytest.mark.parametrize("key", [None, "", "  ", "a\nb: c", "with space", "schl\u00fcssel"])
def test_a_key_that_is_none_is_refused_and_not_shown(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_SERVER", raising=False)
    if key is not None:
        monkeypatch.setenv("MY_SERVER", key)
    with pytest.raises(UsageError, match="MY_SERVER") as refused:
        OpenAIAnswerer("http://localhost/v1", "m", key_env="MY_SERVER")
    assert not (key or "").strip() or str(key) not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "", "ftp://host/v1", "http://", "http://[::1", "http://h:80a/v1"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no http"):
        OpenAIAnswerer(url, "m")


@pytest.mark.parametrize(
    "url", ["http://me:pass@host/v1", "http://host/v1?key=pass", "http://h/#pass"]
)
def test_a_url_with_credentials_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="credentials") as refused:
        OpenAIAnswerer(url, "m")
    assert "pass" not in str(refused.value)


def test_a_url_may_end_as_users_write_it(server: ChatServer) -> None:
    for ending in ("", "/", "/chat/completions"):
        OpenAIAnswerer(server.url + ending, "m").answer(asking("hi"))
    assert set(server.paths) == {"/v1/chat/completions"}


@pytest.mark.parametrize(
    "url", ["ftp://me:hunter2@host/v1", "htp:/me:hunter2@host", "me:hunter2@h"]
)
def test_a_mistyped_url_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="no http") as refused:
        OpenAIAnswerer(url, "m")
    assert "hunter2" not in str(refused.value)


def test_a_reply_that_is_too_long_is_not_read_to_its_end(server: ChatServer) -> None:
    body = b'{"choices": [{"message": {"content": "' + b"a" * (MOST_BYTES + 1) + b'"}}]}'
    server.behave = lambda server, asked: (200, {}, body)
    [reply] = client(server, retries=1).answer(asking("hi"))
    assert reply == Reply(None, "the reply is longer than 16 MB")
    assert len(server.asked) == 1


@pytest.mark.slow
def test_a_reply_that_unpacks_to_gigabytes_is_not_unpacked(server: ChatServer) -> None:
    packed = gzip.compress(b"0" * (100 << 20))  # some 100 kB
    server.behave = lambda server, asked: (200, {"Content-Encoding": "gzip"}, packed)
    [reply] = client(server, retries=0).answer(asking("hi"))
    assert reply == Reply(None, "the reply is longer than 16 MB")


def test_what_a_server_says_cannot_draw_on_the_terminal(server: ChatServer) -> None:
    server.behave = lambda server, asked: (400, {}, b"no\x1b[2J\x1b[1A way\r\n\x07")
    assert client(server).answer(asking("hi")) == [Reply(None, "HTTP 400: no [2J [1A way")]
