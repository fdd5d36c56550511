"""Server-sent events: the form in which chat completions are streamed."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from ct_guard.errors import ServerError
from ct_guard.files.untrusted_json import JsonError, parse_json
from ct_guard.remote import MOST_BYTES

__all__ = ["DONE", "Event", "event_of", "events"]

_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DONE = b"[DONE]"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    raw: bytes
    """As it came, with its blank line."""
    chunk: dict[str, Any] | None
    """The object in its data; None where it holds none, as comments do."""
    done: bool = False
    """Whether it says that the stream has ended."""
    more: bool = False
    """Whether another one came with it, in one piece: both may go on together."""


def event_of(chunk: Mapping[str, Any]) -> bytes:
    return b"data: %s\n\n" % json.dumps(chunk, ensure_ascii=False).encode("utf-8", "replace")


async def events(parts: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """The events of a stream up to its last, as they become whole; `parts` may go on. Raises
    ServerError for one that is longer than any reply may be."""
    rest = b""
    async for part in parts:
        rest += part
        at, ends = 0, [blank.end() for blank in _BLANK_LINE.finditer(rest)]
        for end in ends:
            event = _event(rest[at:end], more=end < ends[-1])
            yield event
            if event.done:
                return
            at = end
        rest = rest[at:]
        if len(rest) > MOST_BYTES:
            raise ServerError(f"an event of its stream is longer than {MOST_BYTES >> 20} MiB")
    if rest.strip():
        yield _event(rest + b"\n\n")


def _event(raw: bytes, *, more: bool = False) -> Event:
    lines = [line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")]
    data = b"\n".join(lines)
    if data == _DONE:
        return Event(raw, None, done=True, more=more)
    try:
        chunk = parse_json(data) if data else None
    except JsonError:
        chunk = None
    return Event(raw, chunk if isinstance(chunk, dict) else None, more=more)
