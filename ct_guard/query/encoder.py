"""The seam to a tokenizer: what rendering needs of it, whichever library owns it."""

from collections.abc import Sequence
from typing import Protocol

from ct_guard.records import Message

__all__ = ["Encoder"]


class Encoder(Protocol):
    """Text to token ids. Never adds BOS, EOS or a dummy prefix of its own accord."""

    @property
    def start_ids(self) -> tuple[int, ...]:
        """Ids that every raw sequence begins with: the BOS token, or nothing."""
        ...

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Ids of `text`. Special tokens in it are parsed only when `special` is true, which is
        for our own text: user text is data."""
        ...

    def label_id(self, label: str) -> int:
        """The one vocabulary entry of a label; MismatchError when it is not one entry."""
        ...

    def render_chat(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        """The model's chat template applied; MismatchError when the model has none."""
        ...
