"""A new certificate from outcomes that arrived after the old one became void.

Which outcomes may be used, and why. The test that voids a certificate stops when its outcomes look
bad, so that those it has counted are no random sample any more; what arrives after that moment is,
as if nothing had been before. While a certificate stands its test is looked at all the time, and no
outcome is fresh. And every attempt to certify uses its outcomes up, whether it finds a threshold or
not: who tries again on a growing sample, until it comes out well, has not the delta that the
certificate names.
"""

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import InputError

if TYPE_CHECKING:
    from ct_guard.certificates import Arithmetic, Certificate, Sample
    from ct_guard.monitoring import Labelled, Watch
    from ct_guard.monitoring.book import Page
    from ct_guard.store import Manifest

__all__ = ["Reissued", "counted_before", "label_floor", "reissue"]

Floats = NDArray[np.float64]

ALIKE = 0.5
"""A tenth of the answers counts as labelled like those with a higher P(correct) where outcomes are
known of at least so many times the share of which they are known above."""


class Reissued(NamedTuple):
    """A certificate from outcomes, which has no threshold where none could be certified."""

    certificate: "Certificate"
    questions: frozenset[str]
    """Short hashes of those that it was certified on."""
    remarks: list[str]


class _Rows(NamedTuple):
    labelled: "list[Labelled]"
    fresh: frozenset[int]
    """Their numbers."""


def reissue(
    folder: Path,
    manifest: "Manifest",
    book: Path,
    *,
    alpha: float,
    delta: float,
    grader_false_pass: float = 0.0,
    reuse: bool = False,
) -> Reissued:
    """Certify the estimator in `folder` on the outcomes in its `book`, use them up, and have the
    test of the new certificate begin. Writes the book, and not the manifest.

    Args:
        folder, manifest: the estimator.
        book: its file of answers and outcomes.
        alpha, delta, grader_false_pass: as for `evaluation.certify.certify`; the outcomes are the
            graded rows.
        reuse: also take outcomes that a test or an attempt has used. The certificate says how many,
            and its delta does not allow for that.

    Raises:
        InputError: no outcome is fresh, or the book is none. UsageError: a value outside its range.
    """
    from ct_guard import risk
    from ct_guard.evaluation.disjoint import recorded
    from ct_guard.monitoring import Watch
    from ct_guard.monitoring.promises import begin_test

    if not book.is_file():
        raise InputError(f"{book}: there is no such file: note answers first (ct-guard monitor)")
    stricter = risk.graded_alpha(alpha, grader_false_pass)
    watch = Watch(folder, manifest, book)
    used = {
        name: hashes
        for name, hashes in recorded(folder, manifest).items()
        if name != "certification"
    }
    with watch.book.page() as page:
        found = _fresh(page, watch, reuse=reuse)
        rows, said = _independent(found.labelled, used)
        if not rows:
            raise InputError(
                f"{book}: no fresh outcome is of a question that {manifest.name} has not seen:"
                " label further answers"
            )
        answers = page.answers_from(min(row.answer for row in rows))
        certificate, rows, more = _certified(rows, answers, stricter, delta, book)
        certificate = certificate.model_copy(
            update={
                "alpha": alpha,
                "grader_false_pass": grader_false_pass,
                "reused": sum(row.number not in found.fresh for row in rows),
            }
        )
        page.tried([row.number for row in found.labelled])
        begin_test(page, certificate)
    said += more
    if certificate.reused:
        said.append(
            f"{certificate.reused:,} outcomes had been used by a test or by an attempt to certify:"
            f" delta={delta:g} does not allow for that."
        )
    said.append(
        "Which answers got an outcome must not have depended on whether they are right, given"
        " P(correct)."
    )
    return Reissued(certificate, frozenset(row.question for row in rows), said)


def _certified(
    rows: "list[Labelled]",
    answers: "list[tuple[float, str | None]]",
    alpha: float,
    delta: float,
    book: Path,
) -> "tuple[Certificate, list[Labelled], list[str]]":
    """A certificate on the rows above the floor from which answers are labelled alike; these rows,
    and remarks."""
    from ct_guard import risk
    from ct_guard.store import set_hash

    said = []
    floor = label_floor(np.array([p for p, _ in answers]), np.array([row.p for row in rows]))
    if floor > 0:
        rows = [row for row in rows if row.p >= floor]
        said.append(
            f"Of answers with p < {floor:.4f} hardly any outcome is known: no threshold below"
            " it can be promised, and shares are of the answers above it."
        )
    made = risk.certify(
        [row.p for row in rows],
        [row.correct for row in rows],
        alpha=alpha,
        delta=delta,
        split_hash=set_hash(row.question for row in rows),
    )
    update = {
        "threshold": None if made.threshold is None else max(made.threshold, floor),
        "arithmetic": _arithmetic(rows, book),
        "sample": _sample(answers),
    }
    return made.model_copy(update=update), rows, said


