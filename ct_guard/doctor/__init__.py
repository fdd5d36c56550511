"""What can this machine run? Findings, each with one line of advice; nothing here fails for a
library that is absent."""

from .finding import Finding
from .libraries import libraries
from .machine import machine
from .model import model_fits

__all__ = ["Finding", "examine"]


def examine(model: str | None = None, *, check: bool = False) -> list[Finding]:
    """All findings; with `model` (an estimator, a base's directory, a GGUF file, or a hub id that
    was downloaded) also whether it fits the memory and, with `check`, whether its arithmetic is
    right, which loads it. Raises UsageError for a model that is not on this machine."""
    found = [*machine(), *libraries()]
    if model is not None:
        found += model_fits(model)
    if model is not None and check:
        from .arithmetic import arithmetic  # needs the libraries that may be absent

        found += arithmetic(model)
    return found
