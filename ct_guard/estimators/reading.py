"""What a base model reads of answers, or a method of their text, as raw scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends import Adapter, Backend, Item, ScoreBatch, Want
from ct_guard.errors import BackendError, CtGuardError, NonFiniteScoreError
from ct_guard.evidence import Weighed
from ct_guard.query import Query
from ct_guard.records import QuestionAnswer

from .methods import Method, TextMethod
from .methods.evidence import EvidenceMethod
from .methods.readings import readings
from .novelty import Novelty, state_wants, states_of
from .weighing import Read

__all__ = ["BaseReading", "read_texts"]

Floats = NDArray[np.float64]


class Measured(NamedTuple):
    """Of n answers."""

    logits: Floats
    """Raw scores, shape (n,)."""
    unlike: Sequence[float | None]
    """The p-values for `ood`; None where it is not measured."""
    named: dict[str, Floats]
    """The readings by name, each of shape (n,), where they are asked for."""


@dataclass(frozen=True)
class BaseReading:
    """Reads answers by a base model."""

    engine: Backend
    method: Method
    query: Query
    adapter: Adapter | None = None
    swapped: Query | None = None
    """The query with its labels exchanged, where both orders are asked and averaged."""
    novelty: Novelty | None = None
    named: bool = False
    """Whether the readings are told by name."""

    @property
    def serves_fields(self) -> bool:
        """Whether one reading of an answer serves its own query and those about its fields."""
        served: frozenset[Want] = frozenset({"labels", "answer_logprobs", "query_hidden"})
        return self.wants <= served and self.swapped is None

    @property
    def wants(self) -> frozenset[Want]:
        """What the backend has to give: for the score, and for `ood` where it is measured."""
        more = state_wants(self.method) if self.novelty is not None else frozenset()
        return self.method.wants | more

    def read(self, items: Sequence[Item], questions: Sequence[str]) -> list[Read | CtGuardError]:
        """What is read of items and what they were asked; for one that the backend cannot score,
        its error. One such item does not cost the others their score: the batch is halved until it
        is alone."""
        if not items:
            return []
        try:
            found = self._both_orders(items, questions)
        except BackendError as error:
            if len(items) == 1:
                return [error]
            half = len(items) // 2
            first = self.read(items[:half], questions[:half])
            return first + self.read(items[half:], questions[half:])
        return [
            Read(
                float(found.logits[at]),
                found.unlike[at],
                {name: float(values[at]) for name, values in found.named.items()},
            )
            for at in range(len(items))
        ]

    def read_from(self, batch: ScoreBatch, question: str) -> Read:
        """What is read of one answer that the backend has scored already."""
        found = self._measured(batch, [question])
        named = {name: float(by[0]) for name, by in found.named.items()}
        return Read(float(found.logits[0]), found.unlike[0], named)

    def _both_orders(self, items: Sequence[Item], questions: Sequence[str]) -> Measured:
        batch = self.engine.score(items, self.query, self.adapter, self.wants)
        found = self._measured(batch, questions)
        if self.swapped is not None:
            batch = self.engine.score(items, self.swapped, self.adapter, self.method.wants)
            logits = (found.logits + self.method.logits(batch, questions)) / 2
            # the only reading of an estimator that asks in both orders is the query's
            found = found._replace(logits=logits, named=dict.fromkeys(found.named, logits))
        if not np.isfinite(found.logits).all():
            raise NonFiniteScoreError("the score is NaN or infinite")
        return found

    def _measured(self, batch: ScoreBatch, questions: Sequence[str]) -> Measured:
        named = readings(self.method, batch, questions) if self.named else {}
        unlike: Sequence[float | None] = [None] * len(questions)
        if self.novelty is not None:
            unlike = self.novelty.p(states_of(self.method, batch)).tolist()
        return Measured(self.method.logits(batch, questions), unlike, named)


def read_texts(method: TextMethod, items: Sequence[QuestionAnswer]) -> list[Read | CtGuardError]:
    """What a method that works on text says of answers that come together."""
    if isinstance(method, EvidenceMethod):
        return [
            Read(one.logit, weighed=one) if isinstance(one, Weighed) else one
            for one in method.weigh(items)
        ]
    return [one if isinstance(one, CtGuardError) else Read(one) for one in method.judge(items)]
