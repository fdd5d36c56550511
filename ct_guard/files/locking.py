"""One process a file: a lock beside it, which the system takes back from a process that dies."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ct_guard.errors import InputError, UsageError

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


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)

_held: set[FileIO] = set()
"""Locks that this process has."""


def lock_path(path: StrPath) -> Path:
    """Where the lock of a file lies: beside it, hidden, under whatever name the file is reached."""
    target = Path(path).resolve()
    return target.with_name(f".{target.name}.lock")


@contextmanager
def alone(path: StrPath) -> Iterator[None]:
    """During the block no other block, of this process or another, holds `path`; what killed ones
    left half-written beside it is removed. Raises UsageError, which names the other process, where
    one does, InputError where the lock cannot be had.

    A forked process has none of its parent's locks."""
    lock, owner = lock_path(path), os.getpid()
    file = _taken(lock, path)
    _held.add(file)
    try:
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        remove_leftovers(lock.with_name(Path(path).resolve().name), alone=True)
        yield
    finally:
        _held.discard(file)
        if os.getpid() == owner:
            _give_back(lock, file)


def _give_back(lock: Path, file: FileIO) -> None:
    if sys.platform == "win32":  # pragma: no cover
        file.close()  # an open file cannot be removed
    with suppress(OSError):
        lock.unlink()
    file.close()


def check_free(path: StrPath) -> None:
    """Raises UsageError where a process holds `path` at the moment, InputError where that cannot be
    told."""
    lock = lock_path(path)
    if os.path.lexists(lock):
        _taken(lock, path).close()


def _taken(lock: Path, path: StrPath) -> FileIO:
    """The lock file, locked until it is closed; without a lock where the file system has none."""
    while True:
        file = _opened(lock, path)
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


def _opened(lock: Path, path: StrPath) -> FileIO:
    """A regular file, and no link: what is written into it must not change another one."""
    try:
        number = os.open(lock, _FLAGS, 0o666)
    except OSError as error:
        raise _unusable(lock, path, error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise _unusable(lock, path, "it is no regular file")
    return FileIO(number, "r+")


def _unusable(lock: Path, path: StrPath, why: str) -> InputError:
    return InputError(
        f"{lock}: whether another run is writing {os.fspath(path)} cannot be told by it ({why}):"
        " remove it where none is, or name another output"
    )


def _forked() -> None:
    """What a child has of a lock would keep it taken after its parent's death."""
    while _held:
        _held.pop().close()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_forked)
