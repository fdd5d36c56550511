"""Further answers: drawn where P is only just good enough, and heard by nobody.

`fair` alone has p = 0.73; with three further answers 0.98 where all say the same, 0.12 where none
does.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from pydantic import BaseModel, Field, PrivateAttr

from ct_guard.errors import PolicyError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.policies import Annotate, Budget, Escalate, Policy, Resample, Retry, Threshold
from ct_guard_langchain import (
    ChatLocal,
    ConfidenceCallbackHandler,
    ConfidenceGuard,
    GuardedChatModel,
    confidence_node,
    wrap,
)
from ct_guard_langchain.chain import GuardedChain
from tests.confidences import record_of
from tests.known_confidence import by_word_and_agreement
from tests.rule_model import RuleChatModel

CHECKED = Resample(policy=Threshold(threshold=0.7))
ALWAYS = Resample(band=(0.0, 1.0), policy=Annotate())


class Sampler(BaseChatModel):
    """Says `first`, then `further`, one a call, in whatever thread; an exception is raised. Streams
    word by word, and tells its callbacks also where it does not."""

    first: str = "fair"
    further: list[Any] = ["fair", "fair", "fair"]
    temperature: float | None = 0.7
    together: int = 0
    """How many further calls wait for each other: they end only if they are made at once."""
    asked: list[str] = Field(default_factory=list)

    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _barrier: Any = PrivateAttr(default=None)
    _abarrier: Any = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        if self.together:
            self._barrier = threading.Barrier(self.together, timeout=5)
            self._abarrier = asyncio.Barrier(self.together)

    def _next(self) -> tuple[bool, str]:
        with self._lock:
            at = len(self.asked)
            line = [self.first, *self.further][at % (1 + len(self.further))]
            self.asked.append(str(line))
        if isinstance(line, Exception):
            raise line
        return at % (1 + len(self.further)) > 0, line

    def _result(self, line: str, run_manager: Any) -> ChatResult:
        usage = UsageMetadata(input_tokens=2, output_tokens=1, total_tokens=3)
        message = AIMessage(line, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        again, line = self._next()
        if again and self._barrier is not None:
            self._barrier.wait()
        if run_manager is not None:
            run_manager.on_llm_new_token(line)
        return self._result(line, run_manager)

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        again, line = self._next()
        if again and self._abarrier is not None:
            async with asyncio.timeout(5):
                await self._abarrier.wait()
        if run_manager is not None:
            await run_manager.on_llm_new_token(line)
        return self._result(line, run_manager)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        _, line = self._next()
        for word in line.split():
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream():
            yield chunk

    @property
    def _llm_type(self) -> str:
        return "sampler"


class Hears(RunCollectorCallbackHandler):
    """Keeps the tokens and outputs of every run."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> Any:
        self.tokens.append(token)
        return super().on_llm_new_token(token, **kwargs)

    @property
    def heard(self) -> str:
        def outputs(run: Any) -> list[Any]:
            return [run.outputs, run.events, *map(outputs, run.child_runs)]

        return repr([self.tokens, *map(outputs, self.traced_runs)])


@pytest.fixture
def estimator() -> Estimator:
    return by_word_and_agreement()


WAYS = pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"])


async def said(way: str, asked: Any, config: Any = None) -> Any:
    """What is answered to a question, streams joined."""
    if way == "invoke":
        return asked.invoke("Where?", config)
    if way == "ainvoke":
        return await asked.ainvoke("Where?", config)
    if way == "batch":
        return asked.batch(["Where?"], config)[0]
    if way == "abatch":
        return (await asked.abatch(["Where?"], config))[0]
    if way == "stream":
        parts = list(asked.stream("Where?", config))
    else:
        parts = [part async for part in asked.astream("Where?", config)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


# --- a chat model ---------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize(
    ("further", "text", "p", "action"),
    [
        (["fair", "fair", "fair"], "fair", 0.982, "pass"),
        (["Rome", "Bonn", "Oslo"], "I don't know.", 0.119, "abstain"),
        (["fair", "fair", "Oslo"], "fair", 0.881, "pass"),
    ],
)
async def test_whether_further_answers_agree_counts(
    estimator: Estimator, way: str, further: list[Any], text: str, p: float, action: str
) -> None:
    inner = Sampler(further=further)
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, samples=3)
    answer = await said(way, model)
    record = record_of(answer)
    assert (answer.text, record["action"]) == (text, action)
    assert record["p"] == pytest.approx(p, abs=1e-3)
    assert record["evidence"]["agreement"] == "used"
    assert (record["attempts"], record["samples"], record["error"]) == (4, 3, None)
    assert record["discarded_usage"]["total_tokens"] == 9
    assert sorted(inner.asked) == sorted(["fair", *further])


