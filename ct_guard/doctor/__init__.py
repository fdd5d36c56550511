"""What can this machine run? Findings, each with one line of advice; nothing here fails for a
library that is absent."""

from .finding import Finding
from .libraries import libraries
from .machine import machine
from .model import model_fits
from .remote import Remote, server_findings

__all__ = ["Finding", "Remote", "examine"]


def examine(
    model: str | None = None, *, check: bool = False, server: Remote | None = None
) -> list[Finding]:
    """All findings; with `model` (an estimator, a base's directory, a GGUF file, or a hub id that
    was downloaded) also whether it fits the memory and, with `check`, whether its arithmetic is
    right, which loads it. With `server` instead what is behind a URL: its model and adapters and,
    with `model` and `check`, whether that estimator scores there. Raises UsageError for a model
    that is not on this machine."""
    if server is not None:
        return server_findings(server, model, check=check)
    found = [*machine(), *libraries()]
    if model is not None:
        found += model_fits(model)
    if model is not None and check:
        from .arithmetic import arithmetic  # needs the libraries that may be absent

        found += arithmetic(model)
    return found
