"""ChatLocal: one prefill for the answer and its confidence."""

import asyncio
import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser

from ct_guard.errors import BackendError, MismatchError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.policies import OnError
from ct_guard.records import QuestionAnswer
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ChatLocal
from tests.confidences import p_of, usage_of
from tests.present import present
from tests.unit.langchain.conftest import MakeEstimator

QUESTION = "What is 2 plus 2?"


@pytest.fixture
def read(tiny_estimator: Estimator) -> Any:
    """Tokens that the tiny model reads, forward by forward."""
    sizes: list[int] = []
    backend: Any = tiny_estimator.backend
    hook = backend.model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    yield sizes
    hook.remove()


# --- on a real model ------------------------------------------------------------------------------


def test_the_prompt_is_read_once_for_the_answer_and_its_confidence(
    tiny_estimator: Estimator, read: Any
) -> None:
    answer = ChatLocal(estimator=tiny_estimator, max_tokens=12).invoke(QUESTION)
    usage = usage_of(answer)
    query = len(present(tiny_estimator.query).ids)
    # The last generated token may be read after generation, to complete the cache.
    assert sum(read) - usage["total_tokens"] - query in (-1, 0)
    assert read[0] == usage["input_tokens"]
    assert read[-1] == query


def test_the_score_comes_from_the_generations_own_cache(
    tiny_estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    score = present(tiny_estimator.backend).score

    def spy(*args: Any) -> Any:
        seen.append(score(*args))
        return seen[-1]

    monkeypatch.setattr(tiny_estimator.backend, "score", spy)
    answer = ChatLocal(estimator=tiny_estimator, max_tokens=12).invoke(QUESTION)
    (batch,) = seen
    assert batch.cached_tokens.tolist() == [usage_of(answer)["total_tokens"]]
    assert batch.prefilled_tokens.tolist() == [len(present(tiny_estimator.query).ids)]


def test_the_confidence_is_that_of_the_same_ids_read_afresh(tiny_estimator: Estimator) -> None:
    from ct_guard.backends import GenerationSettings, Item
    from ct_guard.query import render_context
    from ct_guard.records import Message

    backend = present(tiny_estimator.backend)
    prompt, _ = render_context(
        (Message(role="user", content=QUESTION),), "chat_turn", backend.encoder
    )
    (made,) = backend.generate([prompt], GenerationSettings(max_tokens=12))
    items = [Item(prompt, made.ids)]
    query = present(tiny_estimator.query)
    read = backend.score(items, query, tiny_estimator.adapter, frozenset({"labels"}))
    assert read.label_logits is not None
    no, yes = read.label_logits[0].tolist()
    answer = ChatLocal(estimator=tiny_estimator, max_tokens=12).invoke(QUESTION)
    assert answer.content == backend.encoder.decode(made.ids)
    assert answer.response_metadata["ct_guard"]["logit"] == pytest.approx(yes - no, abs=1e-3)


def test_system_and_earlier_turns_are_part_of_the_prompt(tiny_estimator: Estimator) -> None:
    model = ChatLocal(estimator=tiny_estimator, max_tokens=4)
    short = usage_of(model.invoke(QUESTION))
    history = [SystemMessage("Be short."), HumanMessage("Hello"), AIMessage("Hello!")]
    long = usage_of(model.invoke([*history, HumanMessage(QUESTION)]))
    assert long["input_tokens"] > short["input_tokens"] + 10


def test_usage_and_finish_reason_are_those_of_the_generation(tiny_estimator: Estimator) -> None:
    answer = ChatLocal(estimator=tiny_estimator, max_tokens=3).invoke(QUESTION)
    assert usage_of(answer)["output_tokens"] == 3
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.response_metadata["model_name"] == "fake-base"


def test_a_stop_sequence_ends_the_answer_before_it_and_the_shorter_text_is_scored(
    tiny_estimator: Estimator,
) -> None:
    model = ChatLocal(estimator=tiny_estimator, max_tokens=12)
    whole = str(model.invoke(QUESTION).content)
    stop = whole[3:5]
    answer = model.invoke(QUESTION, stop=[stop])
    assert answer.content == whole[: whole.index(stop)]
    assert answer.response_metadata["finish_reason"] == "stop"
    qa = QuestionAnswer(question=QUESTION, answer=str(answer.content))
    assert p_of(answer) == pytest.approx(Guard(tiny_estimator).assess(qa).p, abs=1e-5)


def test_stop_sequences_are_a_setting_that_a_call_may_replace(tiny_estimator: Estimator) -> None:
    whole = str(ChatLocal(estimator=tiny_estimator, max_tokens=12).invoke(QUESTION).content)
    model = ChatLocal(estimator=tiny_estimator, max_tokens=12, stop=[whole[4]])
    assert model.invoke(QUESTION).content == whole[: whole.index(whole[4])]
    assert model.invoke(QUESTION, stop=[]).content == whole
    assert model.bind(stop=[whole[2]]).invoke(QUESTION).content == whole[: whole.index(whole[2])]


def test_settings_out_of_range_are_refused_per_call_too(estimator: Estimator) -> None:
    with pytest.raises(UsageError, match="temperature -1"):
        ChatLocal(estimator=estimator).invoke(QUESTION, temperature=-1)


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ({"temprature": 0}, "has no option 'temprature': did you mean 'temperature'?"),
        ({"max_token": 3}, "did you mean 'max_tokens'?"),
        ({"min_p": 0.9}, "give ct_guard_policy=0.7, or any other policy"),
        ({"tools": []}, "has no option 'tools': it has ct_guard_policy, max_tokens, seed"),
    ],
    ids=lambda given: str(given)[:20],
)
async def test_a_keyword_of_a_call_that_would_set_nothing_is_an_error(
    estimator: Estimator, given: dict[str, Any], instead: str
) -> None:
    model = ChatLocal(estimator=estimator)
    bound = model.bind(**given)
    with pytest.raises(UsageError, match=re.escape(instead)):
        bound.invoke(QUESTION)
    with pytest.raises(UsageError, match=re.escape(instead)):
        await bound.ainvoke(QUESTION)
    with pytest.raises(UsageError, match=re.escape(instead)):
        list(bound.stream(QUESTION))
    with pytest.raises(UsageError, match=re.escape(instead)):
        _ = [part async for part in bound.astream(QUESTION)]


