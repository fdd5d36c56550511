"""What does a guard cost beside the model it guards? Bare and guarded calls in turn, in one run.

    python -m benchmarks.langchain [--calls 200] [--local-calls 20] [--concurrent 1000] [--rounds 5]

* overhead: an instant model and an instant estimator, so that only the guard's own work is left;
  milliseconds a call, and what is added at the median (aim: at most 1 ms);
* local: `ChatLocal` on the embedded model; a guarded call over (an unguarded call + one scoring),
  the scoring being timed inside of the guarded call (aim: at most 1.10);
* concurrent: many `ainvoke` at once with an estimator that takes 5 ms a batch of 32; over (the same
  calls of the bare model + that time for all batches) (aim: at most 1.5).

Each figure is the median of several rounds, whose range stands beside it; within a round, bare and
guarded calls take turns. The table is written into benchmarks/RESULTS.md.
"""

import asyncio
import math
import statistics
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
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

from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
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


@dataclass(frozen=True)
class Figure:
    """What a row of the table says."""

    name: str
    bare: float
    """Seconds; with the scoring, where that belongs to what is compared."""
    guarded: float
    cost: Sequence[float]
    """Of every round: milliseconds added, or the ratio."""
    unit: str
    aim: float

    def row(self) -> list[str]:
        cost, low, high = statistics.median(self.cost), min(self.cost), max(self.cost)
        return [
            self.name,
            f"{self.bare * 1e3:.2f}",
            f"{self.guarded * 1e3:.2f}",
            f"{cost:.2f}{self.unit}",
            f"{low:.2f} to {high:.2f}",
            f"{self.aim:g}{self.unit}",
        ]


Round = tuple[float, float]
"""Seconds of the bare calls, and of the guarded ones, each at the median."""


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(first: Callable[[], object], second: Callable[[], object], calls: int) -> Round:
    """Calls by turns, after a tenth as many to warm up."""
    warm = max(1, calls // 10)
    pairs = [(seconds(first), seconds(second)) for _ in range(warm + calls)]
    return _medians(pairs[warm:])


async def in_turn_async(
    first: Callable[[], Awaitable[object]], second: Callable[[], Awaitable[object]], calls: int
) -> Round:
    """`in_turn` for coroutines, in one event loop."""
    warm, pairs = max(1, calls // 10), []
    for _ in range(warm + calls):
        marks = [time.perf_counter()]
        for each in (first, second):
            await each()
            marks.append(time.perf_counter())
        pairs.append((marks[1] - marks[0], marks[2] - marks[1]))
    return _medians(pairs[warm:])


def _medians(pairs: Sequence[Round]) -> Round:
    bare, guarded = zip(*pairs, strict=True)
    return statistics.median(bare), statistics.median(guarded)


def added(name: str, rounds: Sequence[Round]) -> Figure:
    """Milliseconds that the guard adds to a call."""
    cost = [(guarded - bare) * 1e3 for bare, guarded in rounds]
    return Figure(name, *_medians(rounds), cost, " ms", 1.0)


def ratio(name: str, rounds: Sequence[Round], aim: float) -> Figure:
    cost = [guarded / bare for bare, guarded in rounds]
    return Figure(name, *_medians(rounds), cost, "", aim)


def overhead(estimator: Estimator, calls: int, rounds: int) -> Iterator[Figure]:
    instant = like(estimator, Unscored)
    model = Instant()
    guarded = GuardedChatModel(inner=model, estimator=instant, policy=0.3)
    agent = create_agent(model, tools=[])
    watched = create_agent(model, tools=[], middleware=[ConfidenceMiddleware(instant, 0.3)])
    asked: Any = {"messages": [("user", "What is 2 plus 2?")]}
    rows: list[tuple[str, Runnable[Any, Any], Runnable[Any, Any], Any]] = [
        ("`GuardedChatModel`", model, guarded, "What is 2 plus 2?"),
        ("`ConfidenceMiddleware`", agent, watched, asked),
    ]
    for name, bare, with_guard, question in rows:
        sync = partial(bare.invoke, question), partial(with_guard.invoke, question)
        asynchronous = partial(bare.ainvoke, question), partial(with_guard.ainvoke, question)
        yield added(f"{name} `invoke`", [in_turn(*sync, calls) for _ in range(rounds)])
        yield added(
            f"{name} `ainvoke`",
            [asyncio.run(in_turn_async(*asynchronous, calls)) for _ in range(rounds)],
        )


def local(estimator: Estimator, calls: int, rounds: int) -> Iterator[Figure]:
    timed = like(estimator, Timed)
    unguarded = ChatLocal(estimator=like(estimator, Unscored))
    rows: list[tuple[str, BaseChatModel]] = [
        ("`ChatLocal`", ChatLocal(estimator=timed)),
        (
            "`GuardedChatModel` over `ChatLocal`",
            GuardedChatModel(inner=unguarded, estimator=timed, policy="annotate"),
        ),
    ]
    for name, guarded in rows:
        yield ratio(name, [one_local(unguarded, guarded, timed, calls) for _ in range(rounds)], 1.1)


def one_local(unguarded: BaseChatModel, guarded: BaseChatModel, timed: Timed, calls: int) -> Round:
    scoring: list[float] = []

    def ask() -> None:
        guarded.invoke("What is 12 plus 34?")
        scoring.append(timed.seconds)

    bare, whole = in_turn(lambda: unguarded.invoke("What is 12 plus 34?"), ask, calls)
    return bare + statistics.median(scoring), whole


def concurrent(estimator: Estimator, calls: int, rounds: int) -> Figure:
    model = Instant()
    guarded = GuardedChatModel(inner=model, estimator=like(estimator, Batched), policy="annotate")

    async def at_once(asked: BaseChatModel) -> None:
        await asyncio.gather(*(asked.ainvoke(f"What is {n} plus 1?") for n in range(calls)))

    by_turns = partial(at_once, model), partial(at_once, guarded)
    made = [asyncio.run(in_turn_async(*by_turns, 5)) for _ in range(rounds)]
    scoring = SECONDS * math.ceil(calls / BATCH)
    name = f"{calls:,} concurrent `ainvoke`"
    return ratio(name, [(bare + scoring, whole) for bare, whole in made], 1.5)


@click.command(help=__doc__)
@click.option("--estimator", default="mini", show_default=True)
@click.option("--calls", default=200, show_default=True)
@click.option("--local-calls", default=20, show_default=True)
@click.option("--concurrent", "at_once", default=1000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(
    estimator: str, calls: int, local_calls: int, at_once: int, rounds: int, results: Path
) -> None:
    warnings.simplefilter("ignore", OutOfScopeWarning)
    loaded = load_estimator(estimator)
    figures = [
        *overhead(loaded, calls, rounds),
        *local(loaded, local_calls, rounds),
        concurrent(loaded, at_once, rounds),
    ]
    columns = ["what", "bare, ms", "guarded, ms", "guarded against bare", "rounds", "aim: at most"]
    table = markdown(columns, [figure.row() for figure in figures])
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("langchain-core", "langchain", "langgraph")
    )
    text = f"""## LangChain surfaces

`python -m benchmarks.langchain`, {libraries}.
First four rows: without scoring (an instant model and estimator), one call. Next two: the embedded
model; `bare` is an unguarded call and one scoring. Last: `bare` is the bare calls and
{SECONDS * 1e3:g} ms for each {BATCH} of them. Bare and guarded calls take turns; {rounds} rounds.

{table}"""
    between_markers(results, "langchain", text)
    print(text)


if __name__ == "__main__":
    main()
