"""One process a file: a lock beside it, which the system takes back from a process that dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ct_guard.errors import UsageError

from .paths import StrPath
from .replacing import remove_leftovers

__all__ = ["alone", "check_free", "lock_path"]

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(file: FileIO) -> None:
        file.seek(1 << 30)  # behind the number of the process, which stays readable
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: FileIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_path(path: StrPath) -> Path:
    """Where the lock of a file lies: beside it, hidden, under whatever name the file is reached."""
    target = Path(path).resolve()
    return target.with_name(f".{target.name}.lock")


@contextmanager
def alone(path: StrPath) -> Iterator[None]:
    """During the block no other block, of this process or another, holds `path`; what killed ones
    left half-written beside it is removed. Raises UsageError, which names the other process, where
    one does."""
    lock = lock_path(path)
    file = _taken(lock, path)
    try:
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        remove_leftovers(lock.with_name(Path(path).resolve().name), alone=True)
        yield
    finally:
        if sys.platform == "win32":  # pragma: no cover
            file.close()  # an open file cannot be removed
        with suppress(OSError):
            lock.unlink()
        file.close()


def check_free(path: StrPath) -> None:
    """Raises UsageError where a process holds `path` at the moment."""
    lock = lock_path(path)
    if lock.exists():
        _taken(lock, path).close()


def _taken(lock: Path, path: StrPath) -> FileIO:
    """The lock file, locked until it is closed; without a lock where the file system has none."""
    while True:
        file = lock.open("a+b", buffering=0)
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read(20).decode("ascii", "replace").strip()
            file.close()
            raise UsageError(
                f"{os.fspath(path)}: another run is writing it"
                f" (process {holder or 'unknown'}): wait for it, or name another output"
            ) from None
        except OSError:
            return file
        # Its last holder may have removed it since it was opened: then it keeps nobody out.
        if lock.exists() and os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            return file
        file.close()