def test_langchains_standard_parameters_are_told_of_and_do_no_harm(
    estimator: Estimator, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ChatLocal(estimator=estimator).invoke(QUESTION, timeout=3, stream=False)
    assert answer.content == "I think it is 4."
    assert "ChatLocal has no 'timeout' of its own" in caplog.text


def test_sampling_is_repeatable_by_its_seed_and_settable_per_call(
    tiny_estimator: Estimator,
) -> None:
    model = ChatLocal(estimator=tiny_estimator, max_tokens=8, temperature=1.0, seed=1)
    assert model.invoke(QUESTION).content == model.invoke(QUESTION).content
    assert model.invoke(QUESTION).content != model.bind(seed=2).invoke(QUESTION).content
    assert usage_of(model.invoke(QUESTION, max_tokens=2))["output_tokens"] == 2


async def test_threads_and_tasks_get_their_own_answers_and_confidences(
    tiny_estimator: Estimator,
) -> None:
    model = ChatLocal(estimator=tiny_estimator, max_tokens=6)
    questions: list[Any] = [f"What is {number} plus {number}?" for number in range(6)]
    expected = [model.invoke(question) for question in questions]
    for answers in (
        model.batch(questions),
        await model.abatch(questions),
        await asyncio.gather(*(model.ainvoke(question) for question in questions)),
    ):
        assert [answer.content for answer in answers] == [one.content for one in expected]
        assert [p_of(one) for one in answers] == pytest.approx(
            [p_of(one) for one in expected], abs=1e-5
        )


def test_a_prompt_that_leaves_no_room_is_an_error_that_says_so(tiny_estimator: Estimator) -> None:
    with pytest.raises(UsageError, match="no room for an answer"):
        ChatLocal(estimator=tiny_estimator).invoke("x " * 1200)


def test_an_answer_gets_what_room_there_is(make_estimator: MakeEstimator) -> None:
    estimator = make_estimator(backend=FakeBackend(reply="word " * 50))
    query = len(present(estimator.query).ids)
    asked = usage_of(ChatLocal(estimator=estimator).invoke(QUESTION))
    tight = make_estimator(
        backend=FakeBackend(reply="word " * 50), budget=asked["input_tokens"] + query + 5
    )
    answer = ChatLocal(estimator=tight).invoke(QUESTION)
    assert answer.content == "word "
    assert answer.response_metadata["finish_reason"] == "length"


# --- what it is made of --------------------------------------------------------------------------


def test_a_guard_brings_its_own_policy(estimator: Estimator) -> None:
    guard = Guard(estimator, 0.7, on_error="raise")
    model = ChatLocal(estimator=guard)
    assert (model.policy, model.on_error) == (guard.policy, "raise")
    assert model.invoke(QUESTION).response_metadata["ct_guard"]["action"] == "abstain"
    with pytest.raises(UsageError, match="leave `policy` out"):
        ChatLocal(estimator=guard, policy=0.5)


def test_a_loaded_estimator_brings_its_own_backend(estimator: Estimator) -> None:
    with pytest.raises(UsageError, match="leave `backend` out"):
        ChatLocal(estimator=estimator, backend="llama_cpp")


@pytest.mark.parametrize("backend", ["transformers", "llama_cpp"])
def test_the_embedded_estimator_answers_on_either_backend(backend: str) -> None:
    model = ChatLocal(estimator="mini", backend=backend)
    answer = model.invoke(QUESTION)
    assert answer.text.rstrip(".").split()[-1] == "4"
    assert p_of(answer) > 0.5
    assert model.asdict()["backend"] == backend
    model.close()
    with pytest.raises((BackendError, UsageError), match="closed"):
        model.invoke(QUESTION)


# --- what the policy makes of it ------------------------------------------------------------------


def test_without_a_policy_the_answer_is_only_annotated(make_estimator: MakeEstimator) -> None:
    estimator = make_estimator(logit=lambda answer: -3.0)
    answer = ChatLocal(estimator=estimator).invoke(QUESTION)
    assert answer.content == "I think it is 4."
    assert answer.response_metadata["ct_guard"]["action"] == "pass"
    assert p_of(answer) == pytest.approx(0.0474, abs=1e-4)


async def test_with_a_policy_it_abstains(make_estimator: MakeEstimator) -> None:
    estimator = make_estimator(logit=lambda answer: -3.0)
    model = ChatLocal(estimator=estimator, policy=0.7, abstain_message="No idea.")
    for answer in (model.invoke(QUESTION), await model.ainvoke(QUESTION)):
        record = answer.response_metadata["ct_guard"]
        assert answer.content == "No idea."
        assert (record["action"], record["original"]) == ("abstain", None)


@pytest.mark.parametrize("reply", ["", "  "])
def test_an_empty_generation_is_empty_not_an_error(
    make_estimator: MakeEstimator, reply: str
) -> None:
    estimator = make_estimator(backend=FakeBackend(reply=reply))
    answer = ChatLocal(estimator=estimator).invoke(QUESTION)
    record = answer.response_metadata["ct_guard"]
    assert (record["status"], record["p"], record["error"]) == ("empty", None, None)
    assert answer.response_metadata["finish_reason"] == "stop"


class Deaf(FakeBackend):
    def score(self, *args: Any, **kwargs: Any) -> Any:
        raise BackendError("the engine failed")


@pytest.mark.parametrize(
    ("on_error", "content"), [("pass", "I think it is 4."), ("block", "I don't know.")]
)
def test_a_failed_score_goes_by_on_error(
    make_estimator: MakeEstimator, on_error: OnError, content: str
) -> None:
    model = ChatLocal(estimator=make_estimator(backend=Deaf()), on_error=on_error)
    answer = model.invoke(QUESTION)
    assert answer.content == content
    assert answer.response_metadata["ct_guard"]["error"] == "the engine failed"


def test_on_error_raise_raises(make_estimator: MakeEstimator) -> None:
    model = ChatLocal(estimator=make_estimator(backend=Deaf()), on_error="raise")
    with pytest.raises(BackendError, match="the engine failed"):
        model.invoke(QUESTION)


# --- a good LangChain citizen ---------------------------------------------------------------------


def test_it_works_in_chains(estimator: Estimator) -> None:
    chain = ChatLocal(estimator=estimator) | StrOutputParser()
    assert chain.invoke(QUESTION) == "I think it is 4."
    assert "".join(chain.stream(QUESTION)) == "I think it is 4."


def test_images_are_refused_before_anything_is_generated(estimator: Estimator) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(UsageError, match="image_url"):
        ChatLocal(estimator=estimator).invoke([HumanMessage([image])])


@pytest.mark.parametrize("style", ["raw", "chat_user"])
def test_only_an_estimator_that_shares_the_conversations_cache_will_do(
    make_estimator: MakeEstimator, style: str
) -> None:
    with pytest.raises(MismatchError, match="chat_turn"):
        ChatLocal(estimator=make_estimator(style=style))


def test_it_says_what_it_is_and_counts_its_own_tokens(estimator: Estimator) -> None:
    model = ChatLocal(estimator=estimator, temperature=0.5)
    assert model.asdict()["fingerprint"] == "f00d"
    assert model.asdict()["temperature"] == 0.5
    assert model.asdict()["backend"] == "fake"
    assert model.asdict()["stop"] is None
    assert model._get_ls_params()["ls_model_name"] == "fake-base"
    assert model.get_num_tokens("four") == 4
    assert "estimator" not in model.model_dump()
