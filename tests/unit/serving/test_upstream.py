"""What goes on to the upstream, and what does not."""

import json
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from ct_guard.errors import UsageError
from ct_guard.guard import Guard
from ct_guard.serving import Settings, Upstream, application
from tests.listening import ChatApi, listening

from .conftest import Serving

PATH = "/v1/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "sure"}]}
MINE = {"Authorization": "Bearer my-own-key"}
TOKEN = "a-token-of-the-tests"


def test_a_clients_own_key_goes_on(serving: Serving, api: ChatApi) -> None:
    serving().post(PATH, json=ASKED, headers=MINE)
    assert api.headers[0]["authorization"] == "Bearer my-own-key"


def test_unless_the_server_has_one(serving: Serving, api: ChatApi) -> None:
    serving(key="the-servers-key").post(PATH, json=ASKED, headers=MINE)
    assert api.headers[0]["authorization"] == "Bearer the-servers-key"


def test_the_servers_token_is_nobody_elses(serving: Serving, api: ChatApi) -> None:
    client = serving(token=TOKEN)
    shown = {"Authorization": f"Bearer {TOKEN}"}
    assert client.post(PATH, json=ASKED, headers=shown).status_code == 200
    assert client.post(PATH, json=ASKED, headers={**MINE, "x-api-key": TOKEN}).status_code == 200
    assert not any("authorization" in sent or "x-api-key" in sent for sent in api.headers)


def test_of_other_headers_only_known_ones_do(serving: Serving, api: ChatApi) -> None:
    sent = {"OpenAI-Organization": "o", "Cookie": "c=1", "X-Custom": "x", "traceparent": "00-1"}
    serving().post(PATH, json=ASKED, headers=sent)
    (got,) = api.headers
    assert (got["openai-organization"], got["traceparent"]) == ("o", "00-1")
    assert "cookie" not in got
    assert "x-custom" not in got


def test_an_error_that_quotes_the_key_is_told_without_it(serving: Serving, api: ChatApi) -> None:
    api.status = 401
    refused = serving(key="not today").post(PATH, json=ASKED)  # as the error says
    assert json.loads(refused.text)["error"]["message"] == "***"


@pytest.mark.parametrize("policy", [0.5, "annotate"], ids=["held", "passed on"])
def test_a_stream_leaves_its_connection_to_the_next(
    policy: float | str, serving: Serving, api: ChatApi
) -> None:
    """Its end is read after the client has gone, and not for long: on a busy machine some streams
    give their connection up."""
    client = serving(policy)
    for _ in range(6):
        told = client.post(PATH, json={**ASKED, "stream": True}).text
        assert told.endswith("data: [DONE]\n\n")
        time.sleep(0.05)
    assert len(api.callers) == 6
    assert len(set(api.callers)) < 6


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (RedirectResponse("http://elsewhere.example/"), "redirects"),
        (PlainTextResponse("hello"), "no chat completion"),
        (PlainTextResponse('{"choices": [1]}'), "no chat completion"),
        (PlainTextResponse('{"object": "list"}'), "no chat completion"),
    ],
    ids=["redirect", "no JSON", "odd choices", "no choices"],
)
def test_a_reply_that_is_none_is_the_upstreams_fault(
    estimator: object, reply: PlainTextResponse, said: str
) -> None:
    app = Starlette(routes=[Route(PATH, lambda request: reply, methods=["POST"])])
    with listening(app) as behind:
        settings = Settings(upstream=Upstream(f"{behind}/v1"))
        with listening(application(Guard(estimator, 0.5), settings)) as url:  # type: ignore[arg-type]
            refused = httpx.post(f"{url}{PATH}", json=ASKED)
    assert refused.status_code == 502
    assert said in refused.json()["error"]["message"]


def test_an_upstream_that_is_not_there_is_named_as_such(estimator: object) -> None:
    settings = Settings(upstream=Upstream("http://127.0.0.1:1/v1"))
    with listening(application(Guard(estimator, 0.5), settings)) as url:  # type: ignore[arg-type]
        refused = httpx.post(f"{url}{PATH}", json=ASKED)
    assert refused.status_code == 502
    assert refused.json()["error"]["code"] == "upstream_failed"


@pytest.mark.parametrize("url", ["ftp://x/v1", "nothing", "http://user:password@x/v1"])
def test_a_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as error:
        Upstream(url)
    assert "password" not in str(error.value)


def test_keys_are_not_shown() -> None:
    settings = Settings(upstream=Upstream("http://x/v1", key="secret-1"), token="secret-2")
    assert "secret" not in repr(settings)