@pytest.mark.parametrize(("first", "action"), [("sure", "pass"), ("unsure", "abstain")])
def test_nothing_is_drawn_where_p_alone_decides(
    estimator: Estimator, first: str, action: str
) -> None:
    inner = Sampler(first=first)
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, samples=3)
    record = record_of(model.invoke("Where?"))
    assert (record["action"], record["attempts"], inner.asked) == (action, 1, [first])
    assert "samples" not in record
    assert record["evidence"]["agreement"] == "missing"


def test_a_band_below_the_threshold_saves_an_answer(estimator: Estimator) -> None:
    policy = {"kind": "resample", "samples": 2, "band": [0.4, 0.7], "policy": 0.7}
    model = GuardedChatModel(
        inner=Sampler(first="Bonn", further=["Bonn", "Bonn"]), estimator=estimator, policy=policy
    )
    answer = model.invoke("Where?")
    assert (answer.text, record_of(answer)["samples"]) == ("Bonn", 2)
    assert record_of(answer)["p"] == pytest.approx(0.953, abs=1e-3)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_they_are_drawn_at_once(estimator: Estimator, way: str) -> None:
    inner = Sampler(together=3)
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, samples=3)
    assert record_of(await said(way, model))["samples"] == 3


def test_those_that_fail_are_noted_and_the_others_count(estimator: Estimator) -> None:
    inner = Sampler(further=["fair", ConnectionError("gone"), "fair"])
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, samples=3)
    record = record_of(model.invoke("Where?"))
    assert record["error"] == "1 of 3 further answers failed: ConnectionError: gone"
    assert (record["samples"], record["attempts"]) == (2, 4)
    assert record["p"] == pytest.approx(0.982, abs=1e-3)


def test_where_the_system_has_no_thread_left_the_others_count(
    estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GuardedChatModel(inner=Sampler(), estimator=estimator, policy=0.7, samples=3)
    submit, left = ContextThreadPoolExecutor.submit, [1, 2]

    def crowded(self: Any, *given: Any, **options: Any) -> Any:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        return submit(self, *given, **options)

    monkeypatch.setattr(ContextThreadPoolExecutor, "submit", crowded)
    record = record_of(model.invoke("?"))
    assert record["error"] == "1 of 3 further answers failed: RuntimeError: can't start new thread"
    assert (record["samples"], record["attempts"]) == (2, 4)


def test_where_all_fail_the_answer_goes_by_what_is_known(estimator: Estimator) -> None:
    inner = Sampler(further=[ConnectionError("gone")] * 3)
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, samples=3)
    record = record_of(model.invoke("Where?"))
    assert (record["samples"], record["action"]) == (0, "pass")
    assert record["p"] == pytest.approx(0.731, abs=1e-3)


def test_what_does_not_agree_is_escalated(estimator: Estimator) -> None:
    large = RuleChatModel(reply="sure", model_name="large")
    model = GuardedChatModel(
        inner=Sampler(further=["Rome", "Bonn", "Oslo"]),
        estimator=estimator,
        policy=Escalate(threshold=0.7),
        samples=3,
        models=[large],
    )
    answer = model.invoke("Where?")
    record = record_of(answer)
    assert (answer.text, record["model_index"], record["attempts"]) == ("sure", 1, 5)
    assert record["discarded_usage"]["total_tokens"] == 12


