"""Make an estimator from graded answers: the life cycle of a tuning run."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import OutputExistsError
from ct_guard.methods import METHODS

from .recipes import HELD_OUT, TuneConfig, check_settings, settings_of, style_for
from .reporting import SILENT, Reporter, Work

if TYPE_CHECKING:
    from ct_guard.backends.transformers import TransformersBackend
    from ct_guard.store import BaseModelRef, Manifest
    from ct_guard.tuning import Progress, TuningConfig
    from ct_guard.tuning.parts import Parts
    from ct_guard.tuning.processes import Processes

__all__ = ["Place", "TuneConfig", "TuneResult", "tune"]


@dataclass(frozen=True)
class Place:
    """Where a run lies: the estimator's directory `target`, and what stands beside it."""

    target: Path

    @classmethod
    def of(cls, output: str | Path) -> "Place":
        return cls(Path(output))  # a Path has no slash at its end, as "my-estimator/" has

    @property
    def runs(self) -> Path:
        """The folder of the checkpoint, until the run is done."""
        return Path(f"{self.target}.run")

    @property
    def checkpoint(self) -> Path:
        return self.runs / "checkpoint.safetensors"

    @property
    def log(self) -> Path:
        """The curves, a line of JSON an evaluation."""
        return Path(f"{self.target}.log.jsonl")

    @contextmanager
    def taken(self) -> Iterator[None]:
        """No other run writes here during the block. Raises UsageError where one does."""
        from ct_guard.files.locking import alone

        self.target.parent.mkdir(parents=True, exist_ok=True)
        with alone(self.target):
            yield

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raises OutputExistsError where an estimator, an interrupted run or another thing is in
        the way."""
        from ct_guard.store import check_target

        check_target(self.target, overwrite=overwrite)
        # Hidden ones are half-written checkpoints, of a process that was killed.
        others = [path for path in self.runs.glob("*") if not path.name.startswith(".")]
        if others and not self.checkpoint.exists():
            raise OutputExistsError(
                f"{self.runs} holds something else than a tuning run, whose folder it would be:"
                " move it, or choose another name for the estimator"
            )
        if self.checkpoint.exists() and not resume and not overwrite:
            raise OutputExistsError(
                f"{self.runs} holds an interrupted run: go on with `resume`, or begin anew with"
                " `overwrite`"
            )


@dataclass(frozen=True)
class TuneResult:
    """An estimator that was made."""

    folder: Path
    manifest: "Manifest"
    """With the figures of the validation, among others."""
    history: "tuple[Progress, ...]"
    """The evaluations, first to last."""
    remarks: tuple[str, ...] = field(default=())
    """What is worth knowing before it is used."""


def tune(
    source: str | Path, output: str | Path, config: TuneConfig, *, report: Reporter = SILENT
) -> TuneResult | None:
    """Make an estimator from the graded answers in `source`: parts by question, tuning with
    checkpoints, calibration, and the directory `output`, which appears whole or not at all.

    Args:
        source: columns `question`, `answer`, `correct`; see `ct-guard tune --help`.
        output: the new estimator's directory. Beside it stand `OUTPUT.log.jsonl`, the curves, and
            until the run is done `OUTPUT.run`, its checkpoint.
        config: what is tuned, and how.
        report: hears of every step and evaluation.

    Returns:
        The estimator; None in the processes of `accelerate launch` that do not write.

    Raises:
        FieldError: a field that would be ignored; UsageError: settings that make no sense, or
            another run that writes `output`.
        OutputExistsError: `output`, or an interrupted run to it, is there.
        InputError: rows that cannot be read, or a question in two parts.
        TuningError: training cannot start, or went wrong; CalibrationError: too few rows.
    """
    from ct_guard.evaluation.plot import check_plot
    from ct_guard.tuning.processes import processes

    place, group = Place.of(output), processes()
    if config.plot is not None:
        check_plot(Path(config.plot))
    with place.taken() if group.first else nullcontext():  # from before its run is looked at
        return _tuned(source, place, group, config, report)


def _tuned(
    source: str | Path, place: Place, group: "Processes", config: TuneConfig, report: Reporter
) -> TuneResult | None:
    from ct_guard.store import base_place
    from ct_guard.tuning.checkpoint import read_history
    from ct_guard.tuning.estimator import EstimatorPlan, make_estimator
    from ct_guard.tuning.life import RunLife

    from .curves import draw_curves, write_log

    place.check(resume=config.resume, overwrite=config.overwrite)
    settings, parts, said = _prepared(source, config)
    if group.first:
        _tell_parts(parts, settings, config, said, report)
    where = base_place(config.base, revision=config.revision)
    backend, reference = _loaded(where, config, group.device)
    history = read_history(place.checkpoint) if config.resume else []
    if group.first and config.resume:
        write_log(place.log, history)
    elif group.first:
        place.log.unlink(missing_ok=True)
        place.checkpoint.unlink(missing_ok=True)
    group.wait()
    with report.working("Tuning", settings.steps, unit="steps", shown=group.first) as work:
        hearing = _Hearing(work, settings.steps)
        life = RunLife(
            checkpoint=place.checkpoint,
            resume=config.resume,
            cache_bytes=None if config.cache_gb is None else int(config.cache_gb * 1e9),
            on_step=hearing.stepped,
            on_progress=_keeping(history, parts, settings, place, group, hearing, report),
            on_rows=hearing.read,
        )
        plan = EstimatorPlan(
            base=reference,
            method=config.method,
            style=style_for(backend, config),
            config=settings,
            calibrator=config.fitted,
            twins=config.twins,
            fields=config.fields,
            question_prior=config.question_prior,
        )
        manifest = make_estimator(
            backend,
            parts,
            place.target,
            plan,
            runs=place.runs,
            life=life,
            overwrite=config.overwrite,
        )
    if manifest is None:
        return None
    if manifest.calibrators and manifest.novelty is None:
        said.append("The calibration rows are of too few questions for ood.")
    said += _exported_for_llama_cpp(where, place.target)
    shutil.rmtree(place.runs, ignore_errors=True)
    if config.plot is not None:
        draw_curves(Path(config.plot), history)
    return TuneResult(place.target, manifest, tuple(history), tuple(said))


def _prepared(source: str | Path, config: TuneConfig) -> "tuple[TuningConfig, Parts, list[str]]":
    """Settings, rows, and remarks on the rows: what can be wrong before a model is loaded."""
    from ct_guard.datasets import read_graded
    from ct_guard.tuning.estimator import parts_of
    from ct_guard.tuning.parts import divide

    needed = parts_of(config.method, calibrate=config.fitted is not None)
    check_settings(config, needed)
    settings = settings_of(config)
    graded = read_graded(source, fields=config.fields)
    files = {name: getattr(config, name) for name in needed}
    given = {
        name: read_graded(path, fields=config.fields)
        for name, path in files.items()
        if path is not None
    }
    drawn = {name: config.held_out or HELD_OUT for name in needed if name not in given}
    parts = divide(graded, given, drawn, seed=settings.seed)
    return settings, parts, [line for one in (graded, *given.values()) for line in one.remarks()]


def _tell_parts(
    parts: "Parts",
    settings: "TuningConfig",
    config: TuneConfig,
    said: list[str],
    report: Reporter,
) -> None:
    for remark in said:
        report.note(remark)
    shown = []
    for name, rows in parts.items():
        right = sum(row.correct for row in rows) / len(rows)
        shown.append(f"{name} {len(rows):,} rows ({right:.0%} right)")
    report.tell(f"Parts, by question: {', '.join(shown)}.")
    if settings.activation == "query" and METHODS[config.method].adapter:
        report.tell(
            "The LoRA acts on the query's tokens only: the base model's own distribution is"
            " untouched by construction, so no divergence from it is added to the loss."
        )


def _loaded(
    where: str | Path, config: TuneConfig, device: str | None
) -> "tuple[TransformersBackend, BaseModelRef]":
    """The base model on its device, or on the one that belongs to this process, and how the
    manifest names it: a directory or file of the user's by its full path."""
    from ct_guard.backends.transformers import TransformersBackend
    from ct_guard.store import EMBEDDED, BaseModelRef

    backend = TransformersBackend.load(
        where,
        revision=config.revision,
        device=device if device and config.device == "auto" else config.device,
        dtype=config.dtype,
        quantization=config.bits,
    )
    here = config.base != EMBEDDED and Path(config.base).exists()
    return backend, BaseModelRef(
        id=str(Path(config.base).resolve()) if here else config.base,
        revision=None if here else config.revision,
        fingerprint=backend.fingerprint,
        digests=(backend.digest,),
        quantization=config.bits,
    )


