"""Where rows are scored: in this process, or by workers on a Ray cluster."""

from .base import Engine, Scored
from .local import Local

__all__ = ["Engine", "Local", "Scored"]
