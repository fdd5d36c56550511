"""Fit calibrators of decisions on graded rows, into an estimator's copy or a file of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import FieldError, InputError, OutputExistsError, UsageError

from .reporting import SILENT, Reporter

if TYPE_CHECKING:
    from ct_guard.decisions import DecisionCalibration, GradedDecision
    from ct_guard.estimators import Estimator
    from ct_guard.store import Manifest

__all__ = ["CalibrateDecisionsConfig", "CalibrateDecisionsResult", "calibrate_decisions"]

_TOGETHER = 16
"""Rows that are read at once."""


@dataclass(frozen=True, kw_only=True)
class CalibrateDecisionsConfig:
    """Whose decisions are calibrated, and what is promised of them."""

    estimator: str | Path | None = None
    """The estimator that decides, to be copied with the calibrators. None: rows carry the scores or
    probabilities of another decision model, and the output is a file for
    `CalibratedDecisionModel`."""
    base: str | Path | None = None
    """Where the estimator's base model lies now."""
    backend: str = "transformers"
    """What reads the rows that carry no scores."""
    alpha: float | None = None
    """Share of wrong decisions that is allowed above a certified threshold, in (0, 1): half of the
    states then certify instead of being fitted on. None: nothing is certified."""
    delta: float = 0.1
    """Allowed probability that a certificate is false."""
    overwrite: bool = False
    seed: int = 0
    """Of the folds, and of which states certify."""

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("delta", self.delta)):
            if value is not None and not 0 < value < 1:
                raise FieldError(f"`{name}` must be between 0 and 1, not {value}")
        if self.base is not None and self.estimator is None:
            raise FieldError("`base` is for `estimator`: leave it out, nothing else reads a model")


@dataclass(frozen=True)
class CalibrateDecisionsResult:
    """What was fitted, by question."""

    calibration: "DecisionCalibration"
    labels: int
    scored: int
    """Rows that the estimator had to read."""
    remarks: tuple[str, ...]


def calibrate_decisions(
    source: str | Path,
    output: str | Path,
    config: CalibrateDecisionsConfig,
    *,
    report: Reporter = SILENT,
) -> CalibrateDecisionsResult:
    """Fit a calibrator for each question that is graded in `source` (see
    `ct_guard.decisions.read_decisions`), and certify thresholds where `alpha` is given.

    Args:
        source: graded decisions, of states that nothing else was fitted on.
        output: the new estimator's directory; without `estimator`, a JSON file.
        config: whose decisions, and what is promised.
        report: hears of the rows that the estimator reads.

    Raises:
        FieldError: a field out of range.
        InputError: rows that cannot be read, or whose scores are another model's.
        CalibrationError: a question with too few rows, or with one label only.
        OutputExistsError: `output` is there; ManifestError: the estimator is not whole.
    """
    from ct_guard.decisions import fit_decisions, read_decisions
    from ct_guard.store import check_target, load_manifest, locate

    target = Path(output)
    folder = locate(config.estimator) if config.estimator is not None else None
    if folder is not None:
        check_target(target, overwrite=config.overwrite)
    elif target.exists() and not (config.overwrite and target.is_file()):
        raise OutputExistsError(f"{target}: exists; name another output or use `overwrite`")
    rows, ungraded = read_decisions(source)
    manifest = load_manifest(folder) if folder is not None else None
    by = _scorer_of(rows) if manifest is None else manifest.scorer
    bare = [row for row in rows if row.scores is None]
    _check_scores(rows, manifest, by)
    if folder is not None and bare:
        rows = _scored(rows, folder, config, report)
    fitted = fit_decisions(rows, by=by, alpha=config.alpha, delta=config.delta, seed=config.seed)
    if folder is None or manifest is None:
        _write_file(target, fitted.calibration)
    else:
        _write_estimator(folder, target, manifest, fitted.calibration, config)
    said = [f"{ungraded:,} rows have no label and do not count."] if ungraded else []
    return CalibrateDecisionsResult(
        calibration=fitted.calibration,
        labels=len(rows),
        scored=len(bare),
        remarks=(*fitted.remarks, *said),
    )


def _scorer_of(rows: "Sequence[GradedDecision]") -> str:
    """Whose scores rows have that no estimator of ours made. Raises InputError for several."""
    first = rows[0]
    for row in rows:
        if row.by != first.by:
            raise InputError(
                f"{row.where}: field 'by': these scores are {row.by or 'nobody'}'s, and those of"
                f" {first.where} {first.by or 'nobody'}'s: calibrate each model on its own rows"
            )
    return first.by or ""


def _check_scores(rows: "Sequence[GradedDecision]", manifest: "Manifest | None", by: str) -> None:
    for row in rows:
        if row.scores is None and manifest is None:
            raise InputError(
                f"{row.where}: no 'scores' and no 'probabilities': log them with the decision"
                " model, or name the estimator that is to decide as `estimator`"
            )
        if row.scores is not None and manifest is not None and row.by != by:
            raise InputError(
                f"{row.where}: field 'by': these scores are {row.by or 'nobody'}'s, not"
                f" {manifest.name}'s ({by}): leave out 'scores' and it reads the row itself"
            )


def _scored(
    rows: "Sequence[GradedDecision]",
    folder: Path,
    config: CalibrateDecisionsConfig,
    report: Reporter,
) -> "list[GradedDecision]":
    """The rows, all with scores by the estimator."""
    from ct_guard.decisions import deciding
    from ct_guard.estimators import load_estimator

    estimator = deciding(load_estimator(folder, base=config.base, backend=config.backend))
    known = [row for row in rows if row.scores is not None]
    bare = [row for row in rows if row.scores is None]
    try:
        with report.working("Reading", len(bare)) as work:
            for start in range(0, len(bare), _TOGETHER):
                part = bare[start : start + _TOGETHER]
                known += _read(part, estimator)
                work.advance(len(part))
    finally:
        estimator.close()
    return known


def _read(rows: "Sequence[GradedDecision]", estimator: "Estimator") -> "list[GradedDecision]":
    from ct_guard.decisions import Enquiry

    enquiries = [Enquiry.about(row.state, {row.name: row.question}) for row in rows]
    confidences = iter(estimator.score([item for one in enquiries for item in one.items]))
    made = []
    for row, enquiry in zip(rows, enquiries, strict=True):
        own = [next(confidences) for _ in enquiry.items]
        try:
            judged = enquiry.judged(own)[row.name]
        except UsageError as error:
            raise InputError(f"{row.where}: {error}: leave the row out") from error
        made.append(replace(row, scores=judged.scores))
    return made


def _write_file(target: Path, calibration: "DecisionCalibration") -> None:
    from ct_guard.decisions import decisions_file
    from ct_guard.files.replacing import replacing

    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as building:
        building.write_bytes(decisions_file(calibration)[1])


def _write_estimator(
    folder: Path,
    target: Path,
    manifest: "Manifest",
    calibration: "DecisionCalibration",
    config: CalibrateDecisionsConfig,
) -> None:
    from ct_guard.decisions import decisions_file
    from ct_guard.evaluation.disjoint import recorded
    from ct_guard.store import revise_estimator

    name, content = decisions_file(calibration)
    old = [] if manifest.decisions is None else [manifest.decisions]
    revise_estimator(
        folder,
        target,
        manifest.model_copy(update={"decisions": name}),
        questions=recorded(folder, manifest),
        added={name: content},
        dropped=[one for one in old if one != name],
        overwrite=config.overwrite,
    )