def test_what_was_drawn_serves_the_next_answer_of_the_same_model(estimator: Estimator) -> None:
    inner = Sampler(further=["Rome", "Rome", "Rome", "Rome"])
    policy = Resample(policy=Retry(threshold=0.7))
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=policy)
    answer = model.invoke("Where?")
    assert (answer.text, len(inner.asked)) == ("Rome", 5)
    assert record_of(answer)["p"] == pytest.approx(0.953, abs=1e-3)


def test_a_budget_bounds_what_is_drawn_and_the_record_says_what_it_took(
    estimator: Estimator,
) -> None:
    budget = Budget(policy=Threshold(threshold=0.7), cost=1.0, sample_price=0.3, window=100)
    inner = Sampler()
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=budget, samples=3)
    first, second = (record_of(model.invoke("Where?")) for _ in range(2))
    assert first["samples"] == 3
    assert first["cost"] == pytest.approx(0.9)
    assert ("samples" in second, second["cost"], len(inner.asked)) == (False, 0.0, 5)


def test_calls_draw_apart_from_each_other(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=Sampler(), estimator=estimator, policy=0.7, samples=3)
    records = [record_of(one) for one in model.batch(["Where?"] * 4, {"max_concurrency": 1})]
    assert [record["attempts"] for record in records] == [4] * 4


def test_every_further_answer_waits_for_the_rate(estimator: Estimator) -> None:
    class Counting(BaseRateLimiter):
        taken = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.taken += 1
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            return self.acquire()

    rate = Counting()
    inner = Sampler(rate_limiter=rate)
    GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, samples=3).invoke("Where?")
    assert rate.taken == 4


def test_what_failed_is_not_cached_and_what_was_drawn_is(estimator: Estimator) -> None:
    for further, asked in ((["fair"] * 3, 4), ([ConnectionError("gone")] * 3, 8)):
        inner = Sampler(further=further)
        model = GuardedChatModel(
            inner=inner, estimator=estimator, policy=0.7, samples=3, cache=InMemoryCache()
        )
        for _ in range(2):
            assert record_of(model.invoke("Where?"))["attempts"] == 4
        assert len(inner.asked) == asked


def test_structured_answers_agree_by_their_json(estimator: Estimator) -> None:
    class City(BaseModel):
        name: str

    inner = RuleChatModel(reply="unused")
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=ALWAYS)
    made = model.with_structured_output(City, include_raw=True).invoke("Where is 'fair'?")
    assert made["parsed"] == City(name="fair")
    assert record_of(made["raw"])["samples"] == 3
    assert record_of(made["raw"])["p"] == pytest.approx(0.982, abs=1e-3)


def test_turns_that_call_tools_are_decided_as_they_are(estimator: Estimator) -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    inner = RuleChatModel()
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=ALWAYS)
    answer = model.bind_tools([add]).invoke("add 7 and 5")
    assert answer.tool_calls
    assert record_of(answer)["attempts"] == len(inner.asked) == 1


# --- nobody hears of them -------------------------------------------------------------------------


def surfaces(estimator: Estimator, policy: Policy) -> dict[str, Any]:
    secret = ["secret one", "secret two", "secret three"]
    guard = ConfidenceGuard(estimator, policy)
    return {
        "model": GuardedChatModel(
            inner=Sampler(further=secret), estimator=estimator, policy=policy
        ),
        "chain": guard.wrap(Sampler(further=secret) | StrOutputParser()),
        "chain of a chain": RunnableLambda(lambda value: value)
        | guard.wrap(Sampler(further=secret)),
    }


@pytest.mark.parametrize("policy", [CHECKED, ALWAYS], ids=["held", "heard"])
@pytest.mark.parametrize("surface", ["model", "chain", "chain of a chain"])
@WAYS
async def test_no_callback_tracer_or_stream_hears_of_them(
    estimator: Estimator, surface: str, way: str, policy: Policy
) -> None:
    asked, hears = surfaces(estimator, policy)[surface], Hears()
    answer = await said(way, asked, {"callbacks": [hears]})
    assert record_of(answer)["samples"] == 3
    assert "secret" not in repr(answer)
    assert hears.traced_runs
    assert "secret" not in hears.heard


