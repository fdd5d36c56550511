"""Figures and certificates, into an estimator's manifest: what its card will say."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ct_guard.certificates import Certificate
from ct_guard.evaluation import Evaluation, Scored
from ct_guard.evaluation.disjoint import recorded, with_split
from ct_guard.evaluation.slices import MACRO
from ct_guard.promises import Promise
from ct_guard.store import Manifest, load_manifest, revise_estimator, set_hash
from ct_guard.store.figures import Value, with_interval

__all__ = [
    "RECORDED",
    "TEST",
    "recorded_figures",
    "save_certificate",
    "save_figures",
    "save_promises",
    "save_reissued",
]

TEST = "test"
"""The split, and how the names of its figures begin."""
RECORDED = (
    "accuracy of the answers",
    "AUROC",
    "pair accuracy",
    "ECE",
    "Brier score",
    "log loss",
    "coverage at 10% risk",
)
"""What a reader of a card looks for; `ct-guard evaluate` prints more."""


def recorded_figures(
    found: Evaluation, *, by: str | None = None, where: Sequence[str] = ()
) -> dict[str, Value]:
    """The figures of the one estimator in `found`, by the names that the manifest gives them, each
    with its 95% interval over questions.

    Args:
        found: an evaluation of one scored file.
        by: the column that it was sliced by, if any.
        where: the `COLUMN=VALUE` that chose the rows: figures of a part say so.
    """
    one = found.estimators[0]
    known = {figure.name: figure.interval for figure in one.figures}
    measured = {name: known[name] for name in RECORDED if name in known}
    measured |= {
        f"AUROC within {by} (macro average)": part.figures["AUROC"].interval
        for part in one.slices
        if part.name == MACRO
    }
    figures: dict[str, Value] = {
        f"{TEST} rows": len(found.rows),
        f"{TEST} questions": len(np.unique(found.rows.question)),
    }
    if where:
        figures[f"{TEST} rows with"] = ", ".join(where)
    for name, interval in measured.items():
        figures |= with_interval(f"{TEST} {name}", interval.value, interval.low, interval.high)
    return figures


def save_figures(
    source: Path,
    target: Path,
    found: Evaluation,
    *,
    by: str | None = None,
    where: Sequence[str] = (),
    overwrite: bool = False,
) -> Manifest:
    """The estimator at `source` with these figures, at `target` (which may be `source`). Figures of
    an earlier test are replaced; the questions are recorded as the split `test`, so that nobody
    calibrates or certifies on them later.

    Raises:
        OutputExistsError: `target` exists and may not be replaced, or is no estimator.
        ManifestError: the estimator at `source` is not whole.
    """
    manifest = load_manifest(source)
    others = {k: v for k, v in manifest.figures.items() if not k.startswith(f"{TEST} ")}
    data, splits = with_split(source, manifest, TEST, found.rows)
    changed = manifest.model_copy(
        update={"figures": others | recorded_figures(found, by=by, where=where), "data": data}
    )
    return revise_estimator(source, target, changed, questions=splits, overwrite=overwrite)


def save_promises(
    source: Path,
    target: Path,
    made: Sequence[Certificate | Promise],
    scored: Scored,
    *,
    overwrite: bool = False,
) -> Manifest:
    """The estimator at `source` with these certificates and other promises, at `target` (which may
    be `source`). Certificates for the same alpha and delta are replaced, and promises of the same
    subject; the questions are recorded as the split `certification`.

    Raises:
        OutputExistsError: `target` exists and may not be replaced, or is no estimator.
        ManifestError: the estimator at `source` is not whole.
    """
    manifest = load_manifest(source)
    data, splits = with_split(source, manifest, "certification", scored)
    certificates = [one for one in made if isinstance(one, Certificate)]
    promises = [one for one in made if not isinstance(one, Certificate)]
    claims = {(one.alpha, one.delta) for one in certificates}
    subjects = {one.subject for one in promises}
    others = [one for one in manifest.certificates if (one.alpha, one.delta) not in claims]
    further = [one for one in manifest.promises if one.subject not in subjects]
    changed = manifest.model_copy(
        update={
            "certificates": (*certificates, *others),
            "promises": (*promises, *further),
            "data": data,
        }
    )
    return revise_estimator(source, target, changed, questions=splits, overwrite=overwrite)


def save_certificate(
    source: Path,
    target: Path,
    certificate: Certificate,
    scored: Scored,
    *,
    overwrite: bool = False,
) -> Manifest:
    """One certificate, as `save_promises`."""
    return save_promises(source, target, [certificate], scored, overwrite=overwrite)


def save_reissued(
    source: Path,
    target: Path,
    certificate: Certificate,
    questions: Collection[str],
    *,
    overwrite: bool = False,
) -> Manifest:
    """As `save_certificate`, for one that was certified on answers of whose `questions` only the
    short hashes are known."""
    manifest = load_manifest(source)
    splits = recorded(source, manifest)
    splits["certification"] = splits.get("certification", frozenset()) | frozenset(questions)
    promise = (certificate.alpha, certificate.delta)
    others = tuple(c for c in manifest.certificates if (c.alpha, c.delta) != promise)
    changed = manifest.model_copy(
        update={
            "certificates": (certificate, *others),
            "data": manifest.data | {"certification": set_hash(questions)},
        }
    )
    return revise_estimator(source, target, changed, questions=splits, overwrite=overwrite)
