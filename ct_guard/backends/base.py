"""The contract that every backend keeps: one prefill serves every estimator.

A backend owns a model and one lock, and is synchronous; P(correct) is computed outside of it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import UsageError
from ct_guard.query import Encoder, Query

__all__ = [
    "KV",
    "NO_TOKENS",
    "Activation",
    "Adapter",
    "Asked",
    "Asking",
    "Backend",
    "Capabilities",
    "Finish",
    "Generation",
    "GenerationSettings",
    "Item",
    "Manner",
    "Piece",
    "PlainRow",
    "ScoreBatch",
    "Stream",
    "Want",
]

Activation = Literal["query", "all"]
"""Where an adapter acts: on the query's tokens over the base model's KV, or on every token."""

Want = Literal["labels", "answer_logprobs", "hidden", "query_hidden"]
"""`query_hidden` comes with the labels: it is what they are computed from."""

Manner = Literal["together", "alone", "whole"]
"""How a base reads rows to the same effect as one by one: in batches over shared caches; one at a
time, the query over the row's own cache; or one at a time without any cache."""

Finish = Literal["stop", "length"]
"""Why an answer ends: the model or a stop string ended it, or `max_tokens` or `Stream.close` did
and it may not be all."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA on disk. `activation` is part of what it is: the two are different functions."""

    name: str
    path: Path
    activation: Activation


@dataclass(eq=False)
class KV:
    """A live key-value cache: `ids` have been read by the base model, the answer from
    `answer_start` on. Belongs to the backend that made it, and equals only itself."""

    ids: tuple[int, ...]
    handle: Any = field(repr=False)
    answer_start: int
    answer_logprobs: NDArray[np.float32] = field(repr=False)
    """[answer tokens]: natural-log probability of each, adapter off, temperature 1."""


@dataclass(frozen=True)
class Item:
    """One thing to score: a context and an answer as ids, or a KV that already holds both (then
    `answer` is empty)."""

    context: tuple[int, ...] | KV
    answer: tuple[int, ...]


NO_TOKENS = range(0)


@dataclass(frozen=True)
class PlainRow:
    """A row to be read alone and whole. With `jump` it is read wrongly on purpose, to know what a
    fault would look like."""

    ids: tuple[int, ...]
    adapter: Adapter | None = None
    acts: range = NO_TOKENS
    """The tokens that the adapter acts on."""
    beside: tuple[int, ...] = ()
    """Read in the same step, behind the row or as another sequence: they cannot matter, and change
    what is rounded."""
    jump: int | None = None
    """From this token on, positions are one too high; needs `Capabilities.positions`."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do; estimators check it before they ask."""

    activations: frozenset[Activation]
    kv_handles: bool
    answer_logprobs: bool
    hidden_states: bool
    generates: bool
    positions: bool = False
    """Whether tokens can be read at positions of one's choice."""
    live_tokens: int | None = None
    """Most tokens that all live KVs hold together, shared beginnings counted once; None: as many as
    memory holds."""
    batching_gains: bool = True
    """Whether answers to different questions take less time together than one after the other."""
    served: bool = False
    """Whether the weights are behind a URL: nothing here can hash them, and an adapter acts where
    it was made to and nowhere else."""


@dataclass(frozen=True)
class ScoreBatch:
    """Results for B items, in their order; None for what was not wanted."""

    label_logits: NDArray[np.float32] | None
    """[B, 2], (no, yes), or as many as the query has labels: logits or log-probabilities, only
    their differences mean anything."""
    answer_logprobs: list[NDArray[np.float32]] | None
    """One array per item, [answer tokens], natural log, adapter off."""
    hidden: NDArray[np.float32] | None
    """[B, d]: last layer at the last answer token, through the adapter where it acts on all tokens,
    else with the adapter off."""
    cached_tokens: NDArray[np.int32]
    """[B]: tokens that were taken from a cache instead of being read."""
    prefilled_tokens: NDArray[np.int32]
    """[B]: tokens that were read for this item; a shared context counts for its first answer."""
    query_hidden: NDArray[np.float32] | None = None
    """[B, d]: last layer at the query's last token, through the adapter where there is one: what
    the label logits are computed from."""


@dataclass(frozen=True)
class Asking:
    """Several queries over one reading of an answer.

    The base model reads context and answer once; each query goes on from there on its own, and what
    several begin with is read once. `adapter` acts as it does in `Backend.score`: on the queries
    alone, or on every token.
    """

    item: Item
    queries: tuple[Query, ...]
    adapter: Adapter | None = None
    first: Query | None = None
    """Another one, whose logits come apart."""
    first_adapter: Adapter | None = None
    """Like `adapter`, of `first`. One of the two that acts on every token is the other one, too."""
    logprobs: bool = False
    """Whether the answer's log-probabilities are wanted; of an adapter that acts on every token
    there are none here."""
    state: bool = False
    """Whether what `first` is answered from is wanted, as `query_hidden` of a `ScoreBatch`."""

    def __post_init__(self) -> None:
        acting = [one for one in (self.adapter, self.first_adapter) if one is not None]
        everywhere = any(one.activation == "all" for one in acting)
        same = self.first is None or self.adapter == self.first_adapter
        if everywhere and (self.logprobs or not same):
            raise UsageError(
                "an adapter that acts on every token shares its reading with no other: ask apart"
            )

    @property
    def everywhere(self) -> str | None:
        """The name of the adapter that acts on every token, if there is one."""
        adapter = self.adapter
        return adapter.name if adapter is not None and adapter.activation == "all" else None


