"""The backend of estimators that need no model: it reads text, and can do nothing else."""

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import BackendError
from ct_guard.query import Query
from ct_guard.records import Message

from .base import (
    KV,
    Adapter,
    Capabilities,
    Generation,
    Item,
    Manner,
    PlainRow,
    ScoreBatch,
    Stream,
    Want,
)

__all__ = ["NoModel"]


class NoModel:
    """Its tokens are UTF-8 bytes; whatever needs a model raises BackendError."""

    name = "none"
    format = "none"
    manner: Manner = "together"
    manners: tuple[Manner, ...] = ("together",)
    noise: float | None = 0.0
    fingerprint = ""
    digest = ""
    max_tokens = 1_000_000_000
    vocabulary_size = 258
    start_ids: tuple[int, ...] = ()
    capabilities = Capabilities(
        activations=frozenset(),
        kv_handles=False,
        answer_logprobs=False,
        hidden_states=False,
        generates=False,
    )

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return list(text.encode("utf-8", "replace"))

    def encode_whole(self, text: str) -> list[int]:
        return self.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")

    def label_id(self, label: str) -> int:
        """Behind the bytes, told apart by its length."""
        return 255 + len(label)

    def render_chat(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        self._refuse()

    def read_plainly(self, row: PlainRow, tokens: Sequence[int]) -> NDArray[np.float32]:
        self._refuse()

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        self._refuse()

    def generate(
        self,
        prompts: Sequence[tuple[int, ...]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[Generation]:
        self._refuse()

    def stream(
        self,
        prompt: Sequence[int],
        *,
        past: KV | None = None,
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Stream:
        self._refuse()

    def release(self, kv: KV) -> None:
        """There are none."""

    def close(self) -> None:
        """There is nothing to free."""

    def _refuse(self) -> NoReturn:
        raise BackendError("this estimator has no model: it reads the question's text alone")
