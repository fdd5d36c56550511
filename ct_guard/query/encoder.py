"""The seam to a tokenizer: what rendering needs of it, whichever library owns it."""

from collections.abc import Sequence
from typing import Protocol

from ct_guard.records import Message

__all__ = ["Encoder"]


class Encoder(Protocol):
    """Text to token ids. Adds no BOS, EOS or dummy prefix, but for `encode_whole`."""

    @property
    def start_ids(self) -> tuple[int, ...]:
        """Ids that every raw sequence begins with: the BOS token, or nothing."""
        ...

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Ids of `text`. Special tokens in it are parsed only when `special` is true, which is
        for our own text: user text is data."""
        ...

    def encode_whole(self, text: str) -> list[int]:
        """Ids of a text that is a whole sequence: `start_ids`, then the text as the tokenizer
        encodes it, with its dummy prefix where it has one. No special tokens are parsed in it."""
        ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def label_id(self, label: str) -> int:
        """The one vocabulary entry of a label; MismatchError when it is not one entry."""
        ...

    def render_chat(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        """The model's chat template applied; MismatchError when the model has none."""
        ...
