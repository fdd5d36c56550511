"""Replies of servers that may send anything, for any length of time."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

__all__ = ["MOST_BYTES", "bounded", "one_line", "retry_after"]

MOST_BYTES = 16 << 20
"""Of a reply, unpacked: what is longer is no answer, and is not read to its end."""
_SHOWN = 200
_PACKED = ("", "identity", "gzip", "x-gzip", "deflate")
"""A byte of these stands for a thousand at most."""


async def bounded(response: httpx.Response) -> bytes | None:
    """The body; None where it is longer than `MOST_BYTES`. Raises httpx.DecodingError for packing
    of which a few bytes can stand for gigabytes, which no request asks for."""
    packed = response.headers.get("Content-Encoding", "").strip().lower()
    if packed not in _PACKED:
        raise httpx.DecodingError(
            f"the reply is packed as {packed[:40]!r}, which was not asked for"
        )
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and (len(declared) > 12 or int(declared) > MOST_BYTES):
        return None
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def one_line(body: bytes) -> str:
    """The beginning of a body in one line, without what a terminal would act on."""
    text = body[: 4 * _SHOWN].decode("utf-8", "replace")
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_SHOWN]


def retry_after(header: str | None) -> float:
    """Seconds that a `Retry-After` header asks for, as a number or a date; 0 where it is
    neither."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(header or "")
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
