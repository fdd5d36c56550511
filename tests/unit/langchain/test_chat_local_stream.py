"""ChatLocal's streams and conversations, on every backend that generates."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig

from ct_guard.backends import Backend
from ct_guard.errors import BackendError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ChatLocal, get_confidence
from tests.confidences import record_of, usage_of
from tests.unit.langchain.conftest import MakeEstimator

QUESTION = "What is 2 plus 2?"
REPLY = "I think it is 4."


@pytest.fixture(scope="module", params=["fake", "transformers", "llama_cpp"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    made: Backend = FakeBackend()
    if request.param == "transformers":
        from ct_guard.backends.transformers import TransformersBackend

        made = TransformersBackend.load(request.getfixturevalue("tiny_base"), device="cpu")
    if request.param == "llama_cpp":
        from ct_guard.backends.llama_cpp import LlamaCppBackend

        made = LlamaCppBackend.load(request.getfixturevalue("tiny_gguf"), kv_type="f32", threads=1)
    yield made
    made.close()


@pytest.fixture
def local(make_estimator: MakeEstimator, backend: Backend) -> Estimator:
    return make_estimator(backend=backend)


@pytest.fixture(scope="module", params=["transformers", "llama_cpp"])
def mini(request: pytest.FixtureRequest) -> Iterator[Estimator]:
    """A trained model: it says again what it said, in the same tokens."""
    made = load_estimator("mini", backend=request.param)
    yield made
    made.close()


def total(parts: list[AIMessageChunk]) -> AIMessageChunk:
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    return whole


# --- what comes when ------------------------------------------------------------------------------


async def test_a_stream_says_what_invoke_says_and_ends_in_its_record(local: Estimator) -> None:
    model = ChatLocal(estimator=local, max_tokens=14)
    whole = model.invoke(QUESTION)
    for parts in (
        list(model.stream(QUESTION)),
        [part async for part in model.astream(QUESTION)],
    ):
        assert len(parts) > 3
        assert all(part.text for part in parts[:-1])
        assert parts[-1].text == ""
        assert [part.chunk_position for part in parts] == [None] * (len(parts) - 1) + ["last"]
        assert [get_confidence(part) is None for part in parts] == [
            part.chunk_position != "last" for part in parts
        ]
        assert all(part.usage_metadata is None for part in parts[:-1])
        joined = total(parts)
        assert joined.text == whole.text
        assert record_of(joined)["p"] == pytest.approx(record_of(whole)["p"], abs=1e-4)
        for name in ("finish_reason", "model_name"):
            assert joined.response_metadata[name] == whole.response_metadata[name]
        for name, count in usage_of(whole).items():
            if name.endswith("_tokens"):
                assert usage_of(joined).get(name) == count


def test_text_is_streamed_as_it_is_made(make_estimator: MakeEstimator) -> None:
    """The first part is there before the second token is computed."""
    backend = Gated(at=2)
    parts = ChatLocal(estimator=make_estimator(backend=backend)).stream(QUESTION)
    assert next(parts).text == "I"
    assert next(parts).text == " "
    assert not backend.waiting.is_set()
    backend.gate.set()
    assert "".join(part.text for part in parts) == REPLY[2:]


def test_characters_come_whole_and_stop_sequences_never(make_estimator: MakeEstimator) -> None:
    backend = FakeBackend(reply="naïve 東京 😀.\n\nQuestion: more")
    model = ChatLocal(estimator=make_estimator(backend=backend), stop=["\n\nQuestion:"])
    parts = [part.text for part in model.stream(QUESTION)]
    assert parts == [*"naïve 東京 😀.", ""]


class Counting(BaseCallbackHandler):
    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.ends: list[Any] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.ends.append(response)


async def test_callbacks_hear_every_part_once_and_the_record_at_the_end(estimator: Any) -> None:
    model = ChatLocal(estimator=estimator)
    for asynchronous in (False, True):
        handler = Counting()
        config: RunnableConfig = {"callbacks": [handler]}
        if asynchronous:
            _ = [part async for part in model.astream(QUESTION, config)]
        else:
            _ = list(model.stream(QUESTION, config))
        assert handler.tokens == [*REPLY, ""]
        (end,) = handler.ends
        assert record_of(end)["p"] == 0.5


# --- held until the decision ----------------------------------------------------------------------


async def both(model: ChatLocal) -> list[list[AIMessageChunk]]:
    return [list(model.stream(QUESTION)), [part async for part in model.astream(QUESTION)]]


async def test_what_may_be_replaced_is_not_streamed_before_the_decision(
    make_estimator: MakeEstimator,
) -> None:
    weak = make_estimator(logit=lambda answer: -3.0)
    for parts in await both(ChatLocal(estimator=weak, policy=0.7, abstain_message="No idea.")):
        assert [part.text for part in parts] == ["No idea.", ""]
        record = record_of(parts[-1])
        assert (record["action"], record["original"]) == ("abstain", None)
        assert usage_of(parts[-1])["output_tokens"] == len(REPLY)


async def test_a_held_answer_that_passes_comes_at_once(make_estimator: MakeEstimator) -> None:
    strong = make_estimator(logit=lambda answer: 3.0)
    for parts in await both(ChatLocal(estimator=strong, policy=0.7)):
        assert [part.text for part in parts] == [REPLY, ""]
        assert record_of(parts[-1])["action"] == "pass"


async def test_holding_is_a_choice(make_estimator: MakeEstimator) -> None:
    weak = make_estimator(logit=lambda answer: -3.0)
    for parts in await both(ChatLocal(estimator=weak, policy=0.7, hold_stream=False)):
        assert [part.text for part in parts] == [*REPLY, ""]
        record = record_of(parts[-1])
        assert record["action"] == "abstain"
        assert "original" not in record
    for parts in await both(ChatLocal(estimator=weak, hold_stream=True)):
        assert [part.text for part in parts] == [REPLY, ""]


class Deaf(FakeBackend):
    def score(self, *args: Any, **kwargs: Any) -> Any:
        raise BackendError("the engine failed")


@pytest.mark.parametrize(
    ("options", "texts", "action"),
    [
        ({}, [*REPLY, ""], "pass"),
        ({"on_error": "pass"}, [*REPLY, ""], "pass"),
        ({"on_error": "block"}, ["I don't know.", ""], "abstain"),
        ({"on_error": "block", "hold_stream": False}, [*REPLY, ""], "abstain"),
        ({"policy": 0.7}, ["I don't know.", ""], "abstain"),
    ],
    ids=str,
)
async def test_an_answer_that_cannot_be_scored_leaves_by_no_stream_that_may_keep_it_back(
    make_estimator: MakeEstimator, options: Any, texts: list[str], action: str
) -> None:
    model = ChatLocal(estimator=make_estimator(backend=Deaf()), **options)
    for parts in await both(model):
        record = record_of(parts[-1])
        assert [part.text for part in parts] == texts
        assert (record["action"], record["error"]) == (action, "the engine failed")


async def test_where_it_raises_nothing_was_streamed_before(make_estimator: MakeEstimator) -> None:
    model = ChatLocal(estimator=make_estimator(backend=Deaf()), on_error="raise")
    seen: list[Any] = []
    with pytest.raises(BackendError, match="the engine failed"):
        seen += model.stream(QUESTION)
    parts = model.astream(QUESTION)
    with pytest.raises(BackendError, match="the engine failed"):
        await anext(parts)
    assert seen == []


@pytest.mark.parametrize("hold", [True, False])
async def test_an_empty_answer_is_only_an_end(make_estimator: MakeEstimator, hold: bool) -> None:
    estimator = make_estimator(backend=FakeBackend(reply=""))
    for parts in await both(ChatLocal(estimator=estimator, hold_stream=hold)):
        assert [part.text for part in parts] == [""]
        assert record_of(parts[0])["status"] == "empty"


# --- stopped early --------------------------------------------------------------------------------


class Gated(FakeBackend):
    """Waits in the middle of an answer, and counts the tokens that it makes."""

    def __init__(self, at: int) -> None:
        super().__init__(reply=REPLY)
        self.at = at
        self.gate, self.waiting = threading.Event(), threading.Event()
        self.made = 0

    def logits(self, prompt: tuple[int, ...], answer: tuple[int, ...]) -> Any:
        if len(answer) == self.at:
            self.waiting.set()
            assert self.gate.wait(20)
        self.made += 1
        return super().logits(prompt, answer)


async def test_a_stream_that_nobody_reads_on_leaves_everything_usable(local: Estimator) -> None:
    model = ChatLocal(estimator=local, max_tokens=14)
    expected = ChatLocal(estimator=local, max_tokens=14, keep_conversations=0).invoke(QUESTION)
    for part in model.stream(QUESTION):
        assert part.text
        break
    assert model.invoke(QUESTION).text == expected.text
    async for part in model.astream(QUESTION):
        assert part.text
        break
    again = await model.ainvoke(QUESTION)
    assert again.text == expected.text
    assert record_of(again)["p"] == pytest.approx(record_of(expected)["p"], abs=1e-4)
    assert usage_of(again)["input_token_details"]["cache_read"] > 0


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_cancelled_task_stops_the_generation(
    make_estimator: MakeEstimator, streamed: bool
) -> None:
    backend = Gated(at=3)
    model = ChatLocal(estimator=make_estimator(backend=backend))

    async def ask() -> None:
        if streamed:
            _ = [part async for part in model.astream(QUESTION)]
        else:
            await model.ainvoke(QUESTION)

    task = asyncio.create_task(ask())
    await asyncio.to_thread(backend.waiting.wait, 20)
    task.cancel()
    await asyncio.sleep(0.02)
    backend.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.02)
    assert backend.made <= 6  # the token in the making, and its reading for the cache
    assert (await model.ainvoke(QUESTION)).text == REPLY


async def test_the_event_loop_goes_on_while_a_token_is_made(make_estimator: MakeEstimator) -> None:
    backend = Gated(at=3)
    model = ChatLocal(estimator=make_estimator(backend=backend))
    task = asyncio.create_task(model.ainvoke(QUESTION))
    await asyncio.to_thread(backend.waiting.wait, 20)
    await asyncio.wait_for(asyncio.sleep(0), 5)
    assert not task.done()
    backend.gate.set()
    assert (await task).text == REPLY


# --- conversations --------------------------------------------------------------------------------


def test_a_conversation_is_read_once_turn_by_turn(mini: Estimator) -> None:
    model = ChatLocal(estimator=mini, max_tokens=24)
    cold = ChatLocal(estimator=mini, max_tokens=24, keep_conversations=0)
    history: list[Any] = []
    held = 0
    for question in ("What is 2 plus 2?", "What is 7 minus 3?", "What is 12 plus 30?"):
        history.append(HumanMessage(question))
        answer, afresh = model.invoke(history), cold.invoke(history)
        assert answer.text == afresh.text
        assert record_of(answer)["p"] == pytest.approx(record_of(afresh)["p"], abs=1e-2)
        assert usage_of(answer)["input_token_details"]["cache_read"] == held
        assert usage_of(afresh)["input_token_details"]["cache_read"] == 0
        assert usage_of(answer)["input_tokens"] == usage_of(afresh)["input_tokens"]
        held = usage_of(answer)["total_tokens"]
        history.append(answer)


def test_a_common_beginning_is_read_once_for_all_conversations(local: Estimator) -> None:
    model = ChatLocal(estimator=local, max_tokens=6)
    system = SystemMessage("You are asked about sums, and answer in one word.")
    first, second = (model.invoke([system, HumanMessage(text)]) for text in ("One?", "Two?"))
    assert usage_of(first)["input_token_details"]["cache_read"] == 0
    assert usage_of(second)["input_token_details"]["cache_read"] > 20


def test_an_edited_turn_is_read_from_where_it_differs(local: Estimator) -> None:
    model = ChatLocal(estimator=local, max_tokens=6)
    cold = ChatLocal(estimator=local, max_tokens=6, keep_conversations=0)
    history = [HumanMessage("Hello"), AIMessage("Hello!"), HumanMessage("What is 2 plus 2?")]
    model.invoke(history)
    edited = [*history[:-1], HumanMessage("What is 2 plus 3?")]
    answer, afresh = model.invoke(edited), cold.invoke(edited)
    assert answer.text == afresh.text
    assert record_of(answer)["p"] == pytest.approx(record_of(afresh)["p"], abs=1e-3)
    assert usage_of(answer)["input_token_details"]["cache_read"] > 10


async def test_many_conversations_at_once_stay_apart_and_bounded(local: Estimator) -> None:
    model = ChatLocal(estimator=local, max_tokens=6, keep_conversations=2)
    cold = ChatLocal(estimator=local, max_tokens=6, keep_conversations=0)
    questions: list[Any] = [f"What is {number} plus {number}?" for number in range(8)]
    expected = [cold.invoke(question) for question in questions]

    async def streamed(question: str) -> AIMessageChunk:
        return total([part async for part in model.astream(question)])

    for answers in (
        model.batch(questions),
        await asyncio.gather(*map(streamed, questions)),
    ):
        assert [answer.text for answer in answers] == [one.text for one in expected]
        assert [record_of(one)["p"] for one in answers] == pytest.approx(
            [record_of(one)["p"] for one in expected], abs=1e-3
        )
    assert len(model._conversations) == 2
    assert len(cold._conversations) == 0


def test_more_conversations_than_the_cache_holds_make_way(
    make_estimator: MakeEstimator, tiny_gguf: Any
) -> None:
    """llama.cpp's cells are for all sequences together."""
    from ct_guard.backends.llama_cpp import LlamaCppBackend

    small = LlamaCppBackend.load(tiny_gguf, n_ctx=512, threads=1)
    model = ChatLocal(estimator=make_estimator(backend=small), max_tokens=16, keep_conversations=50)
    for number in range(20):
        answer = model.invoke(f"{number} is a number. " * 5)
        assert record_of(answer)["status"] == "ok"
    assert 1 <= len(model._conversations) < 20
    model.close()