def _keeping(
    history: "list[Progress]",
    parts: "Parts",
    settings: "TuningConfig",
    place: Place,
    group: "Processes",
    hearing: "_Hearing",
    report: Reporter,
) -> "Callable[[Progress], None]":
    """What becomes of an evaluation: it is told, kept, written to the log, and judged."""
    from ct_guard.tuning.watch import nothing_learnt

    from . import curves

    labels = [row.correct for row in parts["validation"]]

    def keep(progress: "Progress") -> None:
        hearing.evaluated(progress)
        history.append(progress)
        if not group.first:
            return
        curves.write_line(place.log, progress)
        said = nothing_learnt(history, labels, learning_rate=settings.learning_rate)
        if said is not None:
            report.warn(said)

    return keep


class _Hearing:
    """What the training loop says, as work over steps."""

    def __init__(self, work: Work, steps: int) -> None:
        self._work, self._steps, self._begun = work, steps, False
        self._step = 0

    def read(self, what: str, done: int, total: int) -> None:
        self._work.reach(self._step, note=f"{what}: {done:,} of {total:,} rows")

    def stepped(self, step: int, loss: float) -> None:
        if not self._begun:  # a resumed run begins in the middle; a rate begins with a step done
            self._work.skip(step)
            self._begun = True
        self._step = step
        self._work.reach(step, note=f"loss {loss:.4f}")

    def evaluated(self, progress: "Progress") -> None:
        area = progress.validation_auroc
        left = self._work.left() if progress.step < self._steps else None
        loss = "" if progress.loss is None else f" loss {progress.loss:.4f},"
        self._work.tell(
            f"step {progress.step:,}/{progress.steps:,}:{loss} validation log"
            f" loss {progress.validation_log_loss:.4f}, AUROC"
            f" {'not defined' if area is None else f'{area:.3f}'},"
            f" {progress.rows_per_second:,.0f} rows/s"
            f"{'' if left is None else f', at most {left} left'}"
        )


def _exported_for_llama_cpp(base: str | Path, target: Path) -> list[str]:
    """The adapter's file beside its weights, where the base is a GGUF file: that is where its user
    will serve it. A remark where it cannot be written."""
    from ct_guard.backends.dequantised import origin

    if origin(base) is None or not (target / "adapter").is_dir():
        return []
    from ct_guard.errors import ExportError
    from ct_guard.export import export_estimator

    try:
        export_estimator(target, only="adapter")
    except ExportError as error:
        return [f"No adapter.gguf for the backend llama_cpp: {error}"]
    return []
