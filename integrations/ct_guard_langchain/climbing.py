"""The climb: a model is asked, its answer scored, with further answers where the policy wants some,
and the policy says who is asked next."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

from langchain_core.messages import BaseMessage
from langchain_core.runnables.config import ContextThreadPoolExecutor

from ct_guard.errors import UsageError
from ct_guard.guard import Ladder
from ct_guard.records import Decision

from .assess import Case, Scores, ascore, score
from .messages import text_of

__all__ = [
    "Attempts",
    "Drawn",
    "Further",
    "aclimb",
    "check_varied",
    "climb",
    "further",
    "is_control_flow",
]

Model = TypeVar("Model")
Response = TypeVar("Response")
Heard = TypeVar("Heard", contravariant=True)


class Attempts(Protocol[Model, Heard]):
    """What is tried for one answer. Asks nobody itself, so that sync and async callers share it."""

    @property
    def ladder(self) -> Ladder[Model, Any]: ...

    def heard(self, model: Model, response: Heard) -> list[Case]:
        """What is judged of a response. Raises where there is nothing to judge: that model then
        counts as one that failed."""

    def scored(self, cases: Sequence[Case], scores: Sequence[Scores]) -> Decision | None:
        """Those cases were scored: the policy says how the ladder goes on; or it wants further
        answers of the model first, by the decision that is returned."""

    def drew(
        self, cases: Sequence[Case], decision: Decision, found: Sequence[Heard | Exception]
    ) -> list[Case]:
        """Further answers were drawn, or failed: the cases with them for evidence."""


def climb(
    attempts: Attempts[Model, Response],
    ask: Callable[[Model], Response],
    draw: Callable[[Model], Response],
) -> None:
    """Ask, score and decide until the policy is content. `draw` asks for a further answer, of which
    nobody hears; it is called on several threads at once.

    Raises what the first model raises, what pauses a graph, and CtGuardError where `on_error` is
    "raise".
    """
    for model in attempts.ladder:
        try:
            cases = attempts.heard(model, ask(model))
        except Exception as error:
            if is_control_flow(error) or not attempts.ladder.failed(error):
                raise
            continue
        wanting = attempts.scored(cases, score(cases))
        if wanting is not None:
            found = _drawn(draw, model, wanting.samples)
            cases = attempts.drew(cases, wanting, found)
            attempts.scored(cases, score(cases))


async def aclimb(
    attempts: Attempts[Model, Response],
    ask: Callable[[Model], Awaitable[Response]],
    draw: Callable[[Model], Awaitable[Response]],
) -> None:
    """`climb` without blocking the event loop; further answers are drawn in tasks."""
    for model in attempts.ladder:
        try:
            cases = attempts.heard(model, await ask(model))
        except Exception as error:
            if is_control_flow(error) or not attempts.ladder.failed(error):
                raise
            continue
        wanting = attempts.scored(cases, await ascore(cases))
        if wanting is not None:
            found = await _adrawn(draw, model, wanting.samples)
            cases = attempts.drew(cases, wanting, found)
            attempts.scored(cases, await ascore(cases))


class Drawn(NamedTuple):
    """A further answer."""

    message: BaseMessage
    said: Sequence[BaseMessage]
    """All that models have said for it."""


@dataclass(frozen=True)
class Further:
    """The further answers that were drawn for one answer."""

    texts: tuple[str, ...] = ()
    messages: tuple[BaseMessage, ...] = ()
    """All that models have said for them, by which their tokens are counted."""

    def beside(self, case: Case) -> Case:
        """The case with them for evidence."""
        return replace(case, samples=self.texts)


def further(
    ladder: Ladder[Any, Any],
    decision: Decision,
    found: Sequence[Drawn | Exception],
    schemas: Collection[str] = (),
) -> Further:
    """What a decision had drawn; the ladder hears of it."""
    texts: list[str] = []
    messages: list[BaseMessage] = []
    failed: list[Exception] = []
    for each in found:
        try:
            if isinstance(each, Exception):
                raise each
            messages += each.said
            texts.append(text_of(each.message, schemas))
        except Exception as error:
            failed.append(error)
    ladder.drew(decision, failed)
    return Further(tuple(texts), tuple(messages))


def check_varied(temperature: float | None) -> None:
    """Raises UsageError for a model that says the same whenever it is asked: that it agrees with
    itself would count for it."""
    if temperature == 0:
        raise UsageError(
            "a model of temperature 0 gives no further answers, only the same again: give it a"
            " temperature, or leave out `samples` and the policy kind 'resample'"
        )


def is_control_flow(error: Exception) -> bool:
    """Whether LangGraph is pausing or redirecting the graph in which a model runs."""
    graph = sys.modules.get("langgraph.errors")
    return graph is not None and isinstance(error, graph.GraphBubbleUp)


def _drawn(
    draw: Callable[[Model], Response], model: Model, count: int
) -> list[Response | Exception]:
    def one() -> Response | Exception:
        try:
            return draw(model)
        except Exception as error:
            if is_control_flow(error):
                raise
            return error

    drawn: list[Future[Response | Exception] | Exception] = []
    with ContextThreadPoolExecutor(max_workers=count) as pool:
        for _ in range(count):
            try:
                drawn.append(pool.submit(one))
            except RuntimeError as error:  # the system has no thread left: one answer fewer
                drawn.append(error)
    return [each if isinstance(each, Exception) else each.result() for each in drawn]


async def _adrawn(
    draw: Callable[[Model], Awaitable[Response]], model: Model, count: int
) -> list[Response | Exception]:
    async def one() -> Response | Exception:
        try:
            return await draw(model)
        except Exception as error:
            if is_control_flow(error):
                raise
            return error

    return list(await asyncio.gather(*(one() for _ in range(count))))
