"""Files that are whole at every moment: the old content or the new one, never a part."""

import errno
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["FULL", "naming", "remove_leftovers", "replacing"]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of the errors that say that there is no room."""

_writing: set[Path] = set()
"""The temporary files of this process."""


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
def replacing(
    path: Path, announce: Callable[[os.stat_result], None] = lambda stat: None
) -> Iterator[Path]:
    """A temporary path beside `path`, to be written in the block. When the block ends well, what is
    there is brought to disk and takes `path`'s name; else it is removed, and `path` stays as it
    was. The file's permissions are those of any new one. What killed processes left of earlier
    attempts is removed.

    `announce` is told the size and time of the whole file just before it takes its name.
    """
    remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    _writing.add(temporary)
    try:
        with naming(path):
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
                written = os.fstat(stream.fileno())
            announce(written)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        _writing.discard(temporary)


def remove_leftovers(path: Path, *, alone: bool = False) -> None:
    """Removes temporary files of `path` whose process is no longer there. Whoever is `alone` at the
    path (`locking.alone`) may remove all but its own: in a container, a new process often has the
    number of the one that was killed."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d+)(-\d+)?\.tmp")
    for left in path.parent.iterdir() if path.parent.is_dir() else ():
        found = pattern.fullmatch(left.name)
        if found and left not in _writing and (alone or not _is_alive(int(found[1]))):
            with suppress(OSError):
                left.unlink()


def _is_alive(process: int) -> bool:
    """Whether another process of this number runs; the caller knows its own files."""
    if process == os.getpid():
        return False
    if sys.platform == "win32":  # where no signal is there to ask with
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it runs, as somebody else's
        return True
    return True
