"""The number format that a backend computes in: results of one format go on in the same one."""

from .base import Backend

__all__ = ["number_format"]


def number_format(backend: Backend) -> str | None:
    """`float32`, `bfloat16`, …; None where the format is that of the model's file, whose
    fingerprint the backend knows."""
    dtype = getattr(getattr(backend, "model", None), "dtype", None)
    return None if dtype is None else str(dtype).removeprefix("torch.")
