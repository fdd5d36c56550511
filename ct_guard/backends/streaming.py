"""From token ids to text as they come: characters whole, stop strings never seen."""

from collections.abc import Callable, Sequence

__all__ = ["TextStream", "whole_tokens"]

_INCOMPLETE = "\ufffd"
"""What tokenizers decode the bytes of an unfinished character to."""

Decode = Callable[[Sequence[int]], str]


class TextStream:
    """Turns the tokens of one answer into text that will not be taken back.

    What `push` and `finish` return, joined, is the decoding of all tokens up to the stop string
    that is complete first. Held back meanwhile: characters whose bytes are not all there, and what
    may be the beginning of a stop string.
    """

    def __init__(self, decode: Decode, stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = [mark for mark in stop if mark]
        self._window: list[int] = []
        self._context = 0
        self._said = ""
        self._held = ""
        self._incomplete = ""
        self.stopped = False
        """Whether a stop string was met: what follows it is dropped."""

    @property
    def holding(self) -> bool:
        """Whether text of the tokens so far has not come out yet."""
        return bool(self._held or self._incomplete)

    def push(self, token: int) -> str:
        """The text that is certain now."""
        return self._release(self._decoded(token))

    def finish(self) -> str:
        """The text that was held back, as no token follows."""
        if self.stopped:
            return ""
        rest = self._release(self._incomplete) + self._held
        self._held = self._incomplete = ""
        return rest

    def _decoded(self, token: int) -> str:
        """The whole characters that `token` completes.

        How a token reads may depend on those before it. So a window is decoded, of which the first
        `_context` tokens, and the first `_said` of its text, have come out already.
        """
        self._window.append(token)
        text = self._decode(self._window)
        whole = text.rstrip(_INCOMPLETE)
        new = whole[len(self._said) :]
        self._said += new
        self._incomplete = text[len(self._said) :]
        if new and not self._incomplete:
            self._window = self._window[self._context :]
            self._context = len(self._window)
            self._said = self._decode(self._window)
        return new

    def _release(self, new: str) -> str:
        if self.stopped:
            return ""
        text = self._held + new
        found = [(at + len(mark), at) for mark in self._stop if (at := text.find(mark)) >= 0]
        if found:  # what is complete first counts, however the tokens cut the text
            self.stopped = True
            self._held = self._incomplete = ""
            return text[: min(found)[1]]
        kept = len(text) - max((_overlap(text, mark) for mark in self._stop), default=0)
        self._held = text[kept:]
        return text[:kept]


def whole_tokens(ids: Sequence[int], text: str, decode: Decode) -> int:
    """How many of `ids` lie wholly within `text`, the beginning of what they decode to."""
    for count in range(len(ids), 0, -1):
        if text.startswith(decode(ids[:count])):
            return count
    return 0


def _overlap(text: str, mark: str) -> int:
    """Length of the longest end of `text` with which `mark` begins."""
    longest = min(len(text), len(mark) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(mark[:size])), 0)
