"""A person checks the grader: rows are drawn, and the verdicts on them become error rates."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ct_guard.datasets import Audit

__all__ = ["AuditConfig", "AuditResult", "audit"]


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """Whether rows are drawn, and which."""

    draw: int | None = None
    """Rows to draw, at least 2; None: the checked rows are measured."""
    seed: int = 0
    """Of the draw."""
    overwrite: bool = False
    """Whether a draw may replace the file."""


@dataclass(frozen=True)
class AuditResult:
    """One of the two."""

    drawn: int | None
    """Rows that are in the file now, to be checked."""
    audit: "Audit | None"
    """The error rates, with their intervals."""


def audit(
    graded: str | Path, checked: str | Path, config: AuditConfig | None = None
) -> AuditResult:
    """Draw rows of `graded` into `checked`, without the grader's verdict, half of them graded
    right; or turn the verdicts that a person wrote there (column `correct`) into the error rates of
    the grader, which are kept in the manifest of `graded`.

    Args:
        graded: what `grade` wrote.
        checked: .csv, .jsonl or .parquet.
        config: whether rows are drawn.

    Raises:
        InputError: files that cannot be read, or that do not belong together.
        OutputExistsError: `checked` is there, and rows would be drawn into it.
    """
    from ct_guard.datasets import draw, load_data_manifest, measure

    config, manifest = config or AuditConfig(), load_data_manifest(graded)
    if config.draw is not None:
        drawn = draw(
            graded, checked, config.draw,
            gold=manifest.gold, seed=config.seed, overwrite=config.overwrite,
        )  # fmt: skip
        return AuditResult(drawn=drawn, audit=None)
    found = measure(graded, checked)
    manifest.model_copy(update={"audit": found}).save(graded)
    return AuditResult(drawn=None, audit=found)
