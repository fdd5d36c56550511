"""Keys come from the environment or a file, and go nowhere but into the request."""

import os
import re
from pathlib import Path

from ct_guard.errors import UsageError

__all__ = ["key_from", "key_in", "without_credentials", "without_secrets"]

_SECRET = re.compile(r"(?:\A|_)(?:API)?(?:KEY|TOKEN|SECRET|PASSWORD)(?:_|\Z)", re.IGNORECASE)
_CREDENTIALS = re.compile(r"://\S*@")
_MOST = 1 << 14
"""Bytes of a file that holds a key."""
_LEAST = 8
"""A shorter value is no key, and would be found in innocent text."""


def key_from(variable: str) -> str:
    """The key in an environment variable. Raises UsageError, which never shows it, where there is
    none or it cannot stand in a header."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(f"the environment variable {variable} is not set: it should hold the key")
    if not _fits_a_header(key):
        raise UsageError(f"the value of the environment variable {variable} is not a key")
    return key


def key_in(path: str | Path) -> str:
    """The key that is all of a file. Raises UsageError, which never shows it, where there is none
    or it cannot stand in a header."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise UsageError(f"{path}: the key cannot be read: {error.strerror}") from None
    key = data.decode("utf-8", "replace").strip()
    if not key or len(data) > _MOST or not _fits_a_header(key):
        raise UsageError(f"{path} is not a key alone: it should hold nothing but the key")
    return key


def _fits_a_header(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key


def without_secrets(text: str, *secrets: str) -> str:
    """`text` with *** for each secret, and for the value of each environment variable whose name
    says that it holds one: servers and libraries quote keys in their messages."""
    known = {value for name, value in os.environ.items() if _SECRET.search(name)}
    for secret in sorted(known.union(secrets), key=len, reverse=True):
        if len(secret) >= _LEAST:
            text = text.replace(secret, "***")
    return text


def without_credentials(text: str) -> str:
    """`text` with *** for the user and password in each URL, of whatever scheme."""
    return _CREDENTIALS.sub("://***@", text)
