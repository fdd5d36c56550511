"""What is tried of a server before it is believed: that it encodes as we do, that its adapter acts
where it should, and that no cache of one adapter serves another."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.base import Adapter
from ct_guard.errors import MismatchError, SelfTestError, ServerError
from ct_guard.query import QUERY_TEXT, Encoder, Query

from .dialect import Chain, Dialect, Figure, Reading, Row, Served
from .pool import Pool
from .text import LocalText

__all__ = ["check_text", "try_adapter"]

TEXTS = (QUERY_TEXT, "Question: Who wrote it, in 1984?\nAnswer: naïve Müller, 東京 😀")
ROW = "Question: Name the river that flows through Cairo, please.\nAnswer: The Nile, it is said"
OTHER = "Question: What is 2 plus 2, and what is 4 plus 4?\nAnswer: It is 4, and then it is 8"
PROBES = 14
"""Tokens whose logits are compared, beside both labels."""
SLIGHT = 0.25
"""Of what the adapter does behind the query: what rounding explains elsewhere, and no adapter."""

Logits = NDArray[np.float64]


def check_text(pool: Pool, dialect: Dialect, encoder: Encoder) -> None:
    """Raises MismatchError where the server's tokenizer gives other ids than the one here."""
    for text in TEXTS:
        ours = encoder.encode_whole(text)[len(encoder.start_ids) :]
        theirs = pool.one(dialect.tokenize(text, special=False))
        if list(theirs) != ours:
            raise MismatchError(
                f"{pool.url} serves {dialect.about.model!r}, which encodes a text otherwise than"
                " the base given here: they are not the same model; give its own with --base, or"
                " another server"
            )


def try_adapter(
    pool: Pool,
    dialect: Dialect,
    text: LocalText,
    query: Query,
    served: Served,
    adapter: Adapter,
) -> None:
    """Raises MismatchError where the adapter acts elsewhere than it was tuned to, SelfTestError
    where it changes nothing, or where base and adapter read each other's cache."""
    spread = np.linspace(0, text.size - 1, PROBES).astype(int).tolist()
    tokens = (*query.label_ids, *(one for one in spread if one not in query.label_ids))

    def read(words: str, tail: tuple[int, ...], on: Served | None, *, fresh: bool) -> Logits:
        ids = (*text.encoder.start_ids, *text.encoder.encode(words))
        reading = Reading([Row(0, ids, ())], Query(tail, tokens), adapter=on, fresh=fresh)
        found = np.full(len(tokens), np.nan)
        for figure in (one for chain in dialect.chains(reading) for one in _asked(pool, chain)):
            found[figure.start : figure.start + len(figure.values)] = figure.values
        return np.asarray(found - found.mean())

    cold = partial(read, ROW, fresh=True)
    base, on = cold(query.ids, None), cold(query.ids, served)
    effect = _rms(on - base)
    if effect <= 4 * _rms(cold(query.ids, None) - base):
        raise SelfTestError(f"the adapter {served.name!r} changes nothing: the server ignores it")
    share = _rms(cold((), served) - cold((), None)) / effect
    everywhere = share > SLIGHT
    if everywhere != (adapter.activation == "all"):
        acts, should = ("all tokens", "the query alone")[:: 1 if everywhere else -1]
        raise MismatchError(
            f"the adapter {served.name!r} of {pool.url} acts on {acts}, and the estimator's on"
            f" {should}: its scores would be others"
        )
    _check_caches(read, query, served, base, on, effect)


def _check_caches(
    read: Callable[..., Logits],
    query: Query,
    served: Served,
    base: Logits,
    on: Logits,
    effect: float,
) -> None:
    """The same row behind the other's cache, and behind what another row left in the slot."""
    for first, then, right in ((served, None, base), (None, served, on)):
        for between in (None, first):
            read(ROW, query.ids, first, fresh=False)
            if between is not None:
                read(OTHER, query.ids, between, fresh=False)
            off = _rms(read(ROW, query.ids, then, fresh=False) - right)
            if off > SLIGHT * effect:
                raise SelfTestError(
                    "the server's cache leaks between the base and an adapter: scores follow from"
                    " what was asked before; start llama-server with --cache-ram 0"
                )


def _asked(pool: Pool, chain: Chain) -> list[Figure]:
    return [figure for reply in pool.all([chain])[0] for figure in reply]


def _rms(values: Logits) -> float:
    if not np.isfinite(values).all():
        raise ServerError("the server's replies leave something out that was asked for")
    return float(np.sqrt(np.mean(values**2)))
