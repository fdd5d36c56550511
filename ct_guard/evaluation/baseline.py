"""The question prior as an estimator's directory, fitted on graded rows."""

from pathlib import Path

from ct_guard import __version__
from ct_guard.adapters import BaseModelRef, Manifest, question_hash, save_estimator, set_hash
from ct_guard.adapters.questions import dump_questions, questions_name
from ct_guard.errors import InputError
from ct_guard.estimators.question_prior import PRIOR_FILE, fit_question_prior
from ct_guard.files import Rejected, correct_of, open_rows, question_answer

__all__ = ["NO_BASE", "save_question_prior"]

NO_BASE = "none"
"""Id of the base of an estimator that has no model."""


def save_question_prior(graded: str | Path, folder: Path, *, overwrite: bool = False) -> Manifest:
    """Fit the question prior on the rows of `graded` that have a grade, and write it to `folder`
    with the hashes of its questions, so that it is not calibrated or certified on the same ones.

    Raises InputError, naming file, line and field, for a row that cannot be read or whose `correct`
    is neither true nor false, for a file without grades, and for one with right or wrong ones only.
    """
    texts: list[str] = []
    correct: list[bool] = []
    keys: set[str] = set()
    for row in open_rows(graded):
        grade = correct_of(row)
        if grade is None:
            continue
        item = question_answer(row)
        for found in (grade, item):
            if isinstance(found, Rejected):
                raise InputError(f"{found.message}: correct or remove the row")
        if isinstance(grade, bool) and not isinstance(item, Rejected):
            texts.append(item.conversation()[-1].content)
            correct.append(grade)
            keys.add(item.question_key())
    if len(set(correct)) < 2:
        known = f"all {len(correct):,} graded answers are alike" if correct else "no row is graded"
        raise InputError(f"{graded}: {known}: the prior needs right and wrong ones in 'correct'")
    prior = fit_question_prior(texts, correct)
    questions = dump_questions({"tuning": frozenset(map(question_hash, keys))})
    name = questions_name(questions)
    manifest = Manifest(
        name="question_prior",
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
