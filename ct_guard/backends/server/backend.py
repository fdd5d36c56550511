"""Bases behind a URL: vLLM, SGLang, llama-server. Their weights and caches are theirs; texts are
encoded here, and only ids are sent."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.base import (
    KV,
    Adapter,
    Asked,
    Asking,
    Capabilities,
    Generation,
    GenerationSettings,
    Item,
    Manner,
    PlainRow,
    ScoreBatch,
    Stream,
    Want,
)
from ct_guard.errors import BackendError, MismatchError, UsageError
from ct_guard.query import Query
from ct_guard.remote import key_from, key_in

from .adapters import find_adapter
from .dialect import About, Dialect, Figure, Reading, Row, Served
from .kinds import open_server
from .patience import Patience
from .pool import Pool
from .text import LocalText, load_text
from .trial import check_text, try_adapter

__all__ = ["ServerBackend", "key_of"]

CONCURRENCY = 32
"""Requests under way at a time, where the server does not say how many it computes side by side."""
Floats = NDArray[np.float64]


class ServerBackend:
    """Safe to use from any thread: calls go side by side, and the server batches them."""

    manners: tuple[Manner, ...] = ("together",)
    digest = ""

    def __init__(
        self, pool: Pool, dialect: Dialect, text: LocalText, *, adapter: str | None = None
    ) -> None:
        """`adapter` is the server's name for the estimator's LoRA; None: as its directory.

        Raises MismatchError where the server encodes texts otherwise than `text` does.
        """
        self.manner: Manner = "together"
        self.noise: float | None = None
        self._pool, self._dialect, self._text = pool, dialect, text
        self.encoder = text.encoder
        self._adapter = adapter
        self._tried: dict[tuple[Adapter, Query], Served] = {}
        check_text(pool, dialect, text.encoder)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        url: str,
        revision: str | None = None,
        model: str | None = None,
        adapter: str | None = None,
        key_env: str | None = None,
        key_file: str | Path | None = None,
        timeout: float = 60.0,
        concurrency: int | None = None,
    ) -> "ServerBackend":
        """The server at `url`, its root, over the base `source`: a directory, a GGUF file or a hub
        id, of which only the tokenizer is read.

        Args:
            model: the server's name for the base; None: the one that it has.
            adapter: the server's name for the estimator's LoRA; None: as its directory.
            key_env, key_file: where the key is, if the server wants one.
            timeout: seconds for a request, attempts and waits included.
            concurrency: requests under way at a time; None: as many as the server computes side by
                side where it says so, else 32.

        Raises:
            UsageError: a URL that is none, a key that is not where it should be.
            ServerError: the server cannot be had, or is none of these.
            MismatchError: it serves another base.
        """
        if concurrency is not None and concurrency < 1:
            raise UsageError(f"concurrency {concurrency}: give 1 or more")
        pool = Pool(
            url,
            key=key_of(key_env, key_file),
            patience=Patience.of(timeout),
            concurrency=concurrency or CONCURRENCY,
        )
        try:
            dialect = open_server(pool, model)
            if concurrency is None and dialect.about.slots is not None:
                pool.concurrency = min(CONCURRENCY, dialect.about.slots)
            return cls(pool, dialect, load_text(source, revision), adapter=adapter)
        except BaseException:
            pool.close()
            raise

    # --- the model ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._dialect.name

    @property
    def url(self) -> str:
        return self._pool.url

    @property
    def about(self) -> About:
        """What the server says of itself."""
        return self._dialect.about

    @property
    def format(self) -> str:
        return self.about.format

    @property
    def fingerprint(self) -> str:
        """Of the files here. Whether the server's weights are those, nothing can tell."""
        return self._text.fingerprint

    @property
    def vocabulary_size(self) -> int:
        return self._text.size

    @property
    def max_tokens(self) -> int:
        return self.about.max_tokens

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            activations=self._dialect.activations,
            kv_handles=False,
            answer_logprobs=True,
            hidden_states=False,
            generates=False,
            served=True,
        )

    def close(self) -> None:
        self._pool.close()
        self._text.close()

    # --- scoring --------------------------------------------------------------------------------

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        reading = self._reading(items, query, adapter, want)
        return _batch(reading, self._pool.all(self._dialect.chains(reading)))

    async def score_async(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        """`score`, from an event loop, which goes on meanwhile. An adapter is tried when it is used
        first, and that blocks."""
        reading = self._reading(items, query, adapter, want)
        return _batch(reading, await self._pool.all_async(self._dialect.chains(reading)))

    def read_plainly(self, row: PlainRow, tokens: Sequence[int]) -> NDArray[np.float32]:
        """`row.beside` is sent at the same time, as another request."""
        query = Query((), tuple(tokens))
        served = self._acting(row, query)
        if row.jump is not None:
            raise UsageError("a server reads tokens at successive positions only")
        rows = [Row(0, row.ids, ())] + ([Row(1, row.beside, ())] if row.beside else [])
        reading = Reading(rows, query, adapter=served, fresh=True)
        found = _batch(reading, self._pool.all(self._dialect.chains(reading))).label_logits
        assert found is not None  # noqa: S101  they were wanted
        return np.asarray(found[0])

    def _reading(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> Reading:
        if {"hidden", "query_hidden"} & want:
            raise MismatchError(f"{self.name} serves no hidden states: read them in this process")
        rows = []
        for number, item in enumerate(items):
            if isinstance(item.context, KV):
                raise BackendError("a server keeps no caches for us: score the answer's text")
            if not item.answer or not item.context:
                raise UsageError("an answer or a context without tokens cannot be scored")
            rows.append(Row(number, item.context, item.answer))
        labels = "labels" in want
        served = self._served(adapter, query) if adapter is not None and labels else None
        return Reading(rows, query, labels, "answer_logprobs" in want, served)

    def _served(self, adapter: Adapter, query: Query) -> Served:
        """The server's own, tried when it is used first with a pair of labels."""
        pair = Query(query.ids, query.label_ids[:2])
        known = self._tried.get((adapter, pair))
        if known is None:
            known = find_adapter(adapter, pair, self._adapter, self._dialect, self.url)
            try_adapter(self._pool, self._dialect, self._text, pair, known, adapter)
            self._tried[adapter, pair] = known
        return known

    def _acting(self, row: PlainRow, query: Query) -> Served | None:
        """The adapter that a plain row is read with. Raises UsageError where it cannot act there
        alone."""
        if row.adapter is None or not row.acts:
            return None
        where = "query" if row.acts.start else "all"
        known = [one for (tried, _), one in self._tried.items() if tried == row.adapter]
        if not known or row.adapter.activation != where or row.acts.stop != len(row.ids):
            raise UsageError("a server has an adapter act where it was made to act, once tried")
        return known[0]

    # --- what a server is not asked for -----------------------------------------------------------

    def ask(self, asking: Asking) -> Asked:
        raise BackendError(
            "a server keeps no cache for us that several queries share: fields are judged with"
            " --backend transformers or llama_cpp"
        )

    def generate(
        self, prompts: Sequence[tuple[int, ...]], settings: GenerationSettings
    ) -> list[Generation]:
        _no_answers()

    def stream(
        self, prompt: Sequence[int], settings: GenerationSettings, *, past: KV | None = None
    ) -> Stream:
        _no_answers()

    def release(self, kv: KV) -> None:
        """There is none."""


def key_of(variable: str | None, file: str | Path | None) -> str:
    """The key in an environment variable or in a file; "" where neither is named. Raises UsageError
    where both are, or there is none."""
    if variable is not None and file is not None:
        raise UsageError("a key is in the environment or in a file: name one of both")
    if file is not None:
        return key_in(file)
    return key_from(variable) if variable is not None else ""


def _no_answers() -> NoReturn:
    raise BackendError(
        "a served base does not generate here: ask it over its own interface (ct-guard grade --url)"
    )


def _batch(reading: Reading, found: list[list[list[Figure]]]) -> ScoreBatch:
    """The figures of all replies, each in its row."""
    rows, size = reading.rows, len(reading.rows)
    logits = np.full((size, len(reading.query.label_ids)), np.nan, np.float64)
    logprobs = [np.full(len(row.answer), np.nan, np.float32) for row in rows]
    cached = np.zeros(size, np.int32)
    for figure in (figure for chain in found for reply in chain for figure in reply):
        into = logits[figure.row] if figure.of == "labels" else logprobs[figure.row]
        into[figure.start : figure.start + len(figure.values)] = figure.values
        cached[figure.row] = max(cached[figure.row], figure.cached)
    wanted = ([logits] if reading.labels else []) + (logprobs if reading.answers else [])
    if not all(np.isfinite(values).all() for values in wanted):
        raise BackendError("the server's replies leave something out that was asked for")
    asked = len(reading.query.ids) if reading.labels else 0
    whole = np.array([len(row.context) + len(row.answer) + asked for row in rows], np.int32)
    cached = np.minimum(cached, whole)
    return ScoreBatch(
        label_logits=logits.astype(np.float32) if reading.labels else None,
        answer_logprobs=logprobs if reading.answers else None,
        hidden=None,
        cached_tokens=cached,
        prefilled_tokens=(whole - cached).astype(np.int32),
    )