@dataclass(frozen=True)
class Asked:
    """What came of an `Asking` of n queries."""

    logits: NDArray[np.float32]
    """[n, 2], (no, yes)."""
    first: NDArray[np.float32] | None
    """[2], of the query behind the answer itself."""
    answer_logprobs: NDArray[np.float32] | None
    """[answer tokens], natural log, adapter off."""
    state: NDArray[np.float32] | None = None
    """[d]: last layer at the last token of `first`."""


@dataclass(frozen=True)
class GenerationSettings:
    """How an answer is generated. Raises UsageError for values out of range."""

    max_tokens: int
    """Most new tokens, at least 1."""
    temperature: float = 0.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """In (0, 1]: the least set of likeliest tokens of this probability is drawn from."""
    seed: int | None = None
    stop: Sequence[str] = ()
    """Strings that the answer ends before."""

    def __post_init__(self) -> None:
        for name, value, fits, want in (
            ("max_tokens", self.max_tokens, self.max_tokens >= 1, "1 or more"),
            ("temperature", self.temperature, 0 <= self.temperature < math.inf, "0 or more"),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1"),
        ):
            if not fits:
                raise UsageError(f"{name} {value} cannot be used: give {want}")

    def check_prompt(self, prompt: Sequence[int], limit: int) -> None:
        """Raise UsageError unless the prompt has tokens and fits `limit` with its answer."""
        if not prompt:
            raise UsageError("a prompt without tokens cannot be continued")
        if len(prompt) + self.max_tokens > limit:
            raise UsageError(
                f"a prompt of {len(prompt)} tokens and {self.max_tokens} new ones exceed the"
                f" model's {limit}"
            )


@dataclass(frozen=True)
class Generation:
    """A generated answer."""

    ids: tuple[int, ...]
    """Without the end token and without a stop string's tokens."""
    text: str
    """What `ids` decode to. Where a stop string begins inside a token of a batch's answer, it is
    the text up to there, and `ids` are the whole tokens in it."""
    logprobs: NDArray[np.float32]
    """[ids]: natural-log probability of each, at temperature 1."""
    kv: KV | None
    """Holds exactly the prompt and `ids`. Its owner gives it back with `Backend.release`."""
    cached_tokens: int
    """Tokens of the prompt that were taken from `past`."""
    prefilled_tokens: int
    """Tokens of the prompt that were read; with `cached_tokens`, the whole prompt."""
    finish: Finish


@dataclass(frozen=True)
class Piece:
    """One token of an answer that is being made. `text` is what it adds: nothing, while a character
    is incomplete or a stop string may be starting. All texts joined are the answer's text."""

    id: int
    text: str
    logprob: float


class Stream(Iterator[Piece], Protocol):
    """An answer, piece by piece, each made when it is asked for. The backend may be used for other
    things between two pieces; the stream itself belongs to one thread at a time."""

    @property
    def result(self) -> Generation:
        """The whole answer, once the pieces are exhausted or the stream is closed. It holds the
        pieces that came out, and a KV unless the prompt was never read. UsageError before."""
        ...

    def close(self) -> None:
        """Stop early. Closing an ended stream does nothing."""
        ...


class Backend(Protocol):
    """Where logits come from."""

    noise: float | None
    """Of the number format, in logits: 95% of z = z_yes - z_no move by less when a row is read in
    other company. Measured by the start-up check; None before."""
    manner: Manner
    """How rows are read, one of `manners`. The start-up check takes the first that is right."""

    @property
    def name(self) -> str: ...

    @property
    def encoder(self) -> Encoder:
        """The base model's tokenizer and chat template."""
        ...

    @property
    def manners(self) -> tuple[Manner, ...]:
        """From the fastest to the safest."""
        ...

    @property
    def format(self) -> str:
        """What the weights are kept in: `bfloat16`, `Q4_1`…"""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the base model, in whatever form it is: see `backends.fingerprint`."""
        ...

    @property
    def digest(self) -> str:
        """Hash of this form's very bytes; "" where there are none."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def vocabulary_size(self) -> int:
        """Token ids are below it."""
        ...

    @property
    def max_tokens(self) -> int:
        """The longest sequence that the model reads, in tokens."""
        ...

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        """Score items of any lengths, batched inside. Raises NonFiniteScoreError, BackendError."""
        ...

    def ask(self, asking: Asking) -> Asked:
        """Several queries over one reading of one answer. Raises NonFiniteScoreError, BackendError,
        and UsageError for an answer without tokens."""
        ...

    def read_plainly(self, row: PlainRow, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Logits or log-probabilities [tokens] behind one row, read without padding, without the
        caches of other rows and without what `score` does for speed: what the start-up check
        compares with. Raises BackendError."""
        ...

    def generate(
        self,
        prompts: Sequence[tuple[int, ...]],
        settings: GenerationSettings,
    ) -> list[Generation]:
        """Answers by the base model (adapter off). One prompt alone also keeps its KV: it is
        `stream`, exhausted."""
        ...

    def stream(
        self,
        prompt: Sequence[int],
        settings: GenerationSettings,
        *,
        past: KV | None = None,
    ) -> Stream:
        """One answer by the base model (adapter off), piece by piece.

        `past`, a KV of this backend, lends its longest common prefix with the prompt, which is not
        read again; it stays as it was, and may be released as soon as this call returns. Nothing is
        read before the first piece is asked for.

        Raises UsageError for a prompt without tokens, and one that leaves no room for
        `settings.max_tokens`; BackendError when closed or when `past` was released.
        """
        ...

    def release(self, kv: KV) -> None:
        """Free a KV, which cannot be used afterwards. Releasing it again does nothing."""
        ...

    def close(self) -> None:
        """Free the model. Scoring afterwards raises BackendError."""
        ...
