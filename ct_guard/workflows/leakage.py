"""That the questions of a scored file are new ones, before anything is learnt or promised of it."""

from collections.abc import Collection, Sequence
from pathlib import Path

from ct_guard.evaluation.disjoint import (
    check_apart,
    check_scored_by,
    check_unused,
    question_keys,
)
from ct_guard.evaluation.scored import Scored
from ct_guard.store import Manifest

__all__ = ["check_apart_from", "check_new"]


def check_apart_from(scored: Scored, files: Sequence[str | Path]) -> None:
    """Raises InputError where `scored` shares a question with one of these files of rows."""
    for other in map(str, files):
        check_apart(scored, other, question_keys(other))


def check_new(
    scored: Scored, folder: Path, manifest: Manifest, *, allowed: Collection[str]
) -> list[str]:
    """Make sure that the logits are of the estimator at `folder`, and that it has seen no question
    of theirs but in the `allowed` splits.

    Returns:
        Remarks on what could not be checked.

    Raises:
        InputError: another estimator's logits, or a question that was used before.
    """
    check_scored_by(scored, manifest)
    return check_unused(scored, folder, manifest, allowed=allowed)
