"""The promises that `certify` makes of graded rows, and what is to be said of them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ct_guard.certificates import Certificate
from ct_guard.errors import FieldError
from ct_guard.estimators.weighing import Weighing
from ct_guard.evaluation import Scored
from ct_guard.evaluation.cascade import certify_cascade, handover_of, join
from ct_guard.evaluation.certify import certify, certify_groups, control_answered_wrong
from ct_guard.promises import AnsweredWrong, Costs, GroupCertificates, Promise
from ct_guard.store import Manifest

__all__ = [
    "Asked",
    "answered_wrong",
    "by_group",
    "cascades",
    "costs_of",
    "remarks",
    "replaced",
    "thresholds",
    "too_small",
]


class Asked(NamedTuple):
    """What every promise rests on."""

    manifest: Manifest
    weighing: Weighing
    delta: float
    grader_false_pass: float


def thresholds(rows: Scored, asked: Asked, alphas: Iterable[float]) -> Iterator[Certificate]:
    """A certified threshold for each alpha."""
    for alpha in alphas:
        yield certify(
            rows,
            asked.manifest,
            alpha=alpha,
            delta=asked.delta,
            grader_false_pass=asked.grader_false_pass,
            weighing=asked.weighing,
        )


def by_group(
    rows: Scored, asked: Asked, alphas: Iterable[float], column: str
) -> Iterator[GroupCertificates]:
    """For each alpha, certified thresholds of the values of a column."""
    for alpha in alphas:
        yield certify_groups(
            rows,
            asked.manifest,
            column=column,
            alpha=alpha,
            delta=asked.delta,
            grader_false_pass=asked.grader_false_pass,
            weighing=asked.weighing,
        )


def answered_wrong(rows: Scored, asked: Asked, alphas: Iterable[float]) -> Iterator[AnsweredWrong]:
    """For each alpha, a threshold that bounds the share of questions answered wrongly."""
    for alpha in alphas:
        yield control_answered_wrong(
            rows,
            asked.manifest,
            alpha=alpha,
            grader_false_pass=asked.grader_false_pass,
            weighing=asked.weighing,
        )


def cascades(
    files: Sequence[Scored], asked: Asked, alphas: Iterable[float], costs: Costs
) -> tuple[tuple[Promise, ...], Scored, list[str]]:
    """For each alpha a certified cascade, then what is known of asking its stronger models.

    Returns:
        The promises, the first model's rows of the questions that they rest on, and remarks.
    """
    joined = join(files, asked.manifest, asked.weighing)
    found = [
        certify_cascade(
            joined,
            costs,
            alpha=alpha,
            delta=asked.delta,
            grader_false_pass=asked.grader_false_pass,
        )
        for alpha in alphas
    ]
    said = []
    if joined.left_out:
        said.append(
            f"{joined.left_out:,} questions have no graded answer of every model and do not count;"
            f" {len(joined):,} have."
        )
    for name, correct in zip(joined.names, joined.correct.T, strict=True):
        if correct.all() or not correct.any():
            how = "right" if correct.all() else "wrong"
            said.append(f"All {len(joined):,} graded answers of {name} are {how}.")
    return (*found, handover_of(joined)), joined.first, said


def costs_of(models: int, prices: Sequence[float], abstain: float, error: float) -> Costs:
    """The costs. Raises FieldError for prices that are not one for each model, or below 0."""
    given = tuple(prices) or (0.0,) + (1.0,) * (models - 1)
    if len(given) != models:
        raise FieldError(f"`price`: {models} models need a price each, not {len(given)}")
    for name, value in (("price", min(given)), ("abstain", abstain), ("error", error)):
        if not 0 <= value < float("inf"):
            raise FieldError(f"`{name}` is a cost of at least 0, not {value}")
    return Costs(error=error, abstain=abstain, prices=given)


def replaced(manifest: Manifest, made: Iterable[Certificate]) -> list[str]:
    """Remarks on certificates of before that these take the place of."""
    claims = {(one.alpha, one.delta) for one in made}
    return [
        "It replaces the certificate of before for the same alpha and delta:"
        f" P(correct) >= {known.threshold:.4f}."
        for known in manifest.certificates
        if (known.alpha, known.delta) in claims and known.threshold is not None
    ]


def too_small(promises: Iterable[Promise]) -> list[str]:
    """Remarks on groups that were not certified."""
    return [
        f"{one.column}={name} has no threshold: {found.reason}."
        for one in promises
        if isinstance(one, GroupCertificates)
        for name, found in one.certificates.items()
        if found.threshold is None
    ]


def remarks(
    files: Sequence[Scored],
    rows: Scored,
    alphas: Sequence[float],
    delta: float,
    grader_false_pass: float,
    measured: float | str | Path | None,
) -> list[str]:
    """What the promises rest on and do not cover."""
    said = []
    if len(files) == 1 and rows.correct.all():
        said.append(
            f"All {len(rows):,} graded answers are right: if wrong ones were left out of the file,"
            " nothing is promised."
        )
    if len(alphas) > 1:
        together = max(0.0, 1 - delta * len(alphas))
        said.append(
            f"Each promise holds by itself with probability {1 - delta:.3g}; all {len(alphas)}"
            f" together with at least {together:.3g}."
        )
    if measured is None:
        said.append(
            "The grades are taken as the truth: where the grader may pass wrong answers, have some"
            " checked (ct-guard audit) and give `grader_false_pass`."
        )
    elif grader_false_pass > 0:
        said.append(f"Of wrong answers, the grader is taken to pass {grader_false_pass:.1%}.")
    for one in files:
        if one.loss:
            said.append(one.loss)
        if one.ungraded:
            said.append(
                f"{one.ungraded:,} scored rows have no grade and do not count: if they are left out"
                " because they are hard to grade, the promise does not cover their like."
            )
    models = {row.model for row in rows.graded if row.model is not None}
    asked = {row.model for row in files[0].graded if row.model is not None}
    if left := asked - models:
        said.append(
            f"{len(left)} of {len(left | models)} answering models have no answer among the rows"
            f" that count, as {min(left)}, and the promise is not for them: `drawn` takes one at"
            " random for each question."
        )
    if len(models) > 1:
        said.append(f"The promise is for this mix of {len(models)} answering models, not for each.")
    return said
