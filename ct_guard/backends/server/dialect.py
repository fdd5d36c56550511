"""What the servers have in common: what they are asked for, and what of a reply counts."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from ct_guard.backends.base import Activation
from ct_guard.errors import NonFiniteScoreError, ServerError
from ct_guard.query import Query

from .pool import Ask, Pool

__all__ = [
    "About",
    "Chain",
    "Dialect",
    "Figure",
    "Reading",
    "Row",
    "Served",
    "cached_in",
    "number",
    "objects",
    "part",
]

Kind = TypeVar("Kind", bound=type)


@dataclass(frozen=True)
class Served:
    """A LoRA as the server knows it."""

    name: str
    number: int = 0
    """Its place among those of the server."""
    invocation: tuple[int, ...] = ()
    """Ids from which on it acts; none: it acts on all tokens."""
    place: str = ""
    """Where the server says that it has it from."""


@dataclass(frozen=True)
class About:
    """What a server says of itself."""

    version: str
    model: str
    """Of the base: its name in requests, or what it was loaded from."""
    max_tokens: int
    """The longest prompt that it reads."""
    adapters: tuple[Served, ...] = ()
    format: str = "unknown"
    """What the weights are kept in, where the server says so."""
    slots: int | None = None
    """Requests that it computes side by side; None: as many as there are."""


@dataclass(frozen=True)
class Row:
    number: int
    context: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """What is wanted of some rows."""

    rows: Sequence[Row]
    query: Query
    labels: bool = True
    answers: bool = False
    """Log-probabilities of the answers' tokens, adapter off."""
    adapter: Served | None = None
    """On for the labels."""
    fresh: bool = False
    """Whether nothing may be taken from the server's caches."""


@dataclass(frozen=True)
class Figure:
    """A piece of what one row is read as: of its labels' logits, or of its answer's log-
    probabilities, from `start` on. Logits of one row may all be off by the same."""

    row: int
    of: Literal["labels", "answer"]
    values: tuple[float, ...]
    start: int = 0
    cached: int = field(default=0, compare=False)
    """Tokens that the server took from a cache, where it says so."""


Chain = list[Ask[list[Figure]]]
"""Requests that go out one after the other."""


class Dialect(Protocol):
    """How one kind of server is spoken to."""

    name: str
    """As scored files call the backend."""
    activations: frozenset[Activation]
    loading: str
    """Options that start such a server with the adapter `{name}` at `{path}`."""
    tells_where: bool
    """Whether it says where its adapters act."""

    @property
    def about(self) -> About: ...

    def tokenize(self, text: str, *, special: bool) -> Ask[list[int]]:
        """Ids of a text, nothing added."""
        ...

    def chains(self, reading: Reading) -> list[Chain]: ...


class Opener(Protocol):
    """Makes the dialect of a server that speaks it."""

    def __call__(self, pool: Pool, model: str | None) -> Dialect | None:
        """None: the server is of another kind."""
        ...


def part(value: Any, *path: str | int, kind: type | tuple[type, ...] = object) -> Any:
    """What stands at `path` in a reply. Raises ServerError where nothing of that kind does."""
    found = value
    for step in path:
        try:
            found = found[step]
        except (LookupError, TypeError):
            raise ServerError(f"the reply has no {_spelled(path)}") from None
    if not isinstance(found, kind) or isinstance(found, bool):
        raise ServerError(f"the reply's {_spelled(path)} is {type(found).__name__}")
    return found


def objects(value: Any, *path: str) -> list[dict[str, Any]]:
    """The list of objects at `path` in a reply. Raises ServerError where there is none."""
    found = part(value, *path, kind=list)
    if not all(isinstance(one, dict) for one in found):
        raise ServerError(f"the reply's {_spelled(path)} holds something else than objects")
    return list(found)


def number(value: Any, what: str) -> float:
    """A finite number. Raises ServerError for another kind, NonFiniteScoreError for NaN."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ServerError(f"{what} is no number")
    if not math.isfinite(value):
        raise NonFiniteScoreError(f"the server's {what} is NaN or infinite")
    return float(value)


def picked(pairs: Iterable[tuple[int, Any]], tokens: Sequence[int]) -> tuple[float, ...]:
    """The values of `tokens` among (id, value) pairs. Raises ServerError where one is missing: a
    label that the server left out has no score of 0."""
    known = dict(pairs)
    missing = [token for token in tokens if token not in known]
    if missing:
        raise ServerError(
            f"the reply lacks the log-probability of the token {missing[0]}"
            + (f" and of {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    return tuple(number(known[token], f"log-probability of the token {token}") for token in tokens)


def cached_in(reply: Any, *path: str) -> int:
    """How many tokens the server says that it took from a cache, at `path`; 0 where it does not."""
    for step in path:
        reply = reply.get(step) if isinstance(reply, dict) else None
    return reply if isinstance(reply, int) else 0


def _spelled(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path)) or "content"
