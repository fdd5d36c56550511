"""URLs that a user gives."""

from urllib.parse import urlsplit

import httpx

from ct_guard.errors import UsageError

__all__ = ["checked_url"]


def checked_url(url: str, *, like: str) -> str:
    """The URL without a slash at its end. Raises UsageError, which never shows it, for one that is
    none, or that holds credentials or a query; `like` is what it may look like."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise UsageError(  # the text is not shown: it may hold a password
            f"the URL given is no http(s) URL; it looks like {like}"
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "the URL must hold neither credentials nor a query: name the environment variable of"
            " the key instead"
        )
    return url.rstrip("/")
