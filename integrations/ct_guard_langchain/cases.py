"""Many answers at once: those that can share a forward do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from langchain_core.messages import BaseMessage

from ct_guard.guard import Guard
from ct_guard.policies import Situation
from ct_guard.records import Assessment

from .assess import Item, aassess_items, assess_items, item_of
from .messages import turn_of

__all__ = ["Case", "aassess_cases", "assess_cases"]


@dataclass(frozen=True)
class Case:
    """An answer, what it answers, and who judges it."""

    guard: Guard
    messages: Sequence[BaseMessage]
    answer: BaseMessage
    model: str | None = None
    situation: Situation = field(default_factory=Situation)

    def item(self) -> Item:
        return item_of(self.guard, self.messages, self.answer, model=self.model)


@dataclass(frozen=True)
class _Batch:
    """Cases of one guard in one situation, by their places."""

    guard: Guard
    situation: Situation
    places: list[int]
    items: list[Item]


def assess_cases(cases: Sequence[Case]) -> list[Assessment | Exception]:
    """Assess all cases, in one batch for each guard and situation; results in order.

    Where `on_error` is "raise", a case that cannot be scored gets its own error, and the others
    their assessments.
    """
    found: dict[int, Assessment | Exception] = {}
    for batch in _batches(cases):
        results: Sequence[Assessment | Exception]
        try:
            results = assess_items(batch.guard, batch.items, situation=batch.situation)
        except Exception as error:
            results = [error]
            if len(batch.items) > 1:
                results = [assess_cases([cases[place]])[0] for place in batch.places]
        found |= zip(batch.places, results, strict=True)
    return [found[place] for place in range(len(cases))]


async def aassess_cases(cases: Sequence[Case]) -> list[Assessment | Exception]:
    """`assess_cases` without blocking the event loop."""
    found: dict[int, Assessment | Exception] = {}
    for batch in _batches(cases):
        results: Sequence[Assessment | Exception]
        try:
            results = await aassess_items(batch.guard, batch.items, situation=batch.situation)
        except Exception as error:
            results = [error]
            if len(batch.items) > 1:
                results = [(await aassess_cases([cases[place]]))[0] for place in batch.places]
        found |= zip(batch.places, results, strict=True)
    return [found[place] for place in range(len(cases))]


def _batches(cases: Sequence[Case]) -> Iterator[_Batch]:
    batches: dict[tuple[int, Situation], _Batch] = {}
    for place, case in enumerate(cases):
        situation = replace(case.situation, turn=turn_of(case.answer))
        batch = batches.setdefault(
            (id(case.guard), situation), _Batch(case.guard, situation, [], [])
        )
        batch.places.append(place)
        batch.items.append(case.item())
    yield from batches.values()
