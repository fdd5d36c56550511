"""What every client of a server over HTTP keeps to: addresses, keys, and replies of any size."""

from .addresses import checked_url
from .replies import MOST_BYTES, bounded, one_line, retry_after
from .secrets import key_from, key_in, without_credentials, without_secrets

__all__ = [
    "MOST_BYTES",
    "bounded",
    "checked_url",
    "key_from",
    "key_in",
    "one_line",
    "retry_after",
    "without_credentials",
    "without_secrets",
]
