"""A stream on its way to the reader: joined on the side, its last part kept back for the record."""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables.utils import AddableDict

from .record import attach

__all__ = ["Parts", "joined"]


def joined(whole: Any, part: Any) -> Any:
    """The stream so far and its next part; where they do not add up, the latest counts."""
    if whole is None:
        return part
    try:
        return whole + part
    except TypeError:
        return part


class Parts:
    """Parts of a dict whose `output` is an answer in the making.

    All but the latest are passed on as they come; the last one goes out together with the
    confidence, so that exactly one part carries it. With `hold` nothing is passed on before.
    """

    def __init__(self, output_key: str, *, hold: bool) -> None:
        self._output_key, self.hold = output_key, hold
        self.whole: dict[str, Any] = {}
        """All parts joined, key by key."""
        self._kept: Mapping[str, Any] | None = None

    def add(self, part: Mapping[str, Any]) -> Iterator[Any]:
        """What can be passed on now that this part is here."""
        self.whole |= {key: joined(self.whole.get(key), value) for key, value in part.items()}
        if self._kept is not None and not self.hold:
            yield AddableDict(self._kept)
        self._kept = part

    def last(self, guarded: Mapping[str, Any] | Exception) -> Any:
        """The last part, given what became of the whole: all of it, where it was held. Raises what
        the whole ended in."""
        if isinstance(guarded, Exception):
            raise guarded
        if self.hold or self._kept is None:
            return AddableDict(guarded)
        part = AddableDict(self._kept, confidence=guarded["confidence"])
        said = part.get(self._output_key)
        if isinstance(said, BaseMessage):
            part[self._output_key] = attach(said, guarded["confidence"])
        return part
