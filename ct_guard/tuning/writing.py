"""What is said where a file of a run cannot be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ct_guard.errors import TuningError

__all__ = ["writing"]


@contextmanager
def writing(path: Path, way_on: str = "the same command with `resume` goes on") -> Iterator[None]:
    """Raises TuningError, with `path` and the way on, where the block cannot write it: on a full
    disk, say."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise TuningError(f"{path}: cannot be written: {why}: make room; {way_on}") from error
