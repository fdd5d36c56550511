"""GuardedChatModel streams: live where every answer passes, held where it may be replaced."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool

from ct_guard.errors import BackendError
from ct_guard.estimators import Estimator
from ct_guard.policies import OnError
from ct_guard.testing import FakeBackend
from ct_guard_langchain import GuardedChatModel, get_confidence
from tests.confidences import p_of, record_of
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator

HELD: dict[str, Any] = {"policy": 0.7}
LIVE: dict[str, Any] = {"policy": "annotate"}
FORCED_LIVE: dict[str, Any] = {"policy": 0.7, "hold_stream": False}


class Telling(BaseChatModel):
    """Streams these chunks; an exception among them is raised in its place."""

    chunks: list[Any]
    told: list[Any] = []
    """What was sent so far."""

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        text = "".join(str(chunk) for chunk in self.chunks if not isinstance(chunk, Exception))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            self.told.append(chunk)
            message = AIMessageChunk(content=chunk) if isinstance(chunk, str) else chunk
            yield ChatGenerationChunk(message=message)

    @property
    def _llm_type(self) -> str:
        return "telling"


class AsyncOnly(Telling):
    """Streams to async callers only."""

    _stream = BaseChatModel._stream

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in Telling._stream(self):
            yield chunk


async def parts(model: Any, question: str, how: str) -> list[AIMessageChunk]:
    if how == "stream":
        return list(model.stream(question))
    return [part async for part in model.astream(question)]


def whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return reduce(add, chunks)


def records(chunks: list[Any]) -> list[Any]:
    return [chunk.response_metadata["ct_guard"] for chunk in chunks if get_confidence(chunk)]


both = pytest.mark.parametrize("how", ["stream", "astream"])


# --- live -----------------------------------------------------------------------------------------


@both
async def test_a_live_stream_ends_in_an_empty_chunk_with_the_only_record(
    estimator: Estimator, how: str
) -> None:
    inner = RuleChatModel(reply="I am quite sure of it.")
    model = GuardedChatModel(inner=inner, estimator=estimator, **LIVE)
    chunks = await parts(model, "?", how)
    assert [chunk.content for chunk in chunks[:3]] == ["I ", "am ", "quite "]
    assert len(records(chunks)) == 1
    assert (chunks[-1].content, chunks[-1].chunk_position) == ("", "last")
    assert records(chunks[-1:])[0]["p"] > 0.9
    assert [chunk.chunk_position for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    said = whole(chunks)
    assert said.content == "I am quite sure of it."
    assert said.usage_metadata == inner.invoke("?").usage_metadata
    assert get_confidence(said) == records(chunks)[0]


def test_a_live_stream_is_not_behind_the_model(estimator: Estimator) -> None:
    inner = Telling(chunks=["I ", "am ", "sure"])
    stream = GuardedChatModel(inner=inner, estimator=estimator, **LIVE).stream("?")
    assert next(stream).content == "I "
    assert inner.told == ["I "]


@both
async def test_what_is_streamed_live_is_recorded_and_not_taken_back(
    estimator: Estimator, how: str
) -> None:
    large = RuleChatModel(reply="sure")
    model = GuardedChatModel(
        inner=RuleChatModel(reply="so unsure"), estimator=estimator, models=[large], **FORCED_LIVE
    )
    said = whole(await parts(model, "?", how))
    record = record_of(said)
    assert said.content == "so unsure"
    assert (record["action"], record["attempts"], record["model_index"]) == ("abstain", 1, 0)
    assert "original" not in record
    assert large.asked == []


@both
async def test_a_stream_that_breaks_is_the_callers_after_what_it_said(
    estimator: Estimator, how: str
) -> None:
    inner = Telling(chunks=["I ", "am ", ConnectionError("line is down")])
    model = GuardedChatModel(inner=inner, estimator=estimator, **LIVE)
    heard: list[Any] = []

    async def listen() -> None:
        if how == "stream":
            for chunk in model.stream("?"):
                heard.append(chunk.content)
        async for chunk in model.astream("?"):
            heard.append(chunk.content)

    with pytest.raises(ConnectionError, match="line is down"):
        await listen()
    assert heard == ["I ", "am "]


@both
@pytest.mark.parametrize("options", [LIVE, HELD], ids=["live", "held"])
async def test_a_stream_of_nothing_is_one_clear_error(
    estimator: Estimator, how: str, options: Any
) -> None:
    class Silent(Telling):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[])

    model = GuardedChatModel(inner=Silent(chunks=[]), estimator=estimator, **options)
    with pytest.raises(BackendError, match=r"Silent .* nothing: there is no answer to score"):
        await parts(model, "?", how)


@both
async def test_parts_without_text_are_an_empty_answer(estimator: Estimator, how: str) -> None:
    model = GuardedChatModel(inner=Telling(chunks=["", ""]), estimator=estimator, **LIVE)
    record = record_of(whole(await parts(model, "?", how)))
    assert (record["status"], record["p"], record["action"]) == ("empty", None, "pass")


@both
@pytest.mark.parametrize(
    ("on_error", "action"), [("pass", "pass"), ("block", "abstain"), ("raise", None)]
)
async def test_what_cannot_be_scored_goes_by_on_error_in_streams_too(
    make_estimator: MakeEstimator,
    failing: FakeBackend,
    how: str,
    on_error: OnError,
    action: str | None,
) -> None:
    model = GuardedChatModel(
        inner=RuleChatModel(reply="I am sure"),
        estimator=make_estimator(backend=failing),
        on_error=on_error,
        **LIVE,
    )
    if on_error == "raise":
        with pytest.raises(BackendError, match="the engine failed"):
            await parts(model, "?", how)
        return
    said = whole(await parts(model, "?", how))
    record = record_of(said)
    assert said.content == ("I don't know." if action == "abstain" else "I am sure")
    assert (record["status"], record["action"]) == ("error", action)
    assert record["error"] == "the engine failed"


@pytest.fixture
def failing() -> FakeBackend:
    class Deaf(FakeBackend):
        def score(self, *args: Any, **kwargs: Any) -> Any:
            raise BackendError("the engine failed")

    return Deaf()


@both
async def test_the_record_of_an_inner_model_gives_way(
    estimator: Estimator, make_estimator: MakeEstimator, how: str
) -> None:
    """Two records on two chunks could not be merged."""
    inside = GuardedChatModel(
        inner=RuleChatModel(reply="I am sure"),
        estimator=make_estimator(logit=lambda _: 0.5, name="inside"),
        **LIVE,
    )
    model = GuardedChatModel(inner=inside, estimator=estimator, **LIVE)
    chunks = await parts(model, "?", how)
    assert [record["estimator"] for record in records(chunks)] == ["fake"]
    assert p_of(whole(chunks)) > 0.9


# --- held -----------------------------------------------------------------------------------------


@both
async def test_nothing_is_streamed_of_an_answer_that_is_replaced(
    estimator: Estimator, how: str
) -> None:
    model = GuardedChatModel(inner=RuleChatModel(reply="so unsure"), estimator=estimator, **HELD)
    chunks = await parts(model, "?", how)
    assert [chunk.content for chunk in chunks] == ["I don't know.", ""]
    assert len(records(chunks)) == 1
    record = record_of(whole(chunks))
    assert (record["action"], record["original"]) == ("abstain", None)


@both
async def test_the_answer_that_is_streamed_is_the_one_that_counts(
    estimator: Estimator, how: str
) -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    large = RuleChatModel(reply="now sure", model_name="large")
    model = GuardedChatModel(
        inner=RuleChatModel(reply="so unsure"), estimator=estimator, models=[large], **HELD
    )
    said = whole(await parts(model, "?", how))
    record = record_of(said)
    assert said.content == "now sure"
    assert said.usage_metadata == usage
    assert said.response_metadata["model_name"] == "large"
    assert (record["action"], record["attempts"], record["model_index"]) == ("pass", 2, 1)
    assert record["discarded_usage"] == usage


@both
async def test_held_retries_ask_again(estimator: Estimator, how: str) -> None:
    inner = RuleChatModel(reply="so unsure")
    policy = {"kind": "retry", "threshold": 0.7, "times": 2}
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=policy)
    said = whole(await parts(model, "?", how))
    assert said.content == "I don't know."
    assert len(inner.asked) == record_of(said)["attempts"] == 3


@both
async def test_a_model_that_fails_while_held_is_the_callers(estimator: Estimator, how: str) -> None:
    class Down(Telling):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            raise ConnectionError("line is down")

    model = GuardedChatModel(inner=Down(chunks=["sure"]), estimator=estimator, **HELD)
    with pytest.raises(ConnectionError, match="line is down"):
        await parts(model, "?", how)


@pytest.mark.parametrize(
    ("options", "held"),
    [
        ({"policy": "annotate"}, False),
        ({"policy": 0.7}, True),
        ({"policy": {"kind": "escalate", "threshold": 0.7, "otherwise": "pass"}}, True),
        ({"policy": "annotate", "on_error": "pass"}, False),
        ({"policy": "annotate", "on_error": "block"}, True),
        ({"policy": "annotate", "on_error": "raise"}, True),
        ({"policy": "annotate", "on_error": "block", "hold_stream": False}, False),
        ({"policy": "annotate", "hold_stream": True}, True),
        ({"policy": 0.7, "hold_stream": False}, False),
    ],
)
def test_a_stream_is_held_where_an_answer_may_be_replaced_unless_told(
    estimator: Estimator, options: dict[str, Any], held: bool
) -> None:
    inner = RuleChatModel(reply="I am sure")
    chunks = list(GuardedChatModel(inner=inner, estimator=estimator, **options).stream("?"))
    assert (chunks[0].content == "I am sure") == held


# --- tools, content blocks, events ----------------------------------------------------------------


@tool
def be_sure(about: str) -> str:
    """Be sure about something."""
    return about


@both
@pytest.mark.parametrize("options", [LIVE, HELD], ids=["live", "held"])
async def test_streamed_calls_are_whole_and_scored(
    estimator: Estimator, how: str, options: Any
) -> None:
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, **options)
    bound = model.bind_tools([be_sure], tool_choice="any")
    said = whole(await parts(bound, "about 'cats'", how))
    assert [(call["name"], call["args"]) for call in said.tool_calls] == [
        ("be_sure", {"about": "cats"})
    ]
    record = record_of(said)
    assert (record["turn"], record["action"]) == ("tool_call", "pass")
    assert p_of(said) > 0.9


@both
@pytest.mark.parametrize("options", [LIVE, HELD], ids=["live", "held"])
async def test_content_blocks_of_version_1_are_scored_as_text(
    estimator: Estimator, how: str, options: Any
) -> None:
    model = GuardedChatModel(
        inner=RuleChatModel(reply="I am sure"),
        estimator=estimator,
        output_version="v1",
        **options,
    )
    said = whole(await parts(model, "?", how))
    blocks: Any = said.content
    assert [block["type"] for block in blocks] == ["text"]
    assert said.text == "I am sure"
    assert p_of(said) > 0.9
    answer = model.invoke("?")
    assert answer.content == [{"type": "text", "text": "I am sure"}]
    assert get_confidence(answer) == get_confidence(said)


@pytest.mark.parametrize("options", [LIVE, HELD], ids=["live", "held"])
async def test_events_carry_the_record_once(estimator: Estimator, options: Any) -> None:
    model = GuardedChatModel(inner=RuleChatModel(reply="I am sure"), estimator=estimator, **options)
    events = [event async for event in model.astream_events("?")]
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("on_chat_model_start", "on_chat_model_end")
    streamed = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
    assert len(records(streamed)) == 1
    assert get_confidence(events[-1]["data"]["output"]) == records(streamed)[0]


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("options", [LIVE, HELD], ids=["live", "held"])
async def test_the_content_block_protocol_keeps_the_record(
    estimator: Estimator, options: Any
) -> None:
    model = GuardedChatModel(inner=RuleChatModel(reply="I am sure"), estimator=estimator, **options)
    stream = model.stream_events("?", version="v3")
    assert [event["event"] for event in stream][-1] == "message-finish"
    assert stream.output.text == "I am sure"
    assert p_of(stream.output) > 0.9
    astream = await model.astream_events("?", version="v3")
    assert get_confidence(await astream.output) == get_confidence(stream.output)


class Tokens(BaseCallbackHandler):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.heard.append(token)


@pytest.mark.parametrize(
    ("options", "heard"),
    [(LIVE, ["so ", "unsure", "", ""]), (HELD, ["I don't know.", ""])],
    ids=["live", "held"],
)
def test_callbacks_hear_the_tokens_that_the_caller_hears(
    estimator: Estimator, options: Any, heard: list[str]
) -> None:
    tokens = Tokens()
    inner = RuleChatModel(reply="so unsure")
    model = GuardedChatModel(inner=inner, estimator=estimator, **options)
    list(model.stream("?", config={"callbacks": [tokens]}))
    assert tokens.heard == heard


# --- who can stream -------------------------------------------------------------------------------


class Streaming(RuleChatModel):
    streaming: bool = True


def test_a_model_that_was_told_to_stream_streams_also_when_invoked(estimator: Estimator) -> None:
    tokens = Tokens()
    inner = Streaming(reply="I am sure", streaming=True)
    model = GuardedChatModel(inner=inner, estimator=estimator, **LIVE)
    answer = model.invoke("?", config={"callbacks": [tokens]})
    assert "".join(tokens.heard) == answer.content == "I am sure"
    assert p_of(answer) > 0.9


@both
@pytest.mark.parametrize("options", [LIVE, HELD], ids=["live", "held"])
@pytest.mark.parametrize(
    "inner",
    [
        FakeMessagesListChatModel(responses=[AIMessage("I am sure")]),
        RuleChatModel(reply="I am sure", disable_streaming=True),
        Streaming(reply="I am sure", streaming=False),
    ],
    ids=["no stream", "disabled", "streaming=False"],
)
async def test_a_model_that_does_not_stream_gives_its_answer_in_one(
    estimator: Estimator, how: str, options: Any, inner: Any
) -> None:
    model = GuardedChatModel(inner=inner, estimator=estimator, **options)
    (answer,) = await parts(model, "?", how)
    assert answer.content == "I am sure"
    assert p_of(answer) > 0.9


@both
async def test_a_model_that_streams_to_async_callers_only(estimator: Estimator, how: str) -> None:
    inner = AsyncOnly(chunks=["I ", "am ", "sure"])
    chunks = await parts(GuardedChatModel(inner=inner, estimator=estimator, **LIVE), "?", how)
    assert len(chunks) == (2 if how == "stream" else 4)
    assert whole(chunks).content == "I am sure"
    assert p_of(whole(chunks)) > 0.9


def test_a_model_that_does_not_stream_calls_says_so_for_the_guarded_one(
    estimator: Estimator,
) -> None:
    inner = RuleChatModel(disable_streaming="tool_calling")
    model = GuardedChatModel(inner=inner, estimator=estimator, **LIVE)
    assert not model._streaming_disabled()
    assert model._streaming_disabled(tools=[{}])


async def test_streams_side_by_side_keep_their_own_records(make_estimator: MakeEstimator) -> None:
    model = GuardedChatModel(
        inner=RuleChatModel(),
        estimator=make_estimator(logit=lambda text: int(text.rpartition("-")[2]) / 10),
        **LIVE,
    )

    async def ask(number: int) -> tuple[Any, float | None]:
        said = whole([part async for part in model.astream(f"nonce-{number}")])
        return said.content, record_of(said)["logit"]

    heard = await asyncio.gather(*(ask(number) for number in range(50)))
    assert [content for content, _ in heard] == [f"nonce-{number}" for number in range(50)]
    assert [logit for _, logit in heard] == pytest.approx([n / 10 for n in range(50)], abs=1e-5)
