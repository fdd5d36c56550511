"""What an estimator promises beside its certified thresholds, in words and counts: of cascades, of
groups, of fields, of answers that are given and wrong; and what it knows of asking a stronger model
and of runs of agents."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ct_guard.certificates import Certificate
from ct_guard.evaluation import Scored
from ct_guard.promises import (
    AnsweredWrong,
    CascadeCertificate,
    FieldCertificate,
    GroupCertificates,
    Handover,
    Promise,
    Voidable,
    voidable,
)

__all__ = ["promised_thresholds", "promises"]

Content = dict[str, Any]


def promised_thresholds(known: Sequence[Certificate | Promise]) -> list[float]:
    """Every threshold that is promised, so that the counts at it are exact."""
    return [
        one.threshold
        for one in voidable(known)
        if not isinstance(one, CascadeCertificate) and one.threshold is not None
    ]


def promises(known: Sequence[Promise], rows: Scored) -> list[Content]:
    """Of each promise: its `title`, the `claim`, what became `void` of it, a table of its parts
    (`heads` and `parts`, all of it text), and a `note` on what the table is of."""
    return [_shown(one, rows) for one in known]


def _shown(promise: Promise, rows: Scored) -> Content:
    if isinstance(promise, CascadeCertificate):
        return _cascade(promise)
    if isinstance(promise, GroupCertificates):
        return _groups(promise, rows)
    if isinstance(promise, AnsweredWrong):
        return _answered_wrong(promise, rows)
    if isinstance(promise, Handover):
        return _handover(promise)
    title = "Fields" if isinstance(promise, FieldCertificate) else "Runs of agents"
    return _content(title, promise.summary, "", [], [], [])


def _cascade(found: CascadeCertificate) -> Content:
    claim = (
        f"At most {found.alpha:.1%} wrong among all that a cascade answers, with probability"
        f" {1 - found.delta:.1%} over the draw of {found.n:,} questions (learnt on"
        f" {found.learnt:,} others)"
    )
    parts, note = [], f"None could be certified: {found.reason}."
    if found.stages:
        parts = [
            [str(place), one.model, f"{one.threshold:.4f}", f"{asked:,} ({asked / found.n:.1%})"]
            for place, (one, asked) in enumerate(zip(found.stages, found.asked, strict=True), 1)
        ]
        note = (
            f"There, it answered {found.answered:,} questions ({found.coverage:.1%}),"
            f" {found.errors:,} of them wrongly, at a cost of {found.cost:.4g} a question. The rows"
            " of this page are not held against it: they are of no cascade."
        )
    heads = ["stage", "model", "answers from P(correct)", "questions that it is asked"]
    return _content("A cascade", claim, note, heads, parts, [found])


def _groups(found: GroupCertificates, rows: Scored) -> Content:
    claim = (
        f"At most {found.alpha:.1%} wrong among the answered of each {found.column}, all at once"
        f" with probability {1 - found.delta:.1%}"
    )
    values = _values(rows, found.column)
    parts = []
    for name, one in found.certificates.items():
        if one.threshold is None:
            parts.append([name, "none", f"of {one.n:,}: {one.reason}", "–"])
            continue
        here = "–"
        if values is not None:
            given = (values == name) & (rows.p >= one.threshold)
            here = _wrong(int((given & ~rows.correct).sum()), int(given.sum()))
        there = _wrong(one.errors, one.answered)
        parts.append([name, f"{one.threshold:.4f}", f"{there} of {one.n:,} rows", here])
    note = "" if values is not None else f"To count these rows by it, add --by {found.column}."
    heads = [found.column, "threshold", "wrong among the answered, when certified", "on this page"]
    certificates = list(found.certificates.values())
    return _content(f"Thresholds by {found.column}", claim, note, heads, parts, certificates)


def _answered_wrong(found: AnsweredWrong, rows: Scored) -> Content:
    claim = (
        f"At most {found.alpha:.1%} of all questions are answered wrongly, on average over the draw"
        f" of {found.n:,} questions"
    )
    parts, note = [], f"No threshold keeps it: {found.reason}."
    if found.threshold is not None:
        wrong = int(((rows.p >= found.threshold) & ~rows.correct).sum())
        there = f"{found.errors:,} of {found.n:,} ({found.errors / found.n:.1%})"
        here = f"{wrong:,} of {len(rows):,} ({wrong / len(rows):.1%})"
        parts = [[f"{found.threshold:.4f}", there, here]]
        note = "A share of all questions: it is not the error rate among the answered."
    heads = ["threshold", "answered wrongly, when certified", "on this page"]
    return _content("Answered and wrong", claim, note, heads, parts, [found])


def _handover(found: Handover) -> Content:
    parts = [
        [model, following, f"{one.low:.3f}", f"{one.right / one.rows:.1%} of {one.rows:,}"]
        for model, following, step in zip(found.models, found.models[1:], found.steps, strict=False)
        for one in step
    ]
    heads = ["model", "the next one", "from P(correct) of the first", "the next one is right"]
    claim = f"How often a stronger model is right where the one before is unsure ({found.n:,} rows)"
    return _content("Asking a stronger model", claim, "", heads, parts, [])


def _content(
    title: str,
    claim: str,
    note: str,
    heads: list[str],
    parts: list[list[str]],
    claims: Sequence[Voidable],
) -> Content:
    void = [one.void for one in claims if one.void is not None]
    return {
        "title": title,
        "claim": f"{claim}.",
        "note": note,
        "heads": heads,
        "parts": parts,
        "void": [f"{one.reason} (since {one.at})." for one in void],
    }


def _values(rows: Scored, column: str) -> "np.ndarray[Any, np.dtype[np.str_]] | None":
    """What each row holds in the column; None where it was not read."""
    if column in rows.kept:
        return np.array(rows.column(column), np.str_)
    if column == "model":
        return np.array([row.model or "" for row in rows.graded], np.str_)
    return None


def _wrong(errors: int, answered: int) -> str:
    share = f" ({errors / answered:.1%})" if answered else ""
    return f"{errors:,} of {answered:,}{share}"
