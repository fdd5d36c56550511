"""Files that are whole at every moment: the old content or the new one, never a part."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["FULL", "naming", "replacing"]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of the errors that say that there is no room."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError of the block for want of room names `path`, which was to be written, and no
    temporary file or none at all."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, to be written in the block. When the block ends well, what is
    there is brought to disk and takes `path`'s name; else it is removed, and `path` stays as it
    was. The file's permissions are those of any new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with naming(path):
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
