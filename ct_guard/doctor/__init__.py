"""What can this machine run? Findings, each with one line of advice; nothing here fails for a
library that is absent."""

from .finding import Finding
from .libraries import libraries
from .machine import machine
from .model import model_fits

__all__ = ["Finding", "examine"]


def examine(model: str | None = None) -> list[Finding]:
    """All findings; with `model` (an estimator, a base's directory, a GGUF file, or a hub id that
    was downloaded) also whether it fits the memory. Raises UsageError for a model that is not
    on this machine."""
    return [*machine(), *libraries(), *([] if model is None else model_fits(model))]
