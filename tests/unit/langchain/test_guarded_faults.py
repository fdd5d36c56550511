"""What goes wrong in an estimator or a model: on_error, or one clear error, and never a mix-up."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig

from ct_guard.errors import BackendError, CtGuardError
from ct_guard.estimators import Estimator
from ct_guard.policies import OnError
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceGuard, GuardedChatModel, wrap
from tests.confidences import record_of
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator


class Raising(FakeBackend):
    def score(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("CUDA error\nsecond line")


class Hanging(FakeBackend):
    """Scores once it is let go."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.go, self.reached = threading.Event(), threading.Event()

    def score(self, *args: Any, **kwargs: Any) -> Any:
        self.reached.set()
        self.go.wait(10)
        return super().score(*args, **kwargs)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    backend = Hanging()
    yield backend
    backend.go.set()


FAULTS = {
    "raises": r"RuntimeError('CUDA error\nsecond line')",
    "hangs": "scoring took longer than the deadline of 0.05 s",
    "NaN": "the score is NaN or infinite",
    "too few": "the estimator returned 0 scores for 1 answers",
}


@pytest.fixture
def faulty(make_estimator: MakeEstimator, hanging: Hanging, fault: str) -> Estimator:
    if fault == "raises":
        return make_estimator(backend=Raising())
    if fault == "hangs":
        return make_estimator(backend=hanging)
    if fault == "NaN":
        return make_estimator(logit=lambda _: float("nan"))
    made = make_estimator()
    made.score = lambda items: []  # type: ignore[method-assign]
    return made


def guarded(estimator: Estimator, on_error: OnError, fault: str) -> GuardedChatModel:
    """With a deadline that only what hangs comes to, on whatever machine."""
    return GuardedChatModel(
        inner=RuleChatModel(reply="very sure"),
        estimator=estimator,
        policy=0.7,
        models=[RuleChatModel(reply="not asked")],
        on_error=on_error,
        deadline=0.05 if fault == "hangs" else 60,
    )


async def ask(model: Runnable[Any, Any], how: str) -> Any:
    if how == "invoke":
        return model.invoke("?")
    if how == "ainvoke":
        return await model.ainvoke("?")
    if how == "batch":
        return model.batch(["?"])[0]
    said = None
    for chunk in model.stream("?"):
        said = chunk if said is None else said + chunk
    return said


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("on_error", "content", "action"),
    [("pass", "very sure", "pass"), ("block", "I don't know.", "abstain")],
)
async def test_a_faulty_estimator_goes_by_on_error(
    faulty: Estimator, fault: Any, on_error: OnError, content: str, action: str, how: str
) -> None:
    answer = await ask(guarded(faulty, on_error, fault), how)
    record = record_of(answer)
    assert answer.content == content
    assert (record["status"], record["p"], record["action"]) == ("error", None, action)
    assert record["error"] == FAULTS[fault]
    assert record["attempts"] == 1


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_faulty_estimator_may_raise(faulty: Estimator, fault: Any, how: str) -> None:
    error = RuntimeError if fault == "raises" else CtGuardError
    with pytest.raises(error):
        await ask(guarded(faulty, "raise", fault), how)


async def test_a_model_that_returns_nothing_is_one_clear_error(estimator: Estimator) -> None:
    class Silent(RuleChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[])

    model = GuardedChatModel(inner=Silent(), estimator=estimator)
    for how in ("invoke", "ainvoke", "batch"):
        with pytest.raises(BackendError, match="Silent returned nothing: there is no answer"):
            await ask(model, how)
    inner = RuleChatModel(reply="unsure")
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, models=[Silent()])
    record = record_of(model.invoke("?"))
    assert (record["attempts"], record["model_index"]) == (2, 0)
    assert record["error"] is not None
    assert record["error"].startswith("model 1 failed: BackendError: Silent returned nothing")


async def test_several_generations_are_scored_in_one_batch(make_estimator: MakeEstimator) -> None:
    class Three(RuleChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            said = [AIMessage(text) for text in ("sure 1", "unsure 2", "3")]
            return ChatResult(generations=[ChatGeneration(message=each) for each in said])

    estimator = make_estimator()
    model = GuardedChatModel(inner=Three(), estimator=estimator, policy=0.3)
    result = model.generate([[]])
    assert [each.text for each in result.generations[0]] == ["sure 1", "I don't know.", "3"]
    actions = [record_of(each)["action"] for each in result.generations[0]]
    assert actions == ["pass", "abstain", "pass"]
    assert isinstance(estimator.backend, FakeBackend)
    assert estimator.backend.calls == [3]


async def test_cancelling_a_call_ends_the_wait_and_not_the_worker(
    make_estimator: MakeEstimator, hanging: Hanging
) -> None:
    model = GuardedChatModel(
        inner=RuleChatModel(reply="sure"), estimator=make_estimator(backend=hanging)
    )
    waiting = asyncio.create_task(model.ainvoke("first"))
    await asyncio.to_thread(hanging.reached.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hanging.go.set()
    answer = await model.ainvoke("second")
    assert record_of(answer)["status"] == "ok"
    assert hanging.calls == [1, 1]


# --- where the policy keeps nothing back ----------------------------------------------------------

WAYS = pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "stream"])


@WAYS
@pytest.mark.parametrize(
    ("options", "content", "action"),
    [
        ({"on_error": "block"}, "I don't know.", "abstain"),
        ({"on_error": "pass"}, "very sure", "pass"),
        ({}, "very sure", "pass"),
    ],
    ids=["block", "pass", "by default"],
)
async def test_annotate_delivers_the_same_on_every_surface(
    make_estimator: MakeEstimator, how: str, options: dict[str, Any], content: str, action: str
) -> None:
    """By itself it keeps no answer back; `on_error="block"` does."""
    estimator, inner = make_estimator(backend=Raising()), RuleChatModel(reply="very sure")
    model = GuardedChatModel(inner=inner, estimator=estimator, policy="annotate", **options)
    answer = await ask(model, how)
    assert answer.content == content
    assert record_of(answer)["action"] == action
    guard = ConfidenceGuard(estimator, "annotate", **options)
    chain = await ask(guard.wrap(inner | StrOutputParser()), how)
    assert (chain["output"], chain["confidence"]["action"]) == (content, action)


@pytest.mark.parametrize("policy", ["annotate", 0.7])
def test_a_policy_of_one_call_goes_by_its_own_default(
    make_estimator: MakeEstimator, policy: str | float
) -> None:
    """A call that asks for a threshold is not given what passes under `annotate`."""
    model = GuardedChatModel(
        inner=RuleChatModel(reply="very sure"),
        estimator=make_estimator(backend=Raising()),
        policy="annotate",
    )
    config: RunnableConfig = {"configurable": {"ct_guard_policy": policy}}
    content = "very sure" if policy == "annotate" else "I don't know."
    assert model.invoke("?", config).content == content
    assert wrap(model, policy=policy).invoke("?").content == content