def counted_before(keys: Collection[str], manifest: "Manifest", book: Path) -> int:
    """How many of these questions, by their keys, have outcomes in the book that a test, or an
    attempt to certify, has counted. 0 where there is no book of this estimator as it is now."""
    from ct_guard.monitoring import Book, probabilities_of
    from ct_guard.monitoring.promises import counted_until
    from ct_guard.store import question_hash

    if not book.is_file():
        return 0
    try:
        kept = Book(book, probabilities_of(manifest))
    except InputError:
        return 0  # what it tells is of other probabilities
    with kept.page() as page:
        counted = page.counted_questions(counted_until(page))
    return sum(question_hash(key) in counted for key in keys)


def label_floor(answers: Floats, labelled: Floats) -> float:
    """The lowest P(correct) from which on answers are labelled alike; 0 where all are.

    From the highest tenth of the answers down, the first of which outcomes are known of less than
    half the share of those above ends it. Where feedback comes of delivered answers only, that is
    the threshold which delivered them: below it the labels are too few, and not a random choice.
    It looks at which answers have a label, and at no label.

    Args:
        answers: P(correct) of all answers, shape (n,).
        labelled: of those with an outcome, shape (m,).
    """
    edges = np.unique(np.quantile(answers, np.linspace(0.0, 1.0, 11)))
    if edges.size < 2:
        return 0.0
    known = np.histogram(labelled, edges)[0][::-1]
    noted = np.histogram(answers, edges)[0][::-1]
    above = np.cumsum(known) / np.maximum(np.cumsum(noted), 1)
    fewer = known[1:] / np.maximum(noted[1:], 1) < ALIKE * above[:-1]
    if not fewer.any():
        return 0.0
    return float(edges[::-1][1 + int(np.argmax(fewer))])


def _fresh(page: "Page", watch: "Watch", *, reuse: bool) -> _Rows:
    """Outcomes in the order of arrival: the fresh ones, or with `reuse` all."""
    from ct_guard.monitoring.promises import fresh_after

    claims = watch.promises.claims
    stands = [one for one in claims if not watch.why_void(one.promise)]
    looked_at = bool(stands) and len(stands) == len(claims)
    fresh = [] if looked_at else page.outcomes_after(fresh_after(page) or 0, untried=True)
    numbers = frozenset(row.number for row in fresh)
    if fresh or reuse:
        return _Rows(page.outcomes_after(0) if reuse else fresh, numbers)
    if looked_at:
        problem = (
            f"the {stands[0].kind} {stands[0].subject} stands, and its test counts every"
            " outcome: none is fresh; certify on a scored file of other questions"
        )
    else:
        problem = "no outcome has arrived that is not used yet: add further ones"
    raise InputError(
        f"{watch.book.path}: {problem}; or take used ones with `reuse`, for which the certificate's"
        " delta does not allow"
    )


def _independent(
    rows: "list[Labelled]", used: "dict[str, frozenset[str]]"
) -> "tuple[list[Labelled], list[str]]":
    """The first of each question that was in no other split, and remarks on the rest."""
    first: dict[str, Labelled] = {}
    for row in rows:
        first.setdefault(row.question, row)
    said = []
    if len(first) < len(rows):
        said.append(
            f"{len(rows):,} outcomes are of {len(first):,} questions: the first of each counts."
        )
    for name, hashes in used.items():
        shared = first.keys() & hashes
        if shared:
            said.append(f"{len(shared):,} questions were in the split '{name}': left out.")
        first = {question: row for question, row in first.items() if question not in hashes}
    return list(first.values()), said


def _arithmetic(rows: "list[Labelled]", book: Path) -> "Arithmetic | None":
    from ct_guard.certificates import Arithmetic

    known = sorted({row.computed for row in rows if row.computed is not None})
    if len(known) > 1:
        raise InputError(
            f"{book}: these answers were scored in different arithmetics, which differ by more than"
            " a threshold allows: certify on a file that one of them scored"
        )
    return Arithmetic.model_validate(json.loads(known[0])) if known else None


def _sample(answers: "list[tuple[float, str | None]]") -> "Sample":
    """Of all answers since the first that is certified on: later ones are compared with them."""
    from ct_guard.certificates import Sample
    from ct_guard.risk import binned

    models = Counter(model for _, model in answers if model is not None)
    return Sample(scores=binned([p for p, _ in answers]), models=dict(models))
