"""The question prior as an estimator's directory, fitted on graded rows."""

from pathlib import Path

from ct_guard import __version__
from ct_guard.datasets import Graded
from ct_guard.errors import InputError
from ct_guard.evidence.question_prior import PRIOR_FILE, fit_question_prior
from ct_guard.store import (
    NO_BASE,
    BaseModelRef,
    Manifest,
    question_hash,
    save_estimator,
    set_hash,
)
from ct_guard.store.questions import dump_questions, questions_name

__all__ = ["save_question_prior"]


def save_question_prior(graded: Graded, folder: Path, *, overwrite: bool = False) -> Manifest:
    """Fit the question prior on graded rows, and write it to `folder` with the hashes of its
    questions, so that it is not calibrated or certified on the same ones.

    Raises InputError where all rows are right, or all wrong.
    """
    texts = [row.qa.asked() for row in graded.rows]
    correct = [row.correct for row in graded.rows]
    keys = {row.qa.question_key() for row in graded.rows}
    if len(set(correct)) < 2:
        raise InputError(
            f"{graded.path}: all {len(correct):,} graded answers are alike: the prior needs right"
            " and wrong ones in 'correct'"
        )
    prior = fit_question_prior(texts, correct)
    questions = dump_questions({"tuning": frozenset(map(question_hash, keys))})
    name = questions_name(questions)
    manifest = Manifest(
        name=folder.resolve().name,
        method="question_prior",
        base=BaseModelRef(id=NO_BASE),
        prior=PRIOR_FILE,
        data={"tuning": set_hash(keys)},
        questions=name,
        figures={"rows": len(texts), "questions": len(keys)},
        versions={"ct-guard": __version__},
    )
    content = prior.model_dump_json().encode()
    files: dict[str, Path | bytes] = {PRIOR_FILE: content, name: questions}
    return save_estimator(folder, manifest, files=files, overwrite=overwrite)
