"""The real LiteLLM proxy, in both places: with a server of confidences as its guardrail, and in
front of one as its model. `make litellm` installs the proxy into an environment of its own."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ct_guard.guard import Guard
from ct_guard.serving import Settings, Upstream, application
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on
from tests.listening import ChatApi, answering, listening

LITELLM = os.environ.get("LITELLM", "")
if not LITELLM:
    pytest.skip(
        "LITELLM names no LiteLLM proxy: `make litellm` installs one and runs these tests",
        allow_module_level=True,
    )

TOKEN = "a-token-of-the-tests"
MASTER = "sk-of-the-tests"
CONFIG = """
model_list:
  - model_name: plain
    litellm_params: {{model: openai/m, api_base: {behind}/v1, api_key: none}}
  - model_name: guarded
    litellm_params: {{model: openai/m, api_base: {guarding}/v1, api_key: {token}}}
guardrails:
  - guardrail_name: blocking
    litellm_params:
      guardrail: generic_guardrail_api
      mode: [pre_call, post_call]
      api_base: {guarding}
      api_key: {token}
      streaming_buffer_until_moderated: true
  - guardrail_name: replacing
    litellm_params:
      guardrail: generic_guardrail_api
      mode: [pre_call, post_call]
      api_base: {guarding}
      api_key: {token}
      additional_provider_specific_params: {{on_abstain: replace}}
general_settings: {{master_key: {master}}}
"""


def _says(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [answering(str(body["messages"][-1]["content"]).split(": ")[-1])]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the proxy."""
    folder = tmp_path_factory.mktemp("litellm")
    estimator = estimator_on(FakeBackend(logit=by_word))
    with listening(ChatApi(_says).app) as behind:
        settings = Settings(upstream=Upstream(f"{behind}/v1"), token=TOKEN)
        with listening(application(Guard(estimator, 0.5), settings)) as guarding:
            config = folder / "config.yaml"
            about = {"behind": behind, "guarding": guarding, "token": TOKEN, "master": MASTER}
            config.write_text(CONFIG.format(**about))
            with _running(config, folder / "log.txt") as client:
                yield client


@contextmanager
def _running(config: Path, log: Path) -> Iterator[httpx.Client]:
    """The proxy, and a client that shows its key."""
    port = _free_port()
    command = [LITELLM, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    local = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | local)
    headers = {"Authorization": f"Bearer {MASTER}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            client.timeout = httpx.Timeout(120)
            until = time.monotonic() + 300
            while not _answers(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.5)
            yield client
    finally:
        process.kill()
        process.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/liveliness").status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port: int = place.getsockname()[1]
        return port


def ask(proxy: httpx.Client, text: str, model: str = "plain", **more: Any) -> httpx.Response:
    messages = [{"role": "user", "content": f"say: {text}"}]
    return proxy.post("/v1/chat/completions", json={"model": model, "messages": messages, **more})


@pytest.mark.parametrize("stream", [False, True])
def test_a_good_answer_passes_the_guardrail(proxy: httpx.Client, stream: bool) -> None:
    found = ask(proxy, "I am sure", guardrails=["blocking"], stream=stream)
    assert found.status_code == 200, found.text
    assert "sure" in found.text


def test_a_servers_confidence_is_passed_on_among_the_headers(proxy: httpx.Client) -> None:
    found = ask(proxy, "I am sure", model="guarded")
    assert float(found.headers["llm_provider-x-ct-guard-p"]) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("stream", [False, True])
def test_a_weak_one_is_blocked(proxy: httpx.Client, stream: bool) -> None:
    found = ask(proxy, "unsure secret", guardrails=["blocking"], stream=stream)
    assert "withheld by the policy" in found.text
    assert "secret" not in found.text


def test_or_replaced(proxy: httpx.Client) -> None:
    found = ask(proxy, "unsure secret", guardrails=["replacing"])
    assert found.json()["choices"][0]["message"]["content"] == "I don't know."


@pytest.mark.parametrize("stream", [False, True])
def test_in_front_of_a_server_of_confidences_it_delivers_what_that_does(
    proxy: httpx.Client, stream: bool
) -> None:
    found = ask(proxy, "I am sure", model="guarded", stream=stream)
    assert found.status_code == 200, found.text
    withheld = ask(proxy, "unsure secret", model="guarded", stream=stream)
    assert "secret" not in withheld.text
    assert "know" in withheld.text
