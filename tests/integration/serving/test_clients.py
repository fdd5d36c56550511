"""The clients that people have, pointed at a server of confidences: nothing of theirs is changed
but the URL."""

from collections.abc import Iterator
from typing import Any

import pytest

from ct_guard.guard import Guard
from ct_guard.serving import Settings, Upstream, application
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on
from tests.listening import ChatApi, answering, calling, listening

openai = pytest.importorskip("openai", reason="openai is not installed: the extra 'dev' brings it")

SURE = [{"role": "user", "content": "say: sure as can be"}]
UNSURE = [{"role": "user", "content": "say: unsure secret"}]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "said", "schema": {"type": "object"}},
}


def _says(body: dict[str, Any]) -> list[dict[str, Any]]:
    said = str(body["messages"][-1]["content"]).split(": ")[-1]
    if body.get("tools"):
        return [calling(("pay", {"to": said}))]
    return [answering(said)]


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """Of servers by what they decide: `annotate`, and `guarded` at 0.5."""
    estimator = estimator_on(FakeBackend(logit=by_word))
    with listening(ChatApi(_says).app) as behind:
        settings = Settings(upstream=Upstream(f"{behind}/v1"))
        annotating = application(Guard(estimator, "annotate"), settings)
        guarded = application(Guard(estimator, 0.5), settings)
        with listening(annotating) as one, listening(guarded) as other:
            yield {"annotate": f"{one}/v1", "guarded": f"{other}/v1"}


@pytest.fixture(params=["annotate", "guarded"])
def client(urls: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Any]:
    with openai.OpenAI(base_url=urls[request.param], api_key="mine") as made:
        yield made


@pytest.fixture
def guarded(urls: dict[str, str]) -> Iterator[Any]:
    with openai.OpenAI(base_url=urls["guarded"], api_key="mine") as made:
        yield made


def test_openai_reads_the_confidence_of_a_completion(client: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(model="m", messages=SURE)
    made = raw.parse()
    assert made.choices[0].message.content == "sure as can be"
    assert made.choices[0].ct_guard["p"] == pytest.approx(0.95, abs=0.01)
    assert float(raw.headers["x-ct-guard-p"]) == pytest.approx(0.95, abs=0.01)


def test_and_of_a_stream(client: Any) -> None:
    parts = list(client.chat.completions.create(model="m", messages=SURE, stream=True))
    said = [choice.delta.content for part in parts for choice in part.choices]
    assert "".join(filter(None, said)) == "sure as can be"
    assert parts[-1].choices[0].ct_guard["action"] == "pass"


def test_its_helper_for_streams_puts_them_together(client: Any) -> None:
    with client.chat.completions.stream(model="m", messages=SURE) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        made = stream.get_final_completion()
    assert made.choices[0].message.content == "sure as can be"
    assert made.choices[0].finish_reason == "stop"
    assert chunks[-1].choices[0].ct_guard["p"] == pytest.approx(0.95, abs=0.01)


def test_a_withheld_answer_is_not_in_what_it_reads(guarded: Any) -> None:
    made = guarded.chat.completions.create(model="m", messages=UNSURE)
    assert made.choices[0].message.content == "I don't know."
    assert "secret" not in made.model_dump_json()
    parts = list(guarded.chat.completions.create(model="m", messages=UNSURE, stream=True))
    assert not any("secret" in part.model_dump_json() for part in parts)


def test_a_withheld_object_is_a_refusal_to_it(guarded: Any) -> None:
    made = guarded.chat.completions.create(model="m", messages=UNSURE, response_format=SCHEMA)
    assert made.choices[0].message.refusal == "I don't know."


def test_its_errors_are_what_they_are(guarded: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="at least one"):
        guarded.chat.completions.create(model="m", messages=[])
    with pytest.raises(openai.NotFoundError, match="not served"):
        guarded.embeddings.create(model="m", input="x")


async def test_its_asynchronous_client_does_the_same(urls: dict[str, str]) -> None:
    async with openai.AsyncOpenAI(base_url=urls["guarded"], api_key="mine") as client:
        stream = await client.chat.completions.create(model="m", messages=SURE, stream=True)
        parts = [part async for part in stream]
    assert parts[-1].choices[0].ct_guard["p"] == pytest.approx(0.95, abs=0.01)


class TestLangChain:
    """`ChatOpenAI` keeps no field of a choice that it does not know; it keeps headers where it is
    told to."""

    @pytest.fixture
    def model(self, urls: dict[str, str]) -> Any:
        module = pytest.importorskip(
            "langchain_openai", reason="langchain-openai is not installed: extra 'dev'"
        )
        return module.ChatOpenAI(
            model="m", base_url=urls["guarded"], api_key="mine", include_response_headers=True
        )

    def test_the_confidence_is_among_the_headers(self, model: Any) -> None:
        message = model.invoke("say: sure as can be")
        assert message.text == "sure as can be"
        headers = message.response_metadata["headers"]
        assert float(headers["x-ct-guard-p"]) == pytest.approx(0.95, abs=0.01)
        assert headers["x-ct-guard-action"] == "pass"

    def test_also_of_a_stream_that_was_held(self, model: Any) -> None:
        whole = None
        for part in model.stream("say: sure as can be"):
            whole = part if whole is None else whole + part
        assert whole is not None
        assert whole.text == "sure as can be"
        assert float(whole.response_metadata["headers"]["x-ct-guard-p"]) > 0.9

    def test_a_withheld_call_of_a_tool_is_none(self, model: Any) -> None:
        tool = {"name": "pay", "description": "Pay", "parameters": {"type": "object"}}
        asking = model.bind_tools([tool])
        assert asking.invoke("say: sure").tool_calls[0]["args"] == {"to": "sure"}
        message = asking.invoke("say: unsure")
        assert (message.text, message.tool_calls) == ("I don't know.", [])

    async def test_it_streams_without_blocking(self, model: Any) -> None:
        said = [part.text async for part in model.astream("say: unsure secret")]
        await model.root_async_client.close()  # it keeps its connections, and outlives this loop
        assert "".join(said) == "I don't know."

    @pytest.mark.filterwarnings("ignore:The class `OpenAIDecisions` is in beta")
    def test_openais_decisions_are_answered(self, urls: dict[str, str]) -> None:
        module = pytest.importorskip(
            "langchain_openai.decisions", reason="this langchain-openai asks no decisions yet"
        )
        asking = module.OpenAIDecisions(model="m", base_url=urls["guarded"], api_key="mine")
        questions = {
            "team": module.Choice(
                instructions="Which team?", choices={"sure": "Nothing else fits.", "unsure": None}
            ),
            "urgent": module.Predicate(instructions="Is it urgent?"),
            "anger": module.Score(instructions="How angry?", levels=["calm", "angry"]),
        }
        made = asking.invoke({"input": "It failed.", "questions": questions})
        assert made.choices["team"].choice == "sure"
        assert made.predicates["urgent"].probability == pytest.approx(0.5)
        assert made.scores["anger"].legend == {0: "calm", 1: "angry"}
