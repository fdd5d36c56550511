"""Contexts that begin alike, such as several questions about one text: what they share is read
once, as a context is for its answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Stem", "stems"]

LEAST = 0.5
"""Share of every context that its stem must be: what is read behind a copied cache then costs less
than what is saved, and a template's few tokens in front of unlike texts are no stem."""
WORTH = 64
"""Tokens that a stem must save: it is read on its own, which costs about as much."""

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Stem:
    """`ids` stand at the beginning of all `contexts`, each of which goes on behind them. A context
    on its own has none."""

    ids: Ids
    contexts: tuple[Ids, ...]


def stems(contexts: Iterable[Ids]) -> list[Stem]:
    """Different contexts by their stems. In their order, those that begin alike are neighbours:
    each joins the one before it where what all of them share is long enough to be worth it."""
    found: list[Stem] = []
    for context in sorted(contexts):
        last = found[-1] if found else Stem((), ())
        first = last.contexts[:1]
        shared = _alike(last.ids or first[0], context) if first else 0
        kept = min(shared, *(len(one) - 1 for one in (*first, context)))
        if kept and kept >= LEAST * max(map(len, (*last.contexts, context))):
            found[-1] = Stem(context[:kept], (*last.contexts, context))
        else:
            found.append(Stem((), (context,)))
    return [one for stem in found for one in _if_worth(stem)]


def _if_worth(stem: Stem) -> list[Stem]:
    if len(stem.ids) * (len(stem.contexts) - 1) >= WORTH:
        return [stem]
    return [Stem((), (context,)) for context in stem.contexts]


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