@pytest.mark.parametrize("policy", [CHECKED, ALWAYS], ids=["held", "heard"])
@pytest.mark.parametrize("surface", ["model", "chain", "chain of a chain"])
async def test_no_event_tells_of_them(estimator: Estimator, surface: str, policy: Policy) -> None:
    asked = surfaces(estimator, policy)[surface]
    events = [each async for each in asked.astream_events("Where?", version="v2")]
    assert events
    assert "secret" not in repr(events)


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_what_is_streamed_at_once_ends_in_a_record_with_them(
    estimator: Estimator, way: str
) -> None:
    inner = Sampler(first="a fair one", further=["Rome", "Bonn", "Oslo"])
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=CHECKED, hold_stream=False)
    answer = await said(way, model)
    record = record_of(answer)
    assert (answer.text, record["action"]) == ("afairone", "abstain")
    assert (record["attempts"], record["samples"]) == (4, 3)
    assert record["discarded_usage"]["total_tokens"] == 9


def test_a_policy_that_only_draws_streams_at_once(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=Sampler(first="a fair one"), estimator=estimator, policy=ALWAYS)
    assert [part.text for part in model.stream("Where?")] == ["a", "fair", "one", ""]


# --- chains ---------------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize(
    ("further", "output", "p"),
    [(["fair"] * 3, "fair", 0.982), (["Rome", "Bonn", "Oslo"], "I don't know.", 0.119)],
)
async def test_a_chain_is_asked_for_further_answers(
    estimator: Estimator, way: str, further: list[Any], output: str, p: float
) -> None:
    inner = Sampler(further=further)
    guarded = ConfidenceGuard(estimator, 0.7, samples=3).wrap(inner | StrOutputParser())
    made = await said(way, guarded)
    record = record_of(made)
    assert made["output"] == output
    assert record["p"] == pytest.approx(p, abs=1e-3)
    assert (record["attempts"], record["samples"]) == (4, 3)
    assert record["discarded_usage"]["total_tokens"] == 9
    assert len(inner.asked) == 4


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_chains_are_drawn_at_once(estimator: Estimator, way: str) -> None:
    chain = Sampler(together=3) | StrOutputParser()
    guarded = ConfidenceGuard(estimator, 0.7, samples=3).wrap(chain)
    assert record_of(await said(way, guarded))["samples"] == 3


def test_only_the_rows_of_a_batch_that_need_it_draw(estimator: Estimator) -> None:
    asked: list[str] = []

    def answer(value: str) -> str:
        asked.append(value)
        return value

    guarded = ConfidenceGuard(estimator, 0.7, samples=2).wrap(RunnableLambda(answer))
    made = guarded.batch(["sure", "fair", "unsure"])
    assert [one["confidence"]["attempts"] for one in made] == [1, 3, 1]
    assert [one["confidence"]["action"] for one in made] == ["pass", "pass", "abstain"]
    assert sorted(asked) == ["fair"] * 3 + ["sure", "unsure"]


def test_a_chain_that_fails_to_give_some_says_so(estimator: Estimator) -> None:
    inner = Sampler(further=["fair", ConnectionError("gone"), "fair"])
    guarded = ConfidenceGuard(estimator, 0.7, samples=3).wrap(inner | StrOutputParser())
    record = guarded.invoke("Where?")["confidence"]
    assert record["error"] == "1 of 3 further answers failed: ConnectionError: gone"
    assert record["samples"] == 2


# --- refused --------------------------------------------------------------------------------------


def test_an_estimator_without_agreement_is_refused_when_the_model_is_made(
    make_estimator: Callable[..., Estimator],
) -> None:
    with pytest.raises(PolicyError, match=r"calibrate .* --evidence agreement,model") as error:
        GuardedChatModel(inner=Sampler(), estimator=make_estimator(), policy=0.7, samples=3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("samples", [3, 0])
def test_samples_that_cannot_be_drawn_are_refused_when_the_model_is_made(
    estimator: Estimator, samples: int
) -> None:
    policy = "annotate" if samples else 0.7
    with pytest.raises(PolicyError, match="samples"):
        GuardedChatModel(inner=Sampler(), estimator=estimator, policy=policy, samples=samples)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("policy", [CHECKED, ALWAYS], ids=["held", "heard"])
async def test_a_model_that_repeats_itself_is_refused_before_it_is_asked(
    estimator: Estimator, policy: Policy, way: str
) -> None:
    inner = Sampler(temperature=0.0)
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=policy)
    with pytest.raises(UsageError, match="temperature 0 gives no further answers"):
        await said(way, model)
    assert inner.asked == []


