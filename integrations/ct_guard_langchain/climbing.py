"""The climb: a model is asked, its answer scored, and the policy says who is asked next."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from ct_guard.guard import Ladder

from .assess import Case, Scores, ascore, score

__all__ = ["Attempts", "aclimb", "climb", "is_control_flow"]

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

    def scored(self, cases: Sequence[Case], scores: Sequence[Scores]) -> None:
        """Those cases were scored: the policy says how the ladder goes on."""


def climb(attempts: Attempts[Model, Response], ask: Callable[[Model], Response]) -> None:
    """Ask, score and decide until the policy is content.

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
        attempts.scored(cases, score(cases))


async def aclimb(
    attempts: Attempts[Model, Response], ask: Callable[[Model], Awaitable[Response]]
) -> None:
    """`climb` without blocking the event loop."""
    for model in attempts.ladder:
        try:
            cases = attempts.heard(model, await ask(model))
        except Exception as error:
            if is_control_flow(error) or not attempts.ladder.failed(error):
                raise
            continue
        attempts.scored(cases, await ascore(cases))


def is_control_flow(error: Exception) -> bool:
    """Whether LangGraph is pausing or redirecting the graph in which a model runs."""
    graph = sys.modules.get("langgraph.errors")
    return graph is not None and isinstance(error, graph.GraphBubbleUp)
