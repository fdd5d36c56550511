"""What does a guard cost beside the model it guards? Bare and guarded calls in turn, in one run.

    python -m benchmarks.langchain [--calls 300] [--local-calls 30] [--concurrent 1000]

* overhead: an instant model and an instant estimator, so that only the guard's own work is left;
  milliseconds a call, and what is added at the median (aim: at most 1 ms);
* local: `ChatLocal` on the embedded model; a guarded call over (an unguarded call + one scoring),
  the scoring being timed inside of the guarded call (aim: at most 1.10);
* concurrent: many `ainvoke` at once with an estimator that takes 5 ms a batch of 32; over (the same
  calls of the bare model + that time for all batches) (aim: at most 1.5).
"""

import asyncio
import math
import statistics
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, TypeVar

import click
from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable

from ct_guard import Confidence, QuestionAnswer, load_estimator
from ct_guard.backends import KV
from ct_guard.estimators import Estimator, OutOfScopeWarning
from ct_guard_langchain import ChatLocal, ConfidenceMiddleware, GuardedChatModel

BATCH, SECONDS = 32, 0.005
"""The slow estimator's: so long for so many answers."""

E = TypeVar("E", bound=Estimator)


class Instant(BaseChatModel):
    """Says the same at once."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("4"))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages)


@dataclass
class Unscored(Estimator):
    """Knows the answer at once."""

    def score(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        return [Confidence(p=0.5, estimator=self.name)] * len(items)

    def score_generated(self, qa: QuestionAnswer, kv: KV) -> Confidence:
        return self.score([qa])[0]


@dataclass
class Batched(Unscored):
    """Takes its time, once for each batch."""

    def score(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        time.sleep(SECONDS * math.ceil(len(items) / BATCH))
        return super().score(items)


@dataclass
class Timed(Estimator):
    """The real one, with the seconds that its latest scoring took."""

    seconds: float = 0.0

    def score(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        start = time.perf_counter()
        scored = super().score(items)
        self.seconds = time.perf_counter() - start
        return scored

    def score_generated(self, qa: QuestionAnswer, kv: KV) -> Confidence:
        start = time.perf_counter()
        scored = super().score_generated(qa, kv)
        self.seconds = time.perf_counter() - start
        return scored


def like(estimator: Estimator, kind: type[E]) -> E:
    """The same estimator with other manners."""
    parts = {each.name: getattr(estimator, each.name) for each in fields(Estimator) if each.init}
    return kind(**parts)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(first: Callable[[], object], second: Callable[[], object], calls: int) -> list[float]:
    """Median seconds of each, called by turns; a tenth more calls go before, to warm up."""
    pairs = [(seconds(first), seconds(second)) for _ in range(calls + calls // 10)][calls // 10 :]
    return [statistics.median(times) for times in zip(*pairs, strict=True)]


async def in_turn_async(
    first: Callable[[], Awaitable[object]], second: Callable[[], Awaitable[object]], calls: int
) -> list[float]:
    """`in_turn` for coroutines, in one event loop."""
    pairs = []
    for _ in range(calls + calls // 10):
        marks = [time.perf_counter()]
        for each in (first, second):
            await each()
            marks.append(time.perf_counter())
        pairs.append((marks[1] - marks[0], marks[2] - marks[1]))
    return [statistics.median(times) for times in zip(*pairs[calls // 10 :], strict=True)]


def overhead(estimator: Estimator, calls: int) -> None:
    instant = like(estimator, Unscored)
    model = Instant()
    guarded = GuardedChatModel(inner=model, estimator=instant, policy=0.3)
    agent = create_agent(model, tools=[])
    watched = create_agent(model, tools=[], middleware=[ConfidenceMiddleware(instant, 0.3)])
    asked: Any = {"messages": [("user", "What is 2 plus 2?")]}
    rows: list[tuple[str, Runnable[Any, Any], Runnable[Any, Any], Any]] = [
        ("model", model, guarded, "What is 2 plus 2?"),
        ("agent", agent, watched, asked),
    ]
    print(f"overhead, median of {calls} calls by turns, ms a call")
    for name, bare, with_guard, question in rows:
        report(
            f"{name}.invoke",
            *in_turn(partial(bare.invoke, question), partial(with_guard.invoke, question), calls),
        )
        coroutines = partial(bare.ainvoke, question), partial(with_guard.ainvoke, question)
        report(f"{name}.ainvoke", *asyncio.run(in_turn_async(*coroutines, calls)))


def report(name: str, bare: float, guarded: float) -> None:
    added = guarded - bare
    times = f"bare {bare * 1e3:7.3f}  guarded {guarded * 1e3:7.3f}  added {added * 1e3:6.3f}"
    print(f"  {name:14} {times}")


def local(estimator: Estimator, calls: int) -> None:
    timed = like(estimator, Timed)
    unguarded = ChatLocal(estimator=like(estimator, Unscored))
    rows: list[tuple[str, BaseChatModel]] = [
        ("ChatLocal", ChatLocal(estimator=timed)),
        ("GuardedChatModel", GuardedChatModel(inner=unguarded, estimator=timed, policy="annotate")),
    ]
    print(f"local, median of {calls} calls by turns, ms a call")
    for name, guarded in rows:
        scoring: list[float] = []

        def ask(guarded: BaseChatModel = guarded, scoring: list[float] = scoring) -> None:
            guarded.invoke("What is 12 plus 34?")
            scoring.append(timed.seconds)

        bare, whole = in_turn(lambda: unguarded.invoke("What is 12 plus 34?"), ask, calls)
        one = statistics.median(scoring)
        print(
            f"  {name:16} unguarded {bare * 1e3:7.1f}  scoring {one * 1e3:6.1f}"
            f"  guarded {whole * 1e3:7.1f}  ratio {whole / (bare + one):.2f}"
        )


def concurrent(estimator: Estimator, calls: int, repeats: int) -> None:
    model = Instant()
    guarded = GuardedChatModel(inner=model, estimator=like(estimator, Batched), policy="annotate")

    async def at_once(asked: BaseChatModel) -> None:
        await asyncio.gather(*(asked.ainvoke(f"What is {n} plus 1?") for n in range(calls)))

    bare, whole = asyncio.run(
        in_turn_async(partial(at_once, model), partial(at_once, guarded), repeats)
    )
    scoring = SECONDS * math.ceil(calls / BATCH)
    print(f"concurrent, {calls} ainvoke at once, median of {repeats} runs by turns, ms")
    print(
        f"  bare {bare * 1e3:.0f}  scoring {scoring * 1e3:.0f}  guarded {whole * 1e3:.0f}"
        f"  ratio {whole / (bare + scoring):.2f}"
    )


@click.command(help=__doc__)
@click.option("--estimator", default="mini", show_default=True)
@click.option("--calls", default=300, show_default=True)
@click.option("--local-calls", default=30, show_default=True)
@click.option("--concurrent", "at_once", default=1000, show_default=True)
@click.option("--repeats", default=5, show_default=True)
def main(estimator: str, calls: int, local_calls: int, at_once: int, repeats: int) -> None:
    warnings.simplefilter("ignore", OutOfScopeWarning)
    loaded = load_estimator(estimator)
    overhead(loaded, calls)
    local(loaded, local_calls)
    concurrent(loaded, at_once, repeats)


if __name__ == "__main__":
    main()
