"""Chats that are forwarded: each answer has its confidence, or is withheld as the policy says."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.listening import ChatApi, answering, calling

from .conftest import Serving

PATH = "/v1/chat/completions"
RETRY = {"kind": "retry", "threshold": 0.5, "times": 2}
ESCALATE = {"kind": "escalate", "threshold": 0.5}
GATE = {"kind": "tools", "thresholds": {"pay": 0.9}}


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": f"say: {text}"}], **more}


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """The objects of a stream, which ends as it should."""
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def text_in(found: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for one in found for choice in one["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_an_answer_goes_on_with_its_confidence(serving: Serving) -> None:
    client = serving(0.5)
    found = client.post(PATH, json=chat("I am sure"))
    (choice,) = found.json()["choices"]
    assert choice["message"] == answering("I am sure")
    record = choice["ct_guard"]
    assert record["p"] == pytest.approx(0.95, abs=0.01)
    assert (record["action"], record["status"], record["attempts"]) == ("pass", "ok", 1)
    assert found.headers["x-ct-guard-p"] == f"{record['p']:.6f}"
    assert found.headers["x-request-id"] == "chat-1"
    assert found.json()["usage"]["total_tokens"] == 5


def test_the_upstream_is_asked_by_the_very_bytes(serving: Serving, api: ChatApi) -> None:
    client = serving("annotate")
    asked = chat("sure", temperature=0.3, tools=[], seed=7)
    client.post(PATH, json=asked)
    assert api.asked == [asked]


def test_an_answer_below_the_threshold_is_withheld(serving: Serving, api: ChatApi) -> None:
    api.beside = {"citations": ["a secret source"]}
    client = serving(0.5, abstain_message="Who knows?")
    found = client.post(PATH, json=chat("unsure secret", n=2))
    assert "secret" not in found.text
    for choice in found.json()["choices"]:
        assert choice["message"] == answering("Who knows?")
        assert (choice["finish_reason"], choice["ct_guard"]["action"]) == ("stop", "abstain")
    assert found.headers["x-ct-guard-action"] == "abstain"


def test_every_choice_is_judged_by_itself(serving: Serving, api: ChatApi) -> None:
    api.says = lambda body: [answering("sure"), answering("unsure")]
    client = serving(0.5)
    first, second = client.post(PATH, json=chat("", n=2)).json()["choices"]
    assert (first["message"]["content"], first["ct_guard"]["action"]) == ("sure", "pass")
    assert (second["message"]["content"], second["ct_guard"]["action"]) == (
        "I don't know.",
        "abstain",
    )


def test_a_withheld_object_is_a_refusal(serving: Serving) -> None:
    client = serving(0.5)
    asked = chat('{"answer": "unsure"}', response_format={"type": "json_object"})
    (choice,) = client.post(PATH, json=asked).json()["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": "I don't know.",
    }


def test_a_stream_goes_on_as_it_comes_and_ends_with_the_confidence(serving: Serving) -> None:
    client = serving("annotate")
    found = client.post(PATH, json=chat("one two unsure", stream=True))
    assert found.headers["content-type"].startswith("text/event-stream")
    told = chunks(found)
    assert text_in(told) == "one two unsure"
    (last,) = told[-1]["choices"]
    assert (last["index"], last["delta"]) == (0, {})
    assert last["ct_guard"]["p"] == pytest.approx(0.05, abs=0.01)
    assert {one["id"] for one in told} == {"chat-1"}
    assert all("ct_guard" not in choice for one in told[:-1] for choice in one["choices"])


def test_a_stream_that_may_be_withheld_is_held_until_it_is_decided(serving: Serving) -> None:
    client = serving(0.5)
    found = client.post(PATH, json=chat("one two sure", stream=True))
    assert float(found.headers["x-ct-guard-p"]) > 0.9
    told = chunks(found)
    assert text_in(told) == "one two sure"
    assert told[-1]["choices"][0]["ct_guard"]["action"] == "pass"


def test_nothing_of_a_withheld_answer_escapes_in_a_stream(serving: Serving, api: ChatApi) -> None:
    api.beside = {"citations": ["a secret source"]}
    client = serving(0.5)
    found = client.post(PATH, json=chat("unsure secret", stream=True))
    assert "secret" not in found.text
    told = chunks(found)
    assert text_in(told) == "I don't know."
    assert told[-1]["choices"][0]["ct_guard"]["action"] == "abstain"
    assert [c["finish_reason"] for one in told for c in one["choices"] if c["finish_reason"]] == [
        "stop"
    ]


def test_of_several_choices_in_a_stream_only_the_weak_one_is(
    serving: Serving, api: ChatApi
) -> None:
    api.says = lambda body: [answering("unsure secret"), answering("sure as can be")]
    client = serving(0.5)
    found = client.post(PATH, json=chat("", n=2, stream=True))
    assert "secret" not in found.text
    told = chunks(found)
    assert (text_in(told, 0), text_in(told, 1)) == ("I don't know.", "sure as can be")
    actions = [choice["ct_guard"]["action"] for choice in told[-1]["choices"]]
    assert actions == ["abstain", "pass"]


@pytest.mark.parametrize(("policy", "said"), [("annotate", "sure"), (0.5, "I don't know.")])
def test_an_answer_that_cannot_be_scored_is_held_back_unless_all_pass(
    serving: Serving, api: ChatApi, policy: Any, said: str
) -> None:
    api.says = lambda body: [answering("sure")]
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    client = serving(policy)
    asked = {"model": "small", "messages": [{"role": "user", "content": image}]}
    found = client.post(PATH, json=asked)
    (choice,) = found.json()["choices"]
    assert choice["message"]["content"] == said
    assert (choice["ct_guard"]["p"], choice["ct_guard"]["status"]) == (None, "unsupported")
    assert "x-ct-guard-p" not in found.headers


def test_a_weak_answer_is_asked_for_again(serving: Serving, api: ChatApi) -> None:
    said = iter(["unsure", "unsure", "sure"])
    api.says = lambda body: [answering(next(said))]
    client = serving(RETRY)
    (choice,) = client.post(PATH, json=chat("")).json()["choices"]
    assert choice["message"]["content"] == "sure"
    assert choice["ct_guard"]["attempts"] == 3


def test_then_a_stronger_model_is_asked(serving: Serving, api: ChatApi) -> None:
    api.says = lambda body: [answering("sure" if body["model"] == "large" else "unsure")]
    client = serving(ESCALATE, stronger=("middle", "large"))
    found = client.post(PATH, json=chat("", stream=True))
    told = chunks(found)
    assert text_in(told) == "sure"
    record = told[-1]["choices"][0]["ct_guard"]
    assert (record["model_index"], record["attempts"], record["action"]) == (2, 3, "pass")
    assert [body["model"] for body in api.asked] == ["small", "middle", "large"]


def test_without_a_stronger_model_the_answer_is_withheld(serving: Serving) -> None:
    client = serving(ESCALATE)
    (choice,) = client.post(PATH, json=chat("unsure")).json()["choices"]
    assert choice["ct_guard"]["action"] == "abstain"


def test_calls_of_tools_are_judged_each_by_itself(serving: Serving, api: ChatApi) -> None:
    api.says = lambda body: [calling(("look", {"for": "sure"}), ("pay", {"to": "unsure"}))]
    client = serving("annotate")
    for stream in (False, True):
        found = client.post(PATH, json=chat("", stream=stream))
        record = (chunks(found)[-1]["choices"][0] if stream else found.json()["choices"][0])[
            "ct_guard"
        ]
        assert record["calls"] == [pytest.approx(0.95, abs=0.01), pytest.approx(0.05, abs=0.01)]
        assert record["p"] == record["calls"][1]


def test_a_tool_gate_withholds_the_turn_that_calls_what_may_not_run(
    serving: Serving, api: ChatApi
) -> None:
    api.says = lambda body: [calling(("look", {"for": "x"}), ("pay", {"to": "secret"}))]
    client = serving(GATE)
    found = client.post(PATH, json=chat(""))
    assert "secret" not in found.text
    (choice,) = found.json()["choices"]
    assert "tool_calls" not in choice["message"]
    assert choice["ct_guard"]["reason"].startswith("pay: ")


def test_the_upstreams_error_is_the_clients(serving: Serving, api: ChatApi) -> None:
    api.status = 429
    client = serving(0.5)
    for stream in (False, True):
        refused = client.post(PATH, json=chat("sure", stream=stream))
        assert refused.status_code == 429
        assert refused.json()["error"]["message"] == "not today"
        assert refused.headers["retry-after"] == "7"


def test_a_stream_that_breaks_off_says_so(serving: Serving, api: ChatApi) -> None:
    api.breaks = True
    client = serving("annotate")
    found = client.post(PATH, json=chat("one two three", stream=True))
    last = [line for line in found.text.split("\n\n") if line][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_failed"
    assert "ct_guard" not in found.text


def test_a_held_stream_that_breaks_off_says_nothing_else(serving: Serving, api: ChatApi) -> None:
    api.breaks = True
    client = serving(0.5)
    refused = client.post(PATH, json=chat("secret one two", stream=True))
    assert refused.status_code == 502
    assert "secret" not in refused.text


def test_who_goes_away_is_not_answered_any_further(serving: Serving, api: ChatApi) -> None:
    api.pause = 0.02
    client = serving("annotate")
    asked = chat("word " * 500, stream=True)
    with client.stream("POST", PATH, json=asked) as response:
        next(response.iter_bytes())
    assert api.left.wait(30)


@pytest.mark.parametrize("stream", [True, False], ids=["held", "whole"])
def test_for_who_goes_away_before_the_answer_the_upstream_is_read_no_further(
    serving: Serving, api: ChatApi, stream: bool
) -> None:
    api.pause = 0.02
    client = serving(0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.post(PATH, json=chat("sure " * 1000, stream=stream), timeout=0.5)
    assert api.left.wait(5)
    counts = client.get("/metrics").text
    assert "ct_guard_calls_total 0" in counts
    assert 'path="/v1/chat/completions",status="499"} 1' in counts


@pytest.mark.slow
async def test_200_streams_at_once_are_not_mixed_up(serving: Serving, api: ChatApi) -> None:
    api.pause = 0.001
    url = serving("annotate").base_url
    limits = httpx.Limits(max_connections=None)

    async def ask(number: int) -> list[dict[str, Any]]:
        text = f"{number} is {'sure' if number % 2 else 'unsure'} of {number} {number}"
        told = chunks(await client.post(PATH, json=chat(text, stream=True)))
        assert text_in(told) == text
        return told

    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        found = await asyncio.gather(*map(ask, range(200)))
    assert len({told[0]["id"] for told in found}) == 200
    for number, told in enumerate(found):
        assert len({one["id"] for one in told}) == 1
        expected = 0.95 if number % 2 else 0.05
        assert told[-1]["choices"][0]["ct_guard"]["p"] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("body", "param"),
    [({"messages": []}, "messages"), ({"messages": [{"role": "user", "content": "?"}]}, "model")],
)
def test_a_request_that_is_none_is_not_sent_on(
    serving: Serving, api: ChatApi, body: dict[str, Any], param: str
) -> None:
    client = serving()
    refused = client.post(PATH, json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param
    assert not api.asked


def test_without_an_upstream_the_way_out_is_named(serving: Serving) -> None:
    client = serving(upstream=False)
    refused = client.post(PATH, json=chat("sure"))
    assert refused.status_code == 404
    assert "--upstream" in refused.json()["error"]["message"]


def test_the_upstreams_models_are_listed(serving: Serving) -> None:
    client = serving()
    assert client.get("/v1/models").json() == {"object": "list", "data": []}
