"""From parts of graded rows to an estimator's directory: tune, fit the layer, calibrate, save."""

from collections.abc import Callable, Sequence
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
from ct_guard.estimators.methods.base import wants_of
from ct_guard.estimators.methods.query import QueryMethod
from ct_guard.estimators.novelty import (
    MIN_QUESTIONS,
    Novelty,
    fit_novelty,
    novelty_file,
    states_of_rows,
)
from ct_guard.estimators.question_prior import PRIOR_FILE, QuestionPrior, fit_question_prior
from ct_guard.methods import METHODS
from ct_guard.query import ContextStyle, Rendered, build_query
from ct_guard.records import Arithmetic, CalibratorState, Confidence, GradedAnswer
from ct_guard.store import EVERY_MODEL, PROBE, BaseModelRef, Manifest, save_estimator
from ct_guard.store.questions import dump_questions, questions_name

from .augment import with_attacks
from .checkpoint import Progress
from .config import TuningConfig
from .hybrid import fit_hybrid
from .parts import Parts, question_hashes, set_hashes
from .processes import processes
from .trainer import AT_ONCE, Tuned, tune
from .writing import writing

__all__ = ["make_estimator", "parts_of"]

OnRows = Callable[[int, int], None]

LIBRARIES = ("torch", "transformers", "peft", "scikit-learn")
"""Whose versions the manifest records."""


def parts_of(method: str, *, calibrate: bool) -> tuple[str, ...]:
    """Parts that a method needs beside `tuning`, each with questions of its own."""
    layer = ("layer",) if METHODS[method].layer else ()
    return ("validation", *layer, *(("calibration",) if calibrate else ()))


def make_estimator(
    backend: TransformersBackend,
    parts: Parts,
    target: Path,
    *,
    base: BaseModelRef,
    method: str,
    style: ContextStyle,
    config: TuningConfig,
    calibrator: str | None,
    twins: float,
    runs: Path,
    question_prior: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    cache_bytes: int | None = None,
    on_rows: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Manifest | None:
    """Tune, and write an estimator that is ready to score.

    Args:
        backend: the base model.
        parts: graded rows by part: `tuning` and those of `parts_of` the method.
        target: the estimator's directory; it appears whole, or not at all.
        base: how the manifest names the base model.
        method: of `methods.tuned()`.
        style: how question and answer become text.
        config: of the run.
        calibrator: kind to fit on the part `calibration`; None leaves the estimator uncalibrated.
        twins: share of the tuning rows that get a twin which tries to talk the query round.
        runs: a folder for the run's checkpoint and adapter.
        question_prior: for methods with a layer: whether it also reads a question prior, fitted on
            the parts `tuning` and `validation`.
        resume: whether to go on from that checkpoint.
        overwrite: whether an estimator at `target` may be replaced.
        on_progress: called after every evaluation.
        on_step: called with every step and its loss.
        cache_bytes: memory for what the base model has read, see `tune`.
        on_rows: called while rows are read for what is no step, see `tune`.

    Returns:
        The manifest as written; None in the processes of `accelerate launch` that do not write.

    Raises:
        TuningError: as `tune`, or the directory cannot be written; CalibrationError: too few rows
            to calibrate on, or one that cannot be scored.
    """
    self_test(backend, build_query(style, backend), None)
    if backend.manner != "together":
        raise TuningError(
            "this base model is right only where rows are read one by one, and is tuned in batches:"
            " take another base"
        )
    prior = _fitted_prior(parts) if question_prior and processes().first else None
    tuned = tune(
        backend,
        with_attacks(parts["tuning"], twins, config.seed) if twins else parts["tuning"],
        parts["validation"],
        style=style,
        folder=runs / "adapter",
        config=config,
        method=METHODS[method].learner or method,
        checkpoint=runs / "checkpoint.safetensors",
        resume=resume,
        on_progress=on_progress,
        on_step=on_step,
        cache_bytes=cache_bytes,
        on_rows=on_rows,
    )
    if not processes().first:
        return None
    kept = next(one for one in tuned.history if one.step == tuned.kept_step)
    questions = dump_questions(question_hashes(parts))
    manifest = Manifest(
        name=target.name,
        method=method,
        base=base,
        style=style,
        activation=tuned.adapter.activation if tuned.adapter is not None else None,
        probe=PROBE if tuned.head is not None else None,
        budget=config.budget,
        label_orders=config.label_orders,
        figures={
            f"{config.keep} step": tuned.kept_step,
            "validation log loss": kept.validation_log_loss,
            "validation AUROC": kept.validation_auroc,
        },
        data=set_hashes(parts),
        questions=questions_name(questions),
        versions={
            "ct-guard": __version__,
            **{name: version(name) for name in LIBRARIES},
        },
    )
    files: dict[str, Path | bytes] = {questions_name(questions): questions}
    if tuned.head is not None:
        files[PROBE] = runs / "adapter" / PROBE
    scorer: Method | TextMethod
    if manifest.spec.layer:
        asked = _serving(manifest, QueryMethod(), backend, tuned)
        on_rows("fitting the layer", 0, len(parts["layer"]))
        fitted = _fitted_layer(asked, tuned, parts["layer"], prior)
        manifest = manifest.model_copy(update={"layer": fitted.layer})
        if prior is not None:
            manifest = manifest.model_copy(update={"prior": PRIOR_FILE})
            files[PRIOR_FILE] = prior.model_dump_json().encode()
        scorer = fitted
    else:
        scorer = make_method(manifest, runs / "adapter", backend)
    if calibrator is not None:
        estimator = _serving(manifest, scorer, backend, tuned)
        rows, logits = _scored(estimator, parts["calibration"], partial(on_rows, "calibrating"))
        state = _calibrator(calibrator, rows, logits)
        manifest = manifest.model_copy(update={"calibrators": {EVERY_MODEL: state}})
        novelty = _novelty(estimator, rows, partial(on_rows, "looking at them for ood"))
        if novelty is not None:
            name, content = novelty_file(novelty)
            by = Arithmetic(backend=backend.name, format=backend.format)
            manifest = manifest.model_copy(update={"novelty": name, "novelty_by": by})
            files[name] = content
    with writing(target, "the same command with --resume saves what was tuned"):
        return save_estimator(
            target,
            manifest,
            adapter=tuned.adapter.path if tuned.adapter is not None else None,
            invocation=tuned.query.ids if manifest.activation == "query" else (),
            files=files,
            overwrite=overwrite,
        )


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
        swapped=build_query(manifest.style, backend, swapped=True) if both else None,
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
