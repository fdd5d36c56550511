"""`smol` between the openai client and a real llama-server: nothing on the way is played."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ct_guard import Estimator
from ct_guard.guard import Guard
from ct_guard.serving import Settings, Upstream, application
from tests.listening import listening
from tests.llama_server import running_llama_server
from tests.present import present

openai = pytest.importorskip("openai", reason="openai is not installed: the extra 'dev' brings it")

ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Who wrote Hamlet?"}],
    "max_tokens": 8,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def estimator(smol_estimator: Callable[[str], Estimator]) -> Estimator:
    return smol_estimator("llama_cpp")


@pytest.fixture(scope="module")
def client(smol_gguf: Path, estimator: Estimator) -> Iterator[Any]:
    with running_llama_server(smol_gguf) as upstream:
        settings = Settings(upstream=Upstream(f"{upstream}/v1"))
        with (
            listening(application(Guard(estimator, "annotate"), settings)) as url,
            openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=120) as made,
        ):
            yield made


def test_an_answer_comes_with_its_confidence_whole_and_as_a_stream(
    client: Any, estimator: Estimator
) -> None:
    model = client.models.list().data[0].id
    whole = client.chat.completions.create(model=model, **ASKED)
    text, told = whole.choices[0].message.content, whole.choices[0].ct_guard
    assert text
    assert (told["status"], told["estimator"], told["calibrated"]) == ("ok", "smol", True)
    parts = list(client.chat.completions.create(model=model, stream=True, **ASKED))
    said = [choice.delta.content for part in parts for choice in part.choices]
    assert "".join(filter(None, said)) == text
    noise = present(estimator.arithmetic.noise)
    assert parts[-1].choices[0].ct_guard["logit"] == pytest.approx(told["logit"], abs=noise)
