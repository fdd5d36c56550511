"""A certified threshold from a scored file, for one estimator."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ct_guard import risk
from ct_guard.certificates import Arithmetic, Certificate, Sample
from ct_guard.errors import FieldError, InputError
from ct_guard.estimators.weighing import Weighing
from ct_guard.promises import AnsweredWrong, GroupCertificates
from ct_guard.store import Manifest

from .probabilities import probabilities
from .scored import Scored

__all__ = [
    "arithmetic_of",
    "certify",
    "certify_groups",
    "control_answered_wrong",
    "drawn_answers",
    "first_answers",
    "independent",
    "one_each",
    "sample_of",
]


def independent(scored: Scored) -> Scored:
    """The same rows, which hold one answer a question.

    Raises InputError where they do not: errors on one question go together, and counting them as
    independent would promise more than the rows can show.
    """
    questions = len(scored.question_keys())
    if questions < len(scored):
        seen: set[int] = set()
        for row in scored.graded:
            if row.question in seen:
                raise InputError(
                    f"{row.where}: another answer to a question that has one: {len(scored):,} rows"
                    f" answer {questions:,} questions, and rows to certify must be independent;"
                    " choose one answer a question by `drawn`, `first` or `where` sample=0"
                )
            seen.add(row.question)
    return scored


def first_answers(scored: Scored) -> Scored:
    """The first graded answer to each question."""
    first: dict[int, int] = {}
    for at, row in enumerate(scored.graded):
        first.setdefault(row.question, at)
    return scored.take(first.values())


def drawn_answers(scored: Scored) -> Scored:
    """A graded answer to each question, any of them with the same probability: the first may all be
    of the models that a file begins with. The draw is always the same, so that nobody can draw
    until a promise can be made."""
    drawn: dict[int, int] = {}
    for at in np.random.default_rng(0).permutation(len(scored)).tolist():
        drawn.setdefault(scored.graded[at].question, at)
    return scored.take(sorted(drawn.values()))


def one_each(scored: Scored, *, first: bool = False, drawn: bool = False) -> Scored:
    """One answer a question. Raises FieldError where it is to be both the first and a drawn one,
    InputError where it is to be neither, and there are several (see `independent`)."""
    if first and drawn:
        raise FieldError("`first` and `drawn` exclude each other")
    if drawn:
        return drawn_answers(scored)
    return first_answers(scored) if first else independent(scored)


def certify(
    scored: Scored,
    manifest: Manifest,
    *,
    alpha: float,
    delta: float,
    grader_false_pass: float = 0.0,
    weighing: Weighing | None = None,
) -> Certificate:
    """A threshold on the estimator's P(correct), from its raw logits of these rows.

    Args:
        scored: one row a question (see `independent`), read with `need="logit"`.
        manifest: the estimator whose calibrators make the probabilities.
        alpha: error rate allowed among the answered, in (0, 1).
        delta: allowed probability that the claim is false, in (0, 1).
        grader_false_pass: share of wrong answers that the grader calls correct, in [0, 1): alpha
            times one less this share is certified of the graded rows (`risk.graded_alpha`), so that
            alpha holds of the truth. It must hold among answers with a high P(correct).
        weighing: what the estimator's probabilities follow from beside raw scores.

    Raises:
        UsageError: a value outside its range.
    """
    stricter = risk.graded_alpha(alpha, grader_false_pass)
    p = probabilities(scored, manifest, weighing)
    found = risk.certify(
        p,
        scored.correct,
        alpha=stricter,
        delta=delta,
        split_hash=scored.set_hash,
    )
    reason = found.reason
    if reason and grader_false_pass:
        reason += f"; alpha={stricter:g} of the graded rows stands for a true alpha={alpha:g}"
    return found.model_copy(
        update={
            "alpha": alpha,
            "grader_false_pass": grader_false_pass,
            "reason": reason,
            "arithmetic": arithmetic_of(scored),
            "sample": sample_of(scored, p),
        }
    )


def certify_groups(
    scored: Scored,
    manifest: Manifest,
    *,
    column: str,
    alpha: float,
    delta: float,
    grader_false_pass: float = 0.0,
    weighing: Weighing | None = None,
) -> GroupCertificates:
    """As `certify`, a threshold for each value of a `column`, which hold all at once with
    probability 1 - delta (`risk.certify_groups`). The column must have been kept in `scored`."""
    found = risk.certify_groups(
        probabilities(scored, manifest, weighing),
        scored.correct,
        scored.column(column),
        column=column,
        alpha=risk.graded_alpha(alpha, grader_false_pass),
        delta=delta,
        split_hash=scored.set_hash,
    )
    told = {
        "alpha": alpha,
        "grader_false_pass": grader_false_pass,
        "arithmetic": arithmetic_of(scored),
    }
    groups = {name: one.model_copy(update=told) for name, one in found.certificates.items()}
    return found.model_copy(update={"alpha": alpha, "certificates": groups})


def control_answered_wrong(
    scored: Scored,
    manifest: Manifest,
    *,
    alpha: float,
    grader_false_pass: float = 0.0,
    weighing: Weighing | None = None,
) -> AnsweredWrong:
    """A threshold that keeps the share of all questions that are answered, and wrongly, at most at
    alpha on average (`risk.control_answered_wrong`); of the grades, alpha times one less
    `grader_false_pass`."""
    found = risk.control_answered_wrong(
        probabilities(scored, manifest, weighing),
        scored.correct,
        alpha=risk.graded_alpha(alpha, grader_false_pass),
        split_hash=scored.set_hash,
    )
    return found.model_copy(
        update={
            "alpha": alpha,
            "grader_false_pass": grader_false_pass,
            "arithmetic": arithmetic_of(scored),
        }
    )


def sample_of(scored: Scored, p: NDArray[np.float64]) -> Sample:
    """What a certificate over these rows keeps for a monitor; `p` are their probabilities, shape
    (n,)."""
    models = Counter(row.model for row in scored.graded if row.model is not None)
    return Sample(scores=risk.binned(p), models=dict(models), statuses=dict(scored.statuses))


def arithmetic_of(scored: Scored) -> Arithmetic | None:
    """What the logits were computed in, None where the file does not say it of all rows alike.

    Raises InputError for a file of several: a threshold holds for logits of one.
    """
    if len(scored.arithmetics) > 1:
        known = " and ".join(str(one) for one in scored.arithmetics[:2])
        raise InputError(
            f"{scored.path}: its rows were scored by {known}, which differ by more than a threshold"
            " allows: score them all in the same one"
        )
    return scored.arithmetics[0] if scored.arithmetics else None
