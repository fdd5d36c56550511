"""The token loop that every backend's `stream` runs, over the little that differs: a `Reader`."""

from collections.abc import Container, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import UsageError
from ct_guard.query import Encoder

from .base import KV, Finish, Generation, GenerationSettings, Piece, Stream
from .sampling import Sampler, logprob_of
from .streaming import TextStream, whole_tokens

__all__ = ["AnswerStream", "Reader", "common_prefix", "exhausted"]


class Reader(Protocol):
    """A sequence that a model reads token by token, adapter off. Its methods take the backend's
    lock and raise BackendError when the backend is closed."""

    @property
    def ids(self) -> tuple[int, ...]:
        """What has been read."""
        ...

    def read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read more tokens, at least one; the logits [V] behind the last of them."""
        ...

    def cut(self, length: int) -> None:
        """Keep at least the first `length` tokens' reading, and nothing behind them. A cache that
        cannot go back may keep fewer: `ids` tells."""
        ...

    def keep(self) -> Any:
        """The handle of a KV that holds `ids`. The reader is not used afterwards."""
        ...

    def drop(self) -> None:
        """Free what was read."""
        ...


class AnswerStream:
    """A `Stream` of the pieces behind `prompt`, whose first tokens `reader` may have read.

    A piece comes out when its text is final. Where a stop string begins inside a token, that token
    gives way to the tokens of the text before the stop string, which are read in its place: ids,
    text and KV say the same.
    """

    def __init__(
        self,
        reader: Reader,
        prompt: Sequence[int],
        settings: GenerationSettings,
        *,
        encoder: Encoder,
        ends: Container[int],
    ) -> None:
        self._reader, self._prompt, self._settings = reader, tuple(prompt), settings
        self._encoder, self._ends = encoder, ends
        self._sampler = Sampler(settings.temperature, settings.top_p, settings.seed)
        self._cached = len(reader.ids)
        self._said: list[Piece] = []
        self._result: Generation | None = None
        self._open = True
        self._steps = self._run()

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        piece = next(self._steps)
        self._said.append(piece)
        return piece

    @property
    def result(self) -> Generation:
        if self._result is None:
            raise UsageError("this stream has no result: exhaust it or close it, unless it failed")
        return self._result

    def close(self) -> None:
        self._steps.close()
        if self._open:
            with self._freed_on_error():
                self._settle("length")

    # --- inside ---------------------------------------------------------------------------------

    def _run(self) -> Generator[Piece, None, None]:
        with self._freed_on_error():
            self._settle((yield from self._speak()))

    def _speak(self) -> Generator[Piece, None, Finish]:
        text = TextStream(self._encoder.decode, self._settings.stop)
        waiting: list[Piece] = []
        unread = self._prompt[self._cached :]
        for _ in range(self._settings.max_tokens):
            token, logprob = self._sampler.pick(self._reader.read(unread))
            if token in self._ends:
                yield from _at_once(waiting, text.finish())
                return "stop"
            unread = (token,)
            waiting.append(Piece(token, text.push(token), logprob))
            if text.stopped:
                yield from self._before_stop(waiting)
                return "stop"
            if not text.holding:
                yield from waiting
                waiting = []
        yield from _at_once(waiting, text.finish())
        return "length"

    def _before_stop(self, waiting: list[Piece]) -> list[Piece]:
        """What of `waiting`, in which a stop string begins, stands before it."""
        said = [piece.id for piece in self._said]
        ids = [*said, *(piece.id for piece in waiting)]
        rest = "".join(piece.text for piece in waiting)
        text = "".join(piece.text for piece in self._said) + rest
        whole = max(len(said), whole_tokens(ids, text, self._encoder.decode))
        tail = self._encoder.encode(text[len(self._encoder.decode(ids[:whole])) :])
        tail = tail[: self._settings.max_tokens - whole]
        pieces = waiting[: whole - len(said)]
        if tail:
            before = (*self._prompt, *ids[:whole])
            self._reader.cut(len(before) - 1)
            logits = self._reader.read(before[len(self._reader.ids) :])
            for token in tail:
                pieces.append(Piece(token, "", logprob_of(token, logits)))
                logits = self._reader.read([token])
        return _at_once(pieces, rest)

    def _settle(self, finish: Finish) -> None:
        """Make the reader hold exactly the prompt and what came out, and the result of it."""
        ids = tuple(piece.id for piece in self._said)
        logprobs = np.array([piece.logprob for piece in self._said], np.float32)
        whole = (*self._prompt, *ids)
        kv = None
        if self._said or len(self._reader.ids) >= len(self._prompt):
            if len(self._reader.ids) > len(whole):
                self._reader.cut(len(whole))
            if len(self._reader.ids) < len(whole):
                self._reader.read(whole[len(self._reader.ids) :])
            kv = KV(whole, self._reader.keep(), len(self._prompt), logprobs)
        else:
            self._reader.drop()
        self._open = False
        self._result = Generation(
            ids=ids,
            text="".join(piece.text for piece in self._said),
            logprobs=logprobs,
            kv=kv,
            cached_tokens=self._cached,
            prefilled_tokens=len(self._prompt) - self._cached,
            finish=finish,
        )

    @contextmanager
    def _freed_on_error(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            self._open = False
            self._reader.drop()
            raise


def exhausted(stream: Stream) -> Generation:
    """The whole answer of a stream."""
    for _ in stream:
        pass
    return stream.result


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _at_once(pieces: list[Piece], text: str) -> list[Piece]:
    """The pieces, all ready at one moment, with their common text on the last."""
    return [replace(piece, text=text * (piece is pieces[-1])) for piece in pieces]
