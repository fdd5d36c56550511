"""How a tuning run lives: where it is kept, what memory it takes, who hears of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ct_guard.errors import UsageError

from .checkpoint import Progress

__all__ = ["RunLife"]


@dataclass(frozen=True)
class RunLife:
    """Nothing of this changes what is learnt. Raises UsageError where a run shall resume without a
    checkpoint."""

    checkpoint: Path | None = None
    """A file that is written at every evaluation, from which `resume` goes on to the result of a
    run that was never interrupted."""
    resume: bool = False
    cache_bytes: int | None = None
    """Memory for what the base model has read, with activation `query`: rows beyond it are read
    anew in every epoch. None: a quarter of what is free. The result is the same, but for
    rounding."""
    on_progress: Callable[[Progress], None] = lambda progress: None
    """Called after every evaluation."""
    on_step: Callable[[int, float], None] = lambda step, loss: None
    """Called with every step and its loss."""
    on_rows: Callable[[str, int, int], None] = lambda what, done, total: None
    """Called while rows are read for what is no step, with what for, and how many of how many: into
    that memory, to start from a probe, to validate, to calibrate."""

    def __post_init__(self) -> None:
        if self.resume and self.checkpoint is None:
            raise UsageError("to resume, name the checkpoint")
