"""One line of the doctor's report."""

from dataclasses import dataclass

__all__ = ["Finding", "gigabytes"]


@dataclass(frozen=True)
class Finding:
    """`ok` is false where something will not work until the advice is followed."""

    item: str
    value: str
    advice: str
    ok: bool = True


def gigabytes(count: float) -> str:
    """Bytes as people compare them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
