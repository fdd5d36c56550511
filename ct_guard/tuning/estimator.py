"""From parts of graded rows to an estimator's directory: tune, fit the layer, calibrate, save."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ct_guard import __version__
from ct_guard.backends import Item, self_test
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.calibration import fit
from ct_guard.errors import CalibrationError, TuningError
from ct_guard.estimators import Estimator, HybridMethod, Method, TextMethod, make_method
from ct_guard.estimators.fields import reader_of
from ct_guard.estimators.methods.base import wants_of
from ct_guard.estimators.methods.query import QueryMethod
from ct_guard.estimators.novelty import (
    MIN_QUESTIONS,
    Novelty,
    fit_novelty,
    novelty_file,
    states_of_rows,
)
from ct_guard.evidence.question_prior import PRIOR_FILE, QuestionPrior, fit_question_prior
from ct_guard.methods import METHODS
from ct_guard.query import ContextStyle, Rendered, build_query
from ct_guard.records import CalibratorState, Confidence, GradedAnswer
from ct_guard.store import EVERY_MODEL, PROBE, BaseModelRef, FieldReading, Manifest, save_estimator
from ct_guard.store.questions import dump_questions, questions_name

from .augment import with_attacks
from .config import TuningConfig
from .hybrid import fit_hybrid
from .life import RunLife
from .parts import Parts, question_hashes, set_hashes
from .processes import processes
from .trainer import AT_ONCE, Tuned, tune
from .writing import writing

__all__ = ["EstimatorPlan", "make_estimator", "parts_of"]

OnRows = Callable[[int, int], None]

LIBRARIES = ("torch", "transformers", "peft", "scikit-learn")
"""Whose versions the manifest records."""


def parts_of(method: str, *, calibrate: bool) -> tuple[str, ...]:
    """Parts that a method needs beside `tuning`, each with questions of its own."""
    layer = ("layer",) if METHODS[method].layer else ()
    return ("validation", *layer, *(("calibration",) if calibrate else ()))


@dataclass(frozen=True)
class EstimatorPlan:
    """What an estimator is made as."""

    base: BaseModelRef
    """How the manifest names the base model."""
    method: str
    """Of `methods.tuned()`."""
    style: ContextStyle
    """How question and answer become text."""
    config: TuningConfig
    calibrator: str | None
    """Kind to fit on the part `calibration`; None leaves the estimator uncalibrated."""
    twins: float = 0.0
    """Share of the tuning rows that get a twin which tries to talk the query round."""
    fields: bool = False
    """Whether it learns from the grades of fields, too, and calibrates them."""
    question_prior: bool = False
    """For methods with a layer: whether it also reads a question prior, fitted on the parts
    `tuning` and `validation`."""


def make_estimator(
    backend: TransformersBackend,
    parts: Parts,
    target: Path,
    plan: EstimatorPlan,
    *,
    runs: Path,
    life: RunLife | None = None,
    overwrite: bool = False,
) -> Manifest | None:
    """Tune, and write an estimator that is ready to score.

    Args:
        backend: the base model.
        parts: graded rows by part: `tuning` and those of `parts_of` the method.
        target: the estimator's directory; it appears whole, or not at all.
        plan: what is made.
        runs: a folder for the adapter, until the estimator is whole.
        life: how the run lives, see `tune`.
        overwrite: whether an estimator at `target` may be replaced.

    Returns:
        The manifest as written; None in the processes of `accelerate launch` that do not write.

    Raises:
        TuningError: as `tune`, or the directory cannot be written; CalibrationError: too few rows
            to calibrate on, or one that cannot be scored.
    """
    life = life or RunLife()
    self_test(backend, build_query(plan.style, backend.encoder), None)
    if backend.manner != "together":
        raise TuningError(
            "this base model is right only where rows are read one by one, and is tuned in batches:"
            " take another base"
        )
    prior = _fitted_prior(parts) if plan.question_prior and processes().first else None
    tuned = _tuned(backend, parts, plan, runs / "adapter", life)
    if not processes().first:
        return None
    questions = dump_questions(question_hashes(parts))
    manifest = _manifest(target.name, plan, tuned, parts, questions_name(questions))
    files: dict[str, Path | bytes] = {questions_name(questions): questions}
    if tuned.head is not None:
        files[PROBE] = runs / "adapter" / PROBE
    scorer: Method | TextMethod
    if manifest.spec.layer:
        life.on_rows("fitting the layer", 0, len(parts["layer"]))
        scorer, found, more = _with_layer(manifest, backend, tuned, parts["layer"], prior)
        manifest = manifest.model_copy(update=found)
        files |= more
    else:
        scorer = make_method(manifest, runs / "adapter", backend)
    if plan.fields:
        asking = _serving(manifest, scorer, backend, tuned)
        read = partial(life.on_rows, "calibrating fields")
        manifest = manifest.model_copy(
            update={"fields": _field_reading(asking, plan.calibrator, parts, read)}
        )
    if plan.calibrator is not None:
        estimator = _serving(manifest, scorer, backend, tuned)
        found, more = _calibrated(estimator, plan.calibrator, parts["calibration"], life.on_rows)
        manifest = manifest.model_copy(update=found)
        files |= more
    with writing(target, "the same command with `resume` saves what was tuned"):
        return save_estimator(
            target,
            manifest,
            adapter=tuned.adapter.path if tuned.adapter is not None else None,
            invocation=tuned.query.ids if manifest.activation == "query" else (),
            files=files,
            overwrite=overwrite,
        )


def _tuned(
    backend: TransformersBackend, parts: Parts, plan: EstimatorPlan, folder: Path, life: RunLife
) -> Tuned:
    rows = parts["tuning"]
    return tune(
        backend,
        with_attacks(rows, plan.twins, plan.config.seed) if plan.twins else rows,
        parts["validation"],
        style=plan.style,
        folder=folder,
        config=plan.config,
        method=METHODS[plan.method].learner or plan.method,
        fields=plan.fields,
        life=life,
    )


def _manifest(
    name: str, plan: EstimatorPlan, tuned: Tuned, parts: Parts, questions: str
) -> Manifest:
    """Of what was tuned, before a layer and a calibrator."""
    kept = next(one for one in tuned.history if one.step == tuned.kept_step)
    return Manifest(
        name=name,
        method=plan.method,
        base=plan.base,
        style=plan.style,
        activation=tuned.adapter.activation if tuned.adapter is not None else None,
        probe=PROBE if tuned.head is not None else None,
        budget=plan.config.budget,
        label_orders=plan.config.label_orders,
        figures={
            f"{plan.config.keep} step": tuned.kept_step,
            "validation log loss": kept.validation_log_loss,
            "validation AUROC": kept.validation_auroc,
        },
        data=set_hashes(parts),
        questions=questions,
        versions={"ct-guard": __version__, **{name: version(name) for name in LIBRARIES}},
    )


def _with_layer(
    manifest: Manifest,
    backend: TransformersBackend,
    tuned: Tuned,
    rows: Sequence[GradedAnswer],
    prior: QuestionPrior | None,
) -> tuple[HybridMethod, dict[str, object], dict[str, bytes]]:
    """The method with a layer that is fitted on these rows; fields of the manifest, and files."""
    asked = _serving(manifest, QueryMethod(), backend, tuned)
    fitted = _fitted_layer(asked, tuned, rows, prior)
    if prior is None:
        return fitted, {"layer": fitted.layer}, {}
    made = {PRIOR_FILE: prior.model_dump_json().encode()}
    return fitted, {"layer": fitted.layer, "prior": PRIOR_FILE}, made


def _calibrated(
    estimator: Estimator,
    kind: str,
    rows: Sequence[GradedAnswer],
    on_rows: Callable[[str, int, int], None],
) -> tuple[dict[str, object], dict[str, bytes]]:
    """Fields of the manifest, and files, that the calibration rows make: the calibrator, and what
    answers are compared with for `ood`."""
    kept, logits = _scored(estimator, rows, partial(on_rows, "calibrating"))
    found: dict[str, object] = {"calibrators": {EVERY_MODEL: _calibrator(kind, kept, logits)}}
    novelty = _novelty(estimator, kept, partial(on_rows, "looking at them for ood"))
    if novelty is None:
        return found, {}
    name, content = novelty_file(novelty)
    return found | {"novelty": name, "novelty_by": estimator.arithmetic}, {name: content}


def _field_reading(
    estimator: Estimator, kind: str | None, parts: Parts, on_rows: OnRows
) -> FieldReading:
    """How its fields are read, with one calibrator for all: those of groups are for
    `ct-guard calibrate --fields`."""
    if kind is None:
        return FieldReading()
    logits: list[float] = []
    correct: list[bool] = []
    rows = [row for row in parts["calibration"] if row.fields]
    for number, row in enumerate(rows, start=1):
        grades = row.fields or {}
        (one,) = estimator.score([row.qa.model_copy(update={"fields": tuple(grades)})])
        for path, field in (one.fields or {}).items():
            if field.logit is not None and path in grades:
                logits.append(field.logit)
                correct.append(grades[path])
        on_rows(number, len(rows))
    try:
        state = fit(kind, np.array(logits), np.array(correct, dtype=np.bool_))
    except CalibrationError as error:
        raise CalibrationError(
            f"the part 'calibration' ({len(logits):,} fields of {len(rows):,} rows): {error}"
        ) from error
    return FieldReading(calibrators={EVERY_MODEL: state})


def _serving(
    manifest: Manifest, scorer: Method | TextMethod, backend: TransformersBackend, tuned: Tuned
) -> Estimator:
    """The estimator as it will serve: its rows are screened, rendered and read in one place."""
    both = manifest.label_orders == "both"
    return Estimator(
        manifest=manifest,
        method=scorer,
        backend=backend,
        query=tuned.query,
        adapter=tuned.adapter,
        fingerprint="",
        swapped=build_query(manifest.style, backend.encoder, swapped=True) if both else None,
        reader=reader_of(manifest.style, backend, tuned.query, tuned.adapter),
    )


def _fitted_layer(
    estimator: Estimator, tuned: Tuned, rows: Sequence[GradedAnswer], prior: QuestionPrior | None
) -> HybridMethod:
    """On what the base says of the rows that the estimator would score."""
    made = estimator.rendered([row.qa for row in rows])
    read = [(row, one) for row, one in zip(rows, made, strict=True) if isinstance(one, Rendered)]
    kept = [row for row, _ in read]
    items = [Item(one.context, one.answer) for _, one in read]
    batch = estimator.engine.score(items, tuned.query, tuned.adapter, wants_of("hybrid"))
    return fit_hybrid(batch, _asked(kept), _correct(kept), prior)


def _scored(
    estimator: Estimator, rows: Sequence[GradedAnswer], on_rows: OnRows
) -> tuple[list[GradedAnswer], NDArray[np.float64]]:
    """Rows to calibrate on, and their logits. Those that the estimator does not score when it
    serves (refusals, empty answers) have no probability to calibrate, and do not count."""
    scored: list[Confidence] = []
    for start in range(0, len(rows), AT_ONCE):
        scored += estimator.score([row.qa for row in rows[start : start + AT_ONCE]])
        on_rows(len(scored), len(rows))
    for one in scored:
        if one.status == "error":
            raise CalibrationError(f"a row of the part 'calibration' has no score: {one.error}")
    kept = [at for at, one in enumerate(scored) if one.logit is not None]
    logits = np.array([scored[at].logit for at in kept], dtype=np.float64)
    return [rows[at] for at in kept], logits


def _calibrator(
    kind: str, rows: Sequence[GradedAnswer], logits: NDArray[np.float64]
) -> CalibratorState:
    try:
        return fit(kind, logits, _correct(rows))
    except CalibrationError as error:
        raise CalibrationError(f"the part 'calibration' ({len(rows):,} rows): {error}") from error


def _novelty(estimator: Estimator, rows: Sequence[GradedAnswer], on_rows: OnRows) -> Novelty | None:
    """What answers are compared with for `ood`; None where the rows are of too few questions."""
    items = [row.qa for row in rows]
    keys = [item.question_key() for item in items]
    if len(set(keys)) < MIN_QUESTIONS:
        return None
    done = 0

    def read(more: int) -> None:
        nonlocal done
        done += more
        on_rows(done, len(items))

    return fit_novelty(states_of_rows(estimator, items, on_rows=read), keys)


def _fitted_prior(parts: Parts) -> QuestionPrior:
    rows = [*parts["tuning"], *parts["validation"]]
    return fit_question_prior(_asked(rows), _correct(rows))


def _asked(rows: Sequence[GradedAnswer]) -> list[str]:
    return [row.qa.asked() for row in rows]


def _correct(rows: Sequence[GradedAnswer]) -> NDArray[np.bool_]:
    return np.array([row.correct for row in rows], dtype=np.bool_)
