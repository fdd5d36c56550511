"""What a careful reader would say about the figures, in words."""

from collections.abc import Sequence

from .figures import Figure
from .scored import Scored

__all__ = ["remarks"]

FEW_ROWS = 200


def remarks(
    scored: Scored, figures: Sequence[Figure], over_prior: Sequence[Figure] = ()
) -> list[str]:
    """Sentences about one estimator.

    Args:
        scored: the rows.
        figures: of the estimator on these rows.
        over_prior: differences between the estimator and the question prior, where there is one.
    """
    found = {figure.name: figure.interval for figure in figures}
    said = []
    ranking = found["AUROC"]
    if ranking.value is None:
        alike = "correct" if scored.correct[0] else "wrong"
        said.append(
            f"All {len(scored):,} graded answers are {alike}: ranking is not defined; grade rows of"
            " both kinds."
        )
    elif ranking.high is not None and ranking.high < 0.5:
        said.append(
            f"AUROC is below chance ({ranking.value:.3f}, at most {ranking.high:.3f}): wrong"
            " answers rank above right ones here."
        )
    elif ranking.low is not None and ranking.low <= 0.5:
        said.append("AUROC is not above chance (its interval includes 0.5).")
    pairs = found.get("pair accuracy")
    if pairs is not None and pairs.low is not None and pairs.low <= 0.5:
        side = "includes" if pairs.high is None or pairs.high >= 0.5 else "lies below"
        said.append(
            "The estimator cannot tell a right from a wrong answer to the same question here"
            f" (pair accuracy {pairs.value:.3f}, and its interval {side} 0.5): it judges the"
            " question."
        )
    said += _against_prior(over_prior)
    others = ", ".join(f"{n:,} {name}" for name, n in scored.statuses.items() if name != "ok")
    if others:
        said.append(f"Statuses other than ok: {others}. What has no score is not in the figures.")
    if len(scored.scorers) > len(scored.estimators):
        said.append(
            f"The rows were scored by {len(scored.scorers)} states of the estimator (scorer"
            f" {', '.join(scored.scorers[:4])}): their scores do not compare; score the whole file"
            " again."
        )
    if scored.loss:
        said.append(scored.loss)
    if scored.ungraded:
        said.append(
            f"{scored.ungraded:,} scored rows have no grade in 'correct': not in the figures."
        )
    if len(scored) < FEW_ROWS:
        said.append(f"Only {len(scored)} graded rows: the intervals are wide.")
    return said


def _against_prior(over_prior: Sequence[Figure]) -> list[str]:
    """A figure on which the estimator is not better than the prior, with its interval."""
    weak, clear = [], False
    for figure in over_prior:
        gain = figure.interval
        if figure.name not in ("AUROC", "log loss") or gain.value is None or gain.low is None:
            continue
        better = gain.low > 0 if figure.better == "higher" else (gain.high or 0.0) < 0
        worse = (gain.high or 0.0) < 0 if figure.better == "higher" else gain.low > 0
        clear = clear or worse
        if not better:
            weak.append(
                f"{figure.name} (difference {gain.value:+.3f}, {gain.low:+.3f} to {gain.high:+.3f})"
            )
    if not weak:
        return []
    verdict = (
        "what the question alone says is worth more here"
        if clear
        else "these rows do not show that it knows more than the question alone says"
    )
    return [f"The estimator does not beat the question prior in {' and '.join(weak)}: {verdict}."]
