"""What goes wrong with one of a batch is its own: the others get their answers."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import Runnable, RunnableLambda

from ct_guard.errors import PolicyError
from ct_guard.estimators import Estimator
from ct_guard_langchain import ConfidenceGuard, GuardedChatModel
from tests.integration.langchain.scripted import Echo


def on_one(text: str) -> str:
    """A function of a caller's that does not know every text."""
    if "one" in text:
        raise KeyError("one")
    return text


def pairs(estimator: Estimator, **options: Any) -> tuple[Any, list[Any]]:
    guard = ConfidenceGuard(estimator, 0.7, **options)
    return guard, [{"input": "?", "output": f"unsure {n}"} for n in ("one", "two")]


def chain(estimator: Estimator, **options: Any) -> tuple[Any, list[Any]]:
    guard = ConfidenceGuard(estimator, 0.7, **options)
    return guard.wrap(RunnableLambda(lambda said: said)), ["unsure one", "unsure two"]


def model(estimator: Estimator, **options: Any) -> tuple[Any, list[Any]]:
    guarded = GuardedChatModel(inner=Echo(), estimator=estimator, policy=0.7, **options)
    return guarded, ["unsure one", "unsure two"]


Surface = Callable[..., tuple[Any, list[Any]]]
SURFACES = pytest.mark.parametrize("surface", [pairs, chain, model])
WAYS = pytest.mark.parametrize("way", ["batch", "abatch"])


async def made(runnable: Runnable[Any, Any], way: str, given: list[Any], config: Any) -> list[Any]:
    if way == "batch":
        return runnable.batch(given, config, return_exceptions=True)
    return await runnable.abatch(given, config, return_exceptions=True)


@WAYS
@SURFACES
@pytest.mark.parametrize(
    "options",
    [
        {"abstain_message": lambda record: on_one(record["original"] or "")},
        {"redact": on_one},
    ],
    ids=["abstain_message", "redact"],
)
async def test_a_function_that_fails(
    estimator: Estimator, way: str, surface: Surface, options: dict[str, Any]
) -> None:
    runnable, given = surface(estimator, keep_original=True, **options)
    one, two = await made(runnable, way, given, None)
    assert isinstance(one, KeyError)
    assert not isinstance(two, Exception)


@WAYS
@SURFACES
async def test_a_policy_that_makes_no_sense(
    estimator: Estimator, way: str, surface: Surface
) -> None:
    runnable, given = surface(estimator)
    wrong = {"configurable": {"ct_guard_policy": {"kind": "nothing"}}}
    one, two = await made(runnable, way, given, [wrong, {}])
    assert isinstance(one, PolicyError)
    assert not isinstance(two, Exception)


@WAYS
@pytest.mark.parametrize(
    "pair",
    [
        {"input": [{"role": "nobody", "content": "?"}], "output": "sure"},
        {"input": [1, 2], "output": "sure"},
        {"input": object(), "output": "sure"},
        {"input": "?", "output": [{"role": "assistant", "content": object()}]},
    ],
)
async def test_a_pair_that_cannot_be_read(estimator: Estimator, way: str, pair: Any) -> None:
    guard = ConfidenceGuard(estimator, 0.7)
    one, two = await made(guard, way, [pair, {"input": "?", "output": "sure"}], None)
    assert isinstance(one, Exception)
    assert two["confidence"]["action"] == "pass"


@WAYS
@pytest.mark.parametrize("part", ["question", "answer", "context"])
async def test_a_selector_that_fails(estimator: Estimator, way: str, part: str) -> None:
    def select(said: Any) -> str:
        return on_one(said if isinstance(said, str) else said["said"])

    echo: Runnable[str, Any] = RunnableLambda(lambda said: {"said": said})
    options: Any = {"answer": "said", part: select}
    guarded = ConfidenceGuard(estimator, 0.3).wrap(echo, **options)
    one, two = await made(guarded, way, ["sure one", "sure two"], None)
    assert isinstance(one, KeyError)
    assert two["confidence"]["action"] == "pass"
