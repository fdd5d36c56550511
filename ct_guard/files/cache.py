"""What can be made again is kept in one folder; among it the hashes of large files."""

import contextlib
import hashlib
import os
from pathlib import Path

from .replacing import replacing

__all__ = ["cache_folder", "file_digest"]

QUICK = 16 * 1024 * 1024
"""Bytes that are hashed sooner than a note is looked up and kept."""


def cache_folder() -> Path:
    """`CT_GUARD_CACHE`, else the user's cache."""
    named = os.environ.get("CT_GUARD_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ct-guard"


def file_digest(path: Path) -> str:
    """SHA-256 of a whole file, 64 hex digits. That of a large file is kept in the cache for as long
    as its place, size, times and inode are the same: weights are read through once, not at every
    start. Raises OSError."""
    with path.open("rb") as stream:
        about = os.fstat(stream.fileno())
        if about.st_size <= QUICK:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        # The time of the last change of the inode is no user's to set, the others are.
        state = (path.resolve(), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
        key = hashlib.sha256(repr(state).encode()).hexdigest()
        note = cache_folder() / "digests" / key
        with contextlib.suppress(OSError, UnicodeDecodeError):
            known = note.read_text(encoding="ascii")
            if len(known) == 64:
                return known
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # without a note the next start takes longer, no more
        note.parent.mkdir(parents=True, exist_ok=True)
        with replacing(note) as temporary:
            temporary.write_text(found, encoding="ascii")
    return found
