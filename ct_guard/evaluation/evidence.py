"""Evidence fitted on graded rows: as an estimator of its own, which reads no base model, or beside
the raw scores of one that does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ct_guard import __version__
from ct_guard.calibration import choose, fit
from ct_guard.datasets import Graded
from ct_guard.errors import UsageError
from ct_guard.estimators.weighing import values_in
from ct_guard.evidence import (
    OF_BASE,
    Found,
    answers_in,
    evidence_file,
    fit_evidence,
    wanted_columns,
)
from ct_guard.store import (
    EVERY_MODEL,
    NO_BASE,
    BaseModelRef,
    Manifest,
    question_hash,
    save_estimator,
    set_hash,
)
from ct_guard.store.figures import Value
from ct_guard.store.questions import dump_questions, questions_name

from .groups import Answered, Grouped, calibrate_groups
from .probabilities import read_again, readings_in
from .scored import Scored

__all__ = ["WITHOUT", "beside_scores", "figures_of", "save_evidence"]

WITHOUT = "log loss without "
"""How the name of a figure begins: the evidence that is left out follows."""


def beside_scores(
    scored: Scored, names: Sequence[str], *, force: bool = False, seed: int = 0
) -> Found:
    """Fit evidence of these `names` beside the raw scores of graded rows, which are the evidence
    `logit` and always take part; the rest is read from the rows' file.

    Raises UsageError, CalibrationError and InputError as `fit_evidence`; InputError also for other
    readings of a base model that the file does not hold.
    """
    names = ("logit", *(name for name in names if name != "logit"))
    rows = read_again(scored, wanted_columns(names))
    named = [name for name in names if name in OF_BASE and name != "logit"]
    readings = readings_in([one.row for one in rows], scored.path, named)
    answers = answers_in(
        [one.item for one in rows],
        names,
        [one.row.where for one in rows],
        readings={"logit": scored.logit, **readings},
    )
    return fit_evidence(answers, scored.correct, names, seed=seed, force=force)


def figures_of(found: Found) -> dict[str, Value]:
    """What a manifest says of a fit: the kind of its layer, its log loss on questions that were
    held out, and that of a layer without each evidence."""
    return {
        "layer": found.kind,
        **{f"{WITHOUT}{name}": round(loss, 6) for name, loss in found.without.items()},
        "log loss": round(found.log_loss[found.kind], 6),
    }


def save_evidence(
    graded: Graded,
    names: Sequence[str],
    folder: Path,
    *,
    overwrite: bool = False,
    by: Sequence[str] = (),
    force: bool = False,
    seed: int = 0,
) -> tuple[Manifest, Found, Grouped | None]:
    """Fit evidence of these `names` on graded rows, which hold `evidence.wanted_columns(names)` and
    `by`, calibrate it on logits of questions that the layer did not see, within the groups of the
    columns `by` where there are any, and write it to `folder`.

    Returns the manifest, the fit with what each evidence adds, and what groups differ by.

    Raises UsageError, CalibrationError and InputError as `fit_evidence`; OutputExistsError where
    `folder` may not be written.
    """
    if unread := OF_BASE.intersection(names):
        raise UsageError(
            f"the evidence {min(unread)} is what a base model reads: name an estimator that has one"
        )
    items = [row.qa for row in graded.rows]
    answers = answers_in(items, names, graded.where)
    correct = np.array([row.correct for row in graded.rows], np.bool_)
    found = fit_evidence(answers, correct, names, seed=seed, force=force)
    kind = choose(found.logits, correct, answers.question, seed=seed).kind
    calibrators = {EVERY_MODEL: fit(kind, found.logits, correct)}
    grouped = None
    if by:
        rows = Answered(found.logits, correct, answers.question, [qa.model for qa in items])
        within = {column: values_in(items, column) for column in by}
        grouped = calibrate_groups(rows, within, calibrators, seed=seed)
    file, content = evidence_file(found.fitted)
    keys = {row.qa.question_key() for row in graded.rows}
    questions = dump_questions({"calibration": frozenset(map(question_hash, keys))})
    manifest = Manifest(
        name=folder.resolve().name,
        method="evidence",
        base=BaseModelRef(id=NO_BASE),
        evidence=file,
        calibrators=calibrators,
        groups=() if grouped is None else grouped.corrections,
        data={"calibration": set_hash(keys)},
        questions=questions_name(questions),
        figures={"rows": len(correct), "questions": len(keys)} | figures_of(found),
        versions={"ct-guard": __version__},
    )
    files: dict[str, Path | bytes] = {
        file: content,
        questions_name(questions): questions,
    }
    written = save_estimator(folder, manifest, files=files, overwrite=overwrite)
    return written, found, grouped
