"""Evidence fitted on graded rows, as an estimator's directory: no base model is read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ct_guard import __version__
from ct_guard.adapters import (
    EVERY_MODEL,
    NO_BASE,
    BaseModelRef,
    Manifest,
    question_hash,
    save_estimator,
    set_hash,
)
from ct_guard.adapters.questions import dump_questions, questions_name
from ct_guard.calibration import choose, fit
from ct_guard.datasets import Graded
from ct_guard.estimators.methods.evidence import EVIDENCE_FILE, answers_in
from ct_guard.evidence import Found, fit_evidence

__all__ = ["save_evidence"]


def save_evidence(
    graded: Graded,
    names: Sequence[str],
    folder: Path,
    *,
    overwrite: bool = False,
    force: bool = False,
    seed: int = 0,
) -> tuple[Manifest, Found]:
    """Fit evidence of these `names` on graded rows, which hold `evidence.wanted_columns(names)`,
    calibrate it on logits of questions that the layer did not see, and write both to `folder`.

    Returns the manifest, and the fit with what each evidence adds.

    Raises UsageError, CalibrationError and InputError as `fit_evidence`; OutputExistsError where
    `folder` may not be written.
    """
    answers = answers_in([row.qa for row in graded.rows], names, graded.where)
    correct = np.array([row.correct for row in graded.rows], np.bool_)
    found = fit_evidence(answers, correct, names, seed=seed, force=force)
    kind = choose(found.logits, correct, answers.question, seed=seed).kind
    keys = {row.qa.question_key() for row in graded.rows}
    questions = dump_questions({"calibration": frozenset(map(question_hash, keys))})
    manifest = Manifest(
        name=folder.resolve().name,
        method="evidence",
        base=BaseModelRef(id=NO_BASE),
        evidence=EVIDENCE_FILE,
        calibrators={EVERY_MODEL: fit(kind, found.logits, correct)},
        data={"calibration": set_hash(keys)},
        questions=questions_name(questions),
        figures={"rows": len(correct), "questions": len(keys), "layer": found.kind}
        | {f"log loss without {name}": round(loss, 6) for name, loss in found.without.items()}
        | {"log loss": round(found.log_loss[found.kind], 6)},
        versions={"ct-guard": __version__},
    )
    files: dict[str, Path | bytes] = {
        EVIDENCE_FILE: found.fitted.model_dump_json().encode(),
        questions_name(questions): questions,
    }
    return save_estimator(folder, manifest, files=files, overwrite=overwrite), found
