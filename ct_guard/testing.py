"""For tests of applications: a backend without a model, deterministic and obviously fake.

An application that guards its answers is tested without weights, and with confidences that the
test itself decides:

    from ct_guard import Guard, load_estimator
    from ct_guard.testing import FakeBackend

    backend = FakeBackend(logit=lambda answer: 3.0 if "sure" in answer else -3.0)
    guard = Guard(load_estimator("zero-shot", base="any", backend=backend), 0.5)

Here an answer with the word `sure` has p = 0.95 and passes; every other one has p = 0.05.
Everything else is the real thing: reading of rows, rendering, policies, deadlines, surfaces.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.base import (
    KV,
    Activation,
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
    Want,
)
from ct_guard.backends.decoding import AnswerStream, common_prefix, exhausted
from ct_guard.errors import BackendError, MismatchError, UsageError
from ct_guard.query import LABELS, Encoder, Query
from ct_guard.query.template import FIELD_PREAMBLE
from ct_guard.records import Message

__all__ = ["FakeBackend", "FakeEncoder"]

_SPECIALS = {"<|begin|>": 256, "<|end|>": 257, "<|user|>": 258, "<|assistant|>": 259,
             "<|system|>": 260, "<|tool|>": 261}  # fmt: skip
_LABEL_IDS = {label: 300 + number for number, label in enumerate(LABELS)}
_HIDDEN = 8


class FakeEncoder:
    """UTF-8 bytes as tokens, and a chat template of special ones."""

    start_ids: tuple[int, ...] = (_SPECIALS["<|begin|>"],)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        if special:
            for name, token in _SPECIALS.items():
                head, found, tail = text.partition(name)
                if found:
                    return [
                        *self.encode(head, special=True),
                        token,
                        *self.encode(tail, special=True),
                    ]
        return list(text.encode("utf-8", "replace"))

    def encode_whole(self, text: str) -> list[int]:
        return [*self.start_ids, *self.encode(text)]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(token for token in ids if token < 256).decode("utf-8", "replace")

    def label_id(self, label: str) -> int:
        if label not in _LABEL_IDS:
            raise MismatchError(f"the label {label!r} is no single token here")
        return _LABEL_IDS[label]

    def render_chat(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        turns = "".join(f"<|{turn.role}|>{turn.content}<|end|>" for turn in messages)
        return f"<|begin|>{turns}{'<|assistant|>' if generation_prompt else ''}"


class FakeBackend:
    """A backend that reads nothing into what it is given, and loads at once.

    Its scores are a hash of the ids: equal input gives equal scores,
    batching changes nothing, and any difference in context, answer, query or adapter shows.

    Args:
        logit: decides z = z_yes - z_no, the raw score of methods that ask the query, from the
            answer's text (as it is shown to the model, with a leading space in some styles).
        reply: what `generate` and `stream` answer to everything.
        encoder: the tokenizer and chat template.
    """

    name = "fake"
    format = "none"
    manners: tuple[Manner, ...] = ("together",)
    fingerprint = "fake"
    digest = ""
    max_tokens = 4096
    vocabulary_size = 512
    capabilities = Capabilities(
        activations=frozenset[Activation](("query", "all")),
        kv_handles=True,
        answer_logprobs=True,
        hidden_states=True,
        generates=True,
    )

    def __init__(
        self,
        *,
        logit: Callable[[str], float] | None = None,
        reply: str = "I think it is 4.",
        encoder: Encoder | None = None,
    ) -> None:
        self.encoder: Encoder = FakeEncoder() if encoder is None else encoder
        self._logit = logit
        self._reply = reply
        self._closed = False
        self._scored: dict[tuple[int, ...], float] = {}
        self.manner: Manner = "together"
        self.noise: float | None = None
        self.calls: list[int] = []
        """Sizes of the batches scored so far."""

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        self._check_open()
        self.calls.append(len(items))
        parts = [_parts(item) for item in items]
        key = _key(adapter)
        everywhere = key if "all" in key else ()
        labels = self._asked(parts, query, adapter)
        live = [isinstance(item.context, KV) for item in items]
        sizes = [len(context) + len(answer) for context, answer in parts]
        return ScoreBatch(
            label_logits=np.array(labels, np.float32).reshape(len(items), len(query.label_ids))
            if "labels" in want
            else None,
            answer_logprobs=_answer_logprobs(parts) if "answer_logprobs" in want else None,
            hidden=_states(parts, everywhere) if "hidden" in want else None,
            cached_tokens=np.array([n * kv for n, kv in zip(sizes, live, strict=True)], np.int32),
            prefilled_tokens=np.array(
                [len(query.ids) + n * (not kv) for n, kv in zip(sizes, live, strict=True)], np.int32
            ),
            query_hidden=_states(parts, ("query", *key)) if "query_hidden" in want else None,
        )

    def ask(self, asking: Asking) -> Asked:
        """A query about a field has the `logit` of its own line: `- town: Kelso?`."""
        context, answer = _parts(asking.item)
        firsts = self._asked([(context, answer)], asking.first, asking.first_adapter)
        key = _key(asking.adapter)
        made = []
        for query in asking.queries:
            ids = (*context, *answer, *query.ids)
            found = self._logits(ids, query.label_ids, key)
            if self._logit is not None:
                found[:2] = [
                    0.0,
                    self._logit(self.encoder.decode(query.ids).removeprefix(FIELD_PREAMBLE)),
                ]
            made.append(found)
        return Asked(
            logits=np.array(made, np.float32).reshape(len(made), -1),
            first=None if asking.first is None else np.array(firsts[0], np.float32),
            answer_logprobs=_answer_logprobs([(context, answer)])[0] if asking.logprobs else None,
            state=_states([(context, answer)], ("query", *_key(asking.first_adapter)))[0]
            if asking.state
            else None,
        )

    def read_plainly(self, row: PlainRow, tokens: Sequence[int]) -> NDArray[np.float32]:
        self._check_open()
        key: tuple[str, ...] = ()
        if row.adapter is not None and row.acts.stop >= len(row.ids):
            key = (row.adapter.name, "query" if row.acts.start else "all")
        elif row.adapter is not None and row.acts.stop:
            key = (row.adapter.name, "left behind")
        return np.array(self._logits(row.ids, tokens, key), np.float32)

    def _asked(
        self,
        parts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
        query: Query | None,
        adapter: Adapter | None,
    ) -> list[list[float]]:
        """The query's label logits behind contexts and answers."""
        if query is None:
            return []
        labels = []
        for context, answer in parts:
            ids = (*context, *answer, *query.ids)
            if self._logit is not None:
                self._scored[ids] = self._logit(self.encoder.decode(answer))
            labels.append(self._logits(ids, query.label_ids, _key(adapter)))
        return labels

    def _logits(
        self, ids: tuple[int, ...], tokens: Sequence[int], key: tuple[str, ...]
    ) -> list[float]:
        found = [_logprob(ids, token, key) for token in tokens]
        if ids in self._scored and len(tokens) > 1:
            found[:2] = [0.0, self._scored[ids]]
        return found

    def generate(
        self,
        prompts: Sequence[tuple[int, ...]],
        settings: GenerationSettings,
    ) -> list[Generation]:
        self._check_open()
        made = []
        for number, prompt in enumerate(prompts):
            stream = self.stream(
                prompt,
                replace(settings, seed=None if settings.seed is None else settings.seed + number),
            )
            made.append(exhausted(stream))
        return made if len(made) == 1 else [replace(one, kv=None) for one in made]

    def stream(
        self,
        prompt: Sequence[int],
        settings: GenerationSettings,
        *,
        past: KV | None = None,
    ) -> AnswerStream:
        """The reply is by far the likeliest answer; at a temperature, other bytes slip in."""
        self._check_open()
        settings.check_prompt(prompt, self.max_tokens)
        reader = _FakeReader(self, prompt, past)
        return AnswerStream(
            reader, prompt, settings, encoder=self.encoder, ends={_SPECIALS["<|end|>"]}
        )

    def release(self, kv: KV) -> None:
        kv.handle = None

    def logits(self, prompt: tuple[int, ...], answer: tuple[int, ...]) -> NDArray[np.float32]:
        """[V] behind a prompt and the beginning of an answer: in favour of the reply's next token,
        with the probability that `score` gives it."""
        self._check_open()
        reply = (*self.encoder.encode(self._reply), _SPECIALS["<|end|>"])
        token = reply[min(len(answer), len(reply) - 1)]
        likely = np.exp(_logprob((*prompt, *answer), token))
        rest = max(1 - likely, 1e-9) / (self.vocabulary_size - 1)
        logits = np.full(self.vocabulary_size, np.log(rest), np.float32)
        logits[token] = np.log(likely)
        return logits

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError("this backend is closed")

    def close(self) -> None:
        self._closed = True


