"""GuardedChatModel: each answer carries its confidence, and the policy acts on it."""

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import (
    FakeMessagesListChatModel,
    GenericFakeChatModel,
    ParrotFakeChatModel,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableParallel
from langchain_core.tracers.context import collect_runs

from ct_guard.errors import BackendError, DeadlineError, EstimatorError, PolicyError
from ct_guard.estimators import Estimator
from ct_guard.policies import Escalate, OnError, Threshold
from ct_guard.testing import FakeBackend
from ct_guard_langchain import GuardedChatModel, get_confidence
from tests.confidences import p_of, record_of
from tests.unit.langchain.conftest import MakeEstimator

KEYS = {
    "p", "logit", "status", "calibrated", "truncated", "estimator", "action", "attempts",
    "model_index", "policy", "error", "turn",
}  # fmt: skip


def saying(*answers: AIMessage | str) -> GenericFakeChatModel:
    """A model that gives these answers, one a call; asked once more, it raises."""
    return GenericFakeChatModel(messages=iter(answers))


class Broken(BaseChatModel):
    """A model whose provider is down."""

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise ConnectionError("provider is down\nsecond line")

    @property
    def _llm_type(self) -> str:
        return "broken"


class Deaf(FakeBackend):
    """A backend that fails on every score."""

    def score(self, *args: Any, **kwargs: Any) -> Any:
        raise BackendError("the engine failed")


class Slow(FakeBackend):
    """A backend that takes its time."""

    def score(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(0.3)
        return super().score(*args, **kwargs)


class Listening(FakeBackend):
    """Keeps the text that it was asked to score."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heard: list[tuple[str, str]] = []

    def score(self, items: Any, *args: Any, **kwargs: Any) -> Any:
        self.heard += [
            (self.encoder.decode(item.context), self.encoder.decode(item.answer)) for item in items
        ]
        return super().score(items, *args, **kwargs)


# --- pass and abstain -----------------------------------------------------------------------------


def test_an_answer_passes_unchanged_with_its_confidence(estimator: Estimator) -> None:
    answer = GuardedChatModel(inner=saying("I am sure."), estimator=estimator).invoke("?")
    assert answer.content == "I am sure."
    record = record_of(answer)
    assert record["p"] == pytest.approx(0.9526, abs=1e-4)
    assert set(record) == KEYS
    assert record["action"] == "pass"
    assert (record["attempts"], record["model_index"], record["error"]) == (1, 0, None)


def test_the_record_is_plain_json(estimator: Estimator) -> None:
    answer = GuardedChatModel(inner=saying("I am sure."), estimator=estimator).invoke("?")
    record = answer.response_metadata["ct_guard"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert all(type(value) in (float, str, int, bool, type(None)) for value in record.values())


def test_abstaining_replaces_the_answer_and_keeps_id_usage_and_where_asked_the_original(
    estimator: Estimator,
) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    call = {"name": "add", "args": {"a": 2}, "id": "call-1"}
    said = AIMessage("unsure", id="message-1", usage_metadata=usage, tool_calls=[call])
    model = GuardedChatModel(
        inner=saying(said), estimator=estimator, policy=0.7, keep_original=True
    )
    answer = model.invoke("?")
    assert answer.content == "I don't know."
    assert answer.tool_calls == []
    assert (answer.id, answer.usage_metadata) == ("message-1", usage)
    record = answer.response_metadata["ct_guard"]
    assert record["action"] == "abstain"
    assert record["original"] == 'unsure\nadd({"a": 2})'
    assert set(record) == KEYS | {"original"}


def test_the_abstain_message_is_the_callers(estimator: Estimator) -> None:
    model = GuardedChatModel(
        inner=saying("unsure"), estimator=estimator, policy=0.7, abstain_message="Ask a nurse."
    )
    assert model.invoke("?").content == "Ask a nurse."


async def test_a_person_is_asked_by_whoever_called_the_answer_stays(estimator: Estimator) -> None:
    """A model cannot stop and wait: the answer is there for a person to look at."""
    call = {"name": "unsure", "args": {}, "id": "call-1"}
    said = AIMessage("unsure", tool_calls=[call])
    policy = Threshold(threshold=0.7, below="human")
    model = GuardedChatModel(
        inner=FakeMessagesListChatModel(responses=[said]), estimator=estimator, policy=policy
    )
    for answer in (model.invoke("?"), await model.ainvoke("?")):
        assert (answer.content, len(answer.tool_calls)) == ("unsure", 1)
        record = record_of(answer)
        assert record["action"] == "human"
        assert "original" not in record


async def test_retries_ask_the_same_model_again_and_the_best_counts(estimator: Estimator) -> None:
    policy = {"kind": "retry", "threshold": 0.7, "times": 2, "otherwise": "pass"}
    for answers, content, attempts in (
        (["unsure", "sure"], "sure", 2),
        (["unsure", "maybe", "unsure"], "maybe", 3),
    ):
        for ask in ("invoke", "ainvoke"):
            model = GuardedChatModel(inner=saying(*answers), estimator=estimator, policy=policy)
            answer = model.invoke("?") if ask == "invoke" else await model.ainvoke("?")
            record = record_of(answer)
            assert answer.content == content
            assert (record["action"], record["attempts"], record["model_index"]) == (
                "pass",
                attempts,
                0,
            )


@pytest.mark.parametrize(
    ("said", "status"), [("", "empty"), ("  \n", "empty"), ("I'm sorry, I can't tell.", "refusal")]
)
def test_empty_answers_and_refusals_are_judged_without_a_score(
    estimator: Estimator, said: str, status: str
) -> None:
    answer = GuardedChatModel(inner=saying(said), estimator=estimator, policy=0.7).invoke("?")
    record = answer.response_metadata["ct_guard"]
    assert (record["status"], record["p"], record["action"]) == (status, None, "abstain")


def test_an_answer_that_only_calls_tools_is_scored_by_its_calls(estimator: Estimator) -> None:
    said = AIMessage("", tool_calls=[{"name": "be_sure", "args": {}, "id": "call-1"}])
    answer = GuardedChatModel(inner=saying(said), estimator=estimator, policy=0.7).invoke("?")
    assert answer.tool_calls[0]["name"] == "be_sure"
    assert answer.response_metadata["ct_guard"]["p"] > 0.9


def test_a_message_that_the_model_shares_between_calls_stays_clean(estimator: Estimator) -> None:
    shared = AIMessage("unsure")
    inner = FakeMessagesListChatModel(responses=[shared])
    GuardedChatModel(inner=inner, estimator=estimator, policy=0.7).invoke("?")
    assert shared.content == "unsure"
    assert "ct_guard" not in shared.response_metadata


# --- escalation -----------------------------------------------------------------------------------

TO_PASS = Escalate(threshold=0.7, otherwise="pass")
TO_PASS_THE_LAST = Escalate(threshold=0.7, otherwise="pass", keep="last")


def escalating(estimator: Estimator, policy: Any, *answers: Any) -> GuardedChatModel:
    """Models of rising strength; an answer None is a model that is down."""
    inner, *stronger = [saying(said) if said is not None else Broken() for said in answers]
    return GuardedChatModel(inner=inner, estimator=estimator, policy=policy, models=stronger)


@pytest.mark.parametrize(
    ("policy", "answers", "content", "action", "attempts", "index"),
    [
        (0.7, ["sure", None], "sure", "pass", 1, 0),
        (0.7, ["unsure", "sure", None], "sure", "pass", 2, 1),
        (0.7, ["unsure", "maybe"], "I don't know.", "abstain", 2, 1),
        (0.7, ["unsure"], "I don't know.", "abstain", 1, 0),
        (TO_PASS, ["unsure", "maybe"], "maybe", "pass", 2, 1),
        (TO_PASS, ["maybe", "unsure"], "maybe", "pass", 2, 0),
        (TO_PASS, ["unsure", "maybe", "unsure"], "maybe", "pass", 3, 1),
        (TO_PASS_THE_LAST, ["maybe", "unsure"], "unsure", "pass", 2, 1),
        (TO_PASS, ["", "unsure"], "unsure", "pass", 2, 1),
        (TO_PASS, ["unsure", ""], "unsure", "pass", 2, 0),
        (Threshold(threshold=0.7, below="escalate"), ["unsure"], "I don't know.", "abstain", 1, 0),
    ],
    ids=[
        "not needed",
        "to better",
        "to better, still too low",
        "none to ask",
        "to better, passed at the end",
        "to worse",
        "the best is in the middle",
        "the last is trusted",
        "any score beats none",
        "none beats no score",
        "a policy that always escalates ends by abstaining",
    ],
)
async def test_escalation_keeps_the_best_answer(
    estimator: Estimator,
    policy: Any,
    answers: Sequence[str | None],
    content: str,
    action: str,
    attempts: int,
    index: int,
) -> None:
    for ask in ("invoke", "ainvoke"):
        model = escalating(estimator, policy, *answers)
        answer = model.invoke("?") if ask == "invoke" else await model.ainvoke("?")
        record = answer.response_metadata["ct_guard"]
        assert answer.content == content
        assert record["action"] == action
        assert (record["attempts"], record["model_index"]) == (attempts, index)


async def test_a_stronger_model_that_fails_is_noted_and_passed_over(estimator: Estimator) -> None:
    for ask in ("invoke", "ainvoke"):
        model = escalating(estimator, TO_PASS, "unsure", None, "maybe")
        answer = model.invoke("?") if ask == "invoke" else await model.ainvoke("?")
        record = answer.response_metadata["ct_guard"]
        assert answer.content == "maybe"
        assert (record["attempts"], record["model_index"]) == (3, 2)
        assert record["error"] == "model 1 failed: ConnectionError: provider is down"


async def test_the_inner_models_failure_is_the_callers(estimator: Estimator) -> None:
    model = escalating(estimator, 0.7, None, "sure")
    with pytest.raises(ConnectionError, match="provider is down"):
        model.invoke("?")
    with pytest.raises(ConnectionError, match="provider is down"):
        await model.ainvoke("?")


def test_the_policy_is_told_how_many_models_are_left(estimator: Estimator) -> None:
    told = []

    class Curious(Threshold):
        def decide(self, confidence: Any, situation: Any) -> Any:
            told.append((situation.models_left, situation.exhausted))
            return super().decide(confidence, situation)

    escalating(estimator, Curious(threshold=0.7), "unsure", "unsure", "unsure").invoke("?")
    assert told == [(2, False), (1, False), (0, False), (0, True)]


def test_of_several_generations_each_has_its_record_and_the_first_decides(
    estimator: Estimator,
) -> None:
    class Two(BaseChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            messages = [AIMessage("sure"), AIMessage("unsure")]
            return ChatResult(generations=[ChatGeneration(message=m) for m in messages])

        @property
        def _llm_type(self) -> str:
            return "two"

    policy = Escalate(threshold=0.7)
    model = GuardedChatModel(inner=Two(), estimator=estimator, policy=policy, models=[Broken()])
    result = model.generate([[HumanMessage("?")]])
    first, second = result.generations[0]
    assert (first.text, second.text) == ("sure", "I don't know.")
    assert record_of(second)["original"] is None
    assert get_confidence(result) == get_confidence(first)


# --- what cannot be scored ------------------------------------------------------------------------

IMAGE = HumanMessage([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}])


def unscorable(
    kind: str, make_estimator: MakeEstimator, **options: Any
) -> tuple[GuardedChatModel, Any, str]:
    """A model whose answer cannot be scored, the question that shows it, and its status."""
    backend = {"error": Deaf, "late": Slow, "unsupported": FakeBackend}[kind]()
    deadline = 0.02 if kind == "late" else None
    model = GuardedChatModel(
        inner=saying("sure", "sure"),
        estimator=make_estimator(backend=backend),
        policy=0.7,
        deadline=deadline,
        models=[Broken()],
        **options,
    )
    question = [IMAGE] if kind == "unsupported" else "?"
    return model, question, "unsupported" if kind == "unsupported" else "error"


@pytest.mark.parametrize("kind", ["error", "late", "unsupported"])
@pytest.mark.parametrize(
    ("on_error", "content", "action"),
    [("pass", "sure", "pass"), ("block", "I don't know.", "abstain")],
)
async def test_what_cannot_be_scored_goes_by_on_error_and_is_not_escalated(
    make_estimator: MakeEstimator, kind: str, on_error: OnError, content: str, action: str
) -> None:
    model, question, status = unscorable(kind, make_estimator, on_error=on_error)
    for answer in (model.invoke(question), await model.ainvoke(question)):
        record = answer.response_metadata["ct_guard"]
        assert (answer.content, record["action"]) == (content, action)
        assert (record["status"], record["p"], record["attempts"]) == (status, None, 1)
        assert record["error"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [("error", BackendError), ("late", DeadlineError), ("unsupported", BackendError)],
)
async def test_on_error_raise_raises(make_estimator: MakeEstimator, kind: str, error: Any) -> None:
    model, question, _ = unscorable(kind, make_estimator, on_error="raise")
    with pytest.raises(error):
        model.invoke(question)
    with pytest.raises(error):
        await model.ainvoke(question)


def test_an_unscored_answer_is_blocked_by_default(make_estimator: MakeEstimator) -> None:
    model, question, _ = unscorable("unsupported", make_estimator)
    assert model.invoke(question).content == "I don't know."


# --- what the estimator reads ---------------------------------------------------------------------


def test_system_and_earlier_turns_reach_the_estimator(make_estimator: MakeEstimator) -> None:
    backend = Listening()
    model = GuardedChatModel(inner=saying("six"), estimator=make_estimator(backend=backend))
    model.invoke(
        [
            SystemMessage("Be short."),
            HumanMessage("What is 2 plus 2?"),
            AIMessage("4"),
            HumanMessage("And 3 plus 3?"),
        ]
    )
    assert backend.heard == [("Be short.What is 2 plus 2?4And 3 plus 3?", "six")]


def test_the_answering_models_own_calibrator_is_used(make_estimator: MakeEstimator) -> None:
    class Named(GenericFakeChatModel):
        model_name: str

    shifted = {"kind": "platt", "params": {"a": 1.0, "b": -2.0}, "n": 10}
    estimator = make_estimator(calibrators={"large": shifted})
    small = Named(messages=iter(["unsure"]), model_name="small")
    large = Named(messages=iter(["sure"]), model_name="large")
    model = GuardedChatModel(inner=small, estimator=estimator, policy=0.7, models=(large,))
    record = model.invoke("?").response_metadata["ct_guard"]
    assert record["calibrated"]
    assert record["p"] == pytest.approx(0.7311, abs=1e-4)


# --- many at once ---------------------------------------------------------------------------------

NONCES: list[Any] = [f"{'sure' if number % 3 else 'unsure'} nonce-{number}" for number in range(24)]


def nonce_logit(answer: str) -> float:
    """A logit that only the answer of this nonce has."""
    return int(answer.rpartition("-")[2]) / 10 if "nonce" in answer else 0.0


async def test_in_batches_every_record_belongs_to_its_own_answer(
    make_estimator: MakeEstimator,
) -> None:
    model = GuardedChatModel(
        inner=ParrotFakeChatModel(), estimator=make_estimator(logit=nonce_logit)
    )
    for answers in (
        model.batch(NONCES, {"max_concurrency": 8}),
        await model.abatch(NONCES),
        await asyncio.gather(*(model.ainvoke(nonce) for nonce in NONCES)),
    ):
        assert [answer.content for answer in answers] == NONCES
        logits = [answer.response_metadata["ct_guard"]["logit"] for answer in answers]
        assert logits == pytest.approx([number / 10 for number in range(24)], abs=1e-6)


def test_one_estimator_serves_models_in_many_threads(make_estimator: MakeEstimator) -> None:
    estimator = make_estimator(logit=nonce_logit)
    wrong: list[str] = []

    def ask(start: int) -> None:
        model = GuardedChatModel(inner=ParrotFakeChatModel(), estimator=estimator)
        for number in range(start, start + 20):
            answer = model.invoke(f"nonce-{number}")
            logit = answer.response_metadata["ct_guard"]["logit"]
            if answer.content != f"nonce-{number}" or abs(logit - number / 10) > 1e-5:
                wrong.append(f"{number}: {answer.content} {logit}")

    threads = [threading.Thread(target=ask, args=(100 * number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


async def test_scoring_does_not_block_the_event_loop(make_estimator: MakeEstimator) -> None:
    model = GuardedChatModel(inner=saying("sure"), estimator=make_estimator(backend=Slow()))
    answering = asyncio.create_task(model.ainvoke("?"))
    longest, last = 0.0, time.monotonic()
    while not answering.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert (await answering).content == "sure"
    assert longest < 0.2


# --- a good LangChain citizen ---------------------------------------------------------------------


def test_it_works_in_chains_with_config_and_in_parallel(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=ParrotFakeChatModel(), estimator=estimator, policy=0.7)
    chain = ChatPromptTemplate.from_messages([("human", "I am {how}.")]) | model
    both = RunnableParallel(text=chain | StrOutputParser(), record=chain | get_confidence)
    with collect_runs() as runs:
        made = both.with_config(tags=["guarded"]).invoke({"how": "unsure"})
    assert made["text"] == "I don't know."
    assert made["record"]["action"] == "abstain"
    assert "guarded" in (runs.traced_runs[0].tags or ())


def test_the_models_are_one_run_and_usage_is_counted_once(estimator: Estimator) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    model = GuardedChatModel(
        inner=saying(AIMessage("sure", usage_metadata=usage)), estimator=estimator
    )
    with collect_runs() as runs:
        assert model.invoke("?").usage_metadata == usage
    assert [run.run_type for run in runs.traced_runs] == ["llm"]
    assert runs.traced_runs[0].child_runs == []


def test_what_langchain_does_around_the_inner_model_is_done_around_the_guarded_one(
    estimator: Estimator,
) -> None:
    inner = GenericFakeChatModel(messages=iter([]), tags=["inner"], metadata={"team": "blue"})
    model = GuardedChatModel(inner=inner, estimator=estimator)
    assert model.tags == ["inner"]
    assert model.metadata is not None
    assert model.metadata["team"] == "blue"
    assert GuardedChatModel(inner=inner, estimator=estimator, tags=["mine"]).tags == ["mine"]


async def test_every_models_rate_limiter_is_asked(estimator: Estimator) -> None:
    class Counter(BaseRateLimiter):
        count = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.count += 1
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            return self.acquire()

    limits = Counter(), Counter()
    inner, large = [ParrotFakeChatModel(rate_limiter=limit) for limit in limits]
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, models=(large,))
    model.invoke("unsure")
    await model.ainvoke("unsure")
    assert [limit.count for limit in limits] == [2, 2]


def test_a_cached_answer_keeps_its_record(estimator: Estimator) -> None:
    inner = GenericFakeChatModel(messages=iter(["sure"]), cache=InMemoryCache())
    model = GuardedChatModel(inner=inner, estimator=estimator)
    first, second = model.invoke("?"), model.invoke("?")
    assert p_of(first) > 0.9
    assert get_confidence(second) == get_confidence(first)


@pytest.mark.parametrize(
    "other", [{"policy": 0.8}, {"on_error": "block"}, {"models": (ParrotFakeChatModel(),)}]
)
def test_models_that_differ_do_not_share_a_cache_entry(
    estimator: Estimator, other: dict[str, Any]
) -> None:
    inner = ParrotFakeChatModel()
    plain = GuardedChatModel(inner=inner, estimator=estimator)
    assert GuardedChatModel(inner=inner, estimator=estimator).asdict() == plain.asdict()
    assert GuardedChatModel(inner=inner, estimator=estimator, **other).asdict() != plain.asdict()
    assert plain.asdict()["ct_guard"]["fingerprint"] == "f00d"


def test_it_presents_itself_as_the_inner_model(estimator: Estimator) -> None:
    class Known(ParrotFakeChatModel):
        model_name: str = "small"

        def get_token_ids(self, text: str) -> list[int]:
            return [1] * len(text.split())

    inner = Known(profile={"max_input_tokens": 99})
    model = GuardedChatModel(inner=inner, estimator=estimator)
    assert model._llm_type == inner._llm_type
    assert model._get_ls_params()["ls_model_name"] == "small"
    assert model.profile == {"max_input_tokens": 99}
    assert model.get_num_tokens("two words") == 2


def test_the_estimator_is_not_serialised(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=ParrotFakeChatModel(), estimator=estimator)
    assert "estimator" not in model.model_dump()
    assert "Estimator(" not in repr(model)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"policy": "sometimes"}, PolicyError), ({"estimator": "/nowhere"}, EstimatorError)],
)
def test_what_does_not_fit_is_said_at_construction(
    estimator: Estimator, options: dict[str, Any], error: Any
) -> None:
    with pytest.raises(error):
        GuardedChatModel(inner=ParrotFakeChatModel(), **{"estimator": estimator, **options})