def test_a_temperature_of_the_call_counts(estimator: Estimator) -> None:
    inner = Sampler(temperature=0.0)
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=CHECKED)
    answer = model.bind(temperature=0.9).invoke("Where?")
    assert record_of(answer)["samples"] == 3


def test_a_chain_whose_model_repeats_itself_is_refused(estimator: Estimator) -> None:
    chain = Sampler(temperature=0.0) | StrOutputParser()
    with pytest.raises(UsageError, match="temperature 0 gives no further answers"):
        ConfidenceGuard(estimator, CHECKED).wrap(chain).invoke("Where?")


@pytest.mark.parametrize(
    ("surface", "make"),
    [
        ("ConfidenceCallbackHandler", lambda e: ConfidenceCallbackHandler(e, CHECKED)),
        ("ChatLocal", lambda e: ChatLocal(estimator=e, policy=CHECKED)),
        ("confidence_node", lambda e: confidence_node(Guard(e, CHECKED))),
        (
            "a ConfidenceGuard over pairs",
            lambda e: ConfidenceGuard(e, CHECKED).invoke({"input": "Where?", "output": "fair"}),
        ),
    ],
)
def test_where_nobody_can_be_asked_it_is_refused_by_name(
    estimator: Estimator, surface: str, make: Callable[[Estimator], object]
) -> None:
    with pytest.raises(PolicyError, match=f"^{surface} has no model to ask") as error:
        make(estimator)
    assert "GuardedChatModel" in str(error.value)


def test_a_watcher_lists_what_a_model_that_draws_has_decided(estimator: Estimator) -> None:
    watch = ConfidenceCallbackHandler(estimator)
    model = GuardedChatModel(inner=Sampler(), estimator=estimator, policy=0.7)
    config: Any = {"configurable": {"ct_guard_policy": CHECKED}, "callbacks": [watch]}
    answer = model.invoke("Where?", config)
    assert record_of(answer)["samples"] == 3
    assert [record["action"] for record in watch.records] == ["pass"]
    assert watch.records[0]["p"] == record_of(answer)["p"]


# --- options --------------------------------------------------------------------------------------


def test_samples_hold_under_the_policy_of_a_call(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=Sampler(), estimator=estimator, policy=0.5, samples=3)
    assert "samples" not in record_of(model.invoke("Where?"))
    careful: Any = {"configurable": {"ct_guard_policy": 0.7}}
    assert record_of(model.invoke("Where?", careful))["samples"] == 3
    lax: Any = {"configurable": {"ct_guard_policy": "annotate"}}
    assert "samples" not in record_of(model.invoke("Where?", lax))


def test_wrapping_again_keeps_them_and_can_change_them(estimator: Estimator) -> None:
    model = wrap(Sampler(), estimator=estimator, policy=0.7, samples=3)
    assert wrap(model, policy=0.6).policy == Resample(policy=Threshold(threshold=0.6))
    assert wrap(model, samples=5).policy.samples == 5
    chain = wrap(Sampler() | StrOutputParser(), estimator=estimator, policy=0.7, samples=3)
    again = wrap(chain, policy=0.6)
    assert isinstance(again, GuardedChain)
    drawing = again.guarding.guard.policy
    assert isinstance(drawing, Resample)
    assert drawing.samples == 3


def test_models_that_draw_share_no_cache_entry_with_those_that_do_not(estimator: Estimator) -> None:
    cache = InMemoryCache()
    bare = GuardedChatModel(inner=Sampler(), estimator=estimator, policy=0.7, cache=cache)
    drawing = GuardedChatModel(
        inner=Sampler(), estimator=estimator, policy=0.7, samples=3, cache=cache
    )
    bare.invoke("Where?")
    assert record_of(drawing.invoke("Where?"))["samples"] == 3