class _FakeReader:
    """Remembers what it was given to read."""

    def __init__(self, backend: FakeBackend, prompt: Sequence[int], past: KV | None) -> None:
        self._backend, self._prompt = backend, tuple(prompt)
        self.ids: tuple[int, ...] = ()
        if past is not None:
            _check_live(past)
            self.ids = self._prompt[: min(common_prefix(past.ids, prompt), len(prompt) - 1)]

    def read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        self.ids = (*self.ids, *ids)
        return self._backend.logits(self._prompt, self.ids[len(self._prompt) :])

    def cut(self, length: int) -> None:
        self.ids = self.ids[:length]

    def keep(self) -> object:
        return object()

    def drop(self) -> None:
        self.ids = ()


def _key(adapter: Adapter | None) -> tuple[str, ...]:
    return () if adapter is None else (adapter.name, adapter.activation)


def _check_live(kv: KV) -> None:
    if kv.handle is None:
        raise BackendError("this cache was released")


def _parts(item: Item) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(item.context, KV):
        _check_live(item.context)
        start = item.context.answer_start
        if start == len(item.context.ids):
            raise UsageError("an answer without tokens cannot be scored")
        return item.context.ids[:start], item.context.ids[start:]
    if not item.answer:
        raise UsageError("an answer without tokens cannot be scored")
    return item.context, item.answer


def _answer_logprobs(
    parts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
) -> list[NDArray[np.float32]]:
    return [
        np.array(
            [_logprob((*context, *answer[:at]), token) for at, token in enumerate(answer)],
            np.float32,
        )
        for context, answer in parts
    ]


def _states(
    parts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], key: tuple[str, ...]
) -> NDArray[np.float32]:
    rows = [
        [_noise(context, answer, at, *key) for at in range(_HIDDEN)] for context, answer in parts
    ]
    return np.array(rows, np.float32).reshape(len(parts), _HIDDEN)


def _logprob(ids: tuple[int, ...], token: int, key: tuple[str, ...] = ()) -> float:
    return -4 * abs(_noise(ids, token, key))


def _noise(*parts: object) -> float:
    """A number in [-1, 1) that any change of the parts changes."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    values: NDArray[np.uint64] = np.frombuffer(digest[:8], np.uint64)
    return float(values[0] / 2**63 - 1)
