"""What a LiteLLM proxy asks of a guardrail: first about a request, then about its answer."""

from typing import Any

import httpx
import pytest

from ct_guard.serving.guardrail import Remembered

from .conftest import Serving

PATH = "/beta/litellm_basic_guardrail_api"
REPLACING = {"on_abstain": "replace"}


def asked(call: str = "c1", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "What is 7 plus 5?"}]
    return {
        "input_type": "request",
        "litellm_call_id": call,
        "texts": ["What is 7 plus 5?"],
        "structured_messages": messages,
        **more,
    }


def answered(*texts: str, call: str = "c1", **more: Any) -> dict[str, Any]:
    return {"input_type": "response", "litellm_call_id": call, "texts": list(texts), **more}


def verdict(client: httpx.Client, *bodies: dict[str, Any]) -> dict[str, Any]:
    """On the last of what is asked."""
    found = [client.post(PATH, json=body) for body in bodies]
    assert {each.status_code for each in found} == {200}
    last: dict[str, Any] = found[-1].json()
    return last


def test_a_request_passes_and_a_good_answer_does(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    assert verdict(client, asked()) == {"action": "NONE"}
    told = verdict(client, answered("sure"))
    assert told["action"] == "NONE"
    assert told["ct_guard"][0]["p"] == pytest.approx(0.95, abs=0.01)


def test_a_weak_answer_is_blocked_without_its_words(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    told = verdict(client, asked(), answered("unsure secret"))
    assert told["action"] == "BLOCKED"
    assert "p 0.047 < 0.500" in told["blocked_reason"]
    assert "secret" not in str(told)


def test_or_replaced_where_that_is_asked_for(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    told = verdict(
        client, asked(), answered("sure", "unsure", additional_provider_specific_params=REPLACING)
    )
    assert told["action"] == "GUARDRAIL_INTERVENED"
    assert told["texts"] == ["sure", "I don't know."]


def test_calls_of_tools_are_blocked_even_then(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    calls = [{"id": "a", "type": "function", "function": {"name": "pay", "arguments": '"unsure"'}}]
    told = verdict(
        client, asked(), answered(tool_calls=calls, additional_provider_specific_params=REPLACING)
    )
    assert told["action"] == "BLOCKED"


@pytest.mark.parametrize(
    "policy", [{"kind": "retry", "threshold": 0.5}, {"kind": "review", "threshold": 0.5}]
)
def test_what_nobody_can_carry_out_here_is_blocked(serving: Serving, policy: Any) -> None:
    client = serving(policy, upstream=False)
    assert verdict(client, asked(), answered("unsure"))["action"] == "BLOCKED"


@pytest.mark.parametrize(("policy", "action"), [(0.5, "BLOCKED"), ("annotate", "NONE")])
def test_an_answer_to_nothing_known_is_not_measured(
    serving: Serving, policy: Any, action: str
) -> None:
    client = serving(policy, upstream=False)
    told = verdict(client, answered("sure", call="never asked"))
    assert told["action"] == action
    assert told["ct_guard"][0]["p"] is None
    assert "[pre_call, post_call]" in told["ct_guard"][0]["error"]


def test_a_request_without_messages_is_known_by_its_texts(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    told = verdict(client, asked(structured_messages=None), answered("sure"))
    assert told["ct_guard"][0]["p"] > 0.9


def test_nothing_said_is_nothing_to_judge(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    assert verdict(client, answered()) == {"action": "NONE"}


def test_another_type_of_input_is_refused(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    refused = client.post(PATH, json={"input_type": "image"})
    assert refused.status_code == 400


def test_only_the_latest_conversations_are_remembered() -> None:
    kept = Remembered(most=2, characters=100)
    for call in ("a", "b", "c"):
        kept.keep(call, [call], 10)
    assert (kept.find("a"), kept.find("b"), kept.find("c")) == (None, ["b"], ["c"])
    kept.keep("c", ["again"], 95)
    assert (kept.find("b"), kept.find("c")) == (None, ["again"])
    kept.keep("d", ["too long"], 101)
    assert (kept.find("c"), kept.find("d")) == (None, None)
