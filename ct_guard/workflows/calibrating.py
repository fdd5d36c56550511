"""Fit calibrators on a scored file, into a copy of the estimator or into another scored file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ct_guard.errors import FieldError

from .reporting import SILENT, Reporter

if TYPE_CHECKING:
    from ct_guard.certificates import Arithmetic
    from ct_guard.estimators.novelty import Novelty
    from ct_guard.evaluation import Scored
    from ct_guard.evaluation.calibrate import Calibration
    from ct_guard.evaluation.groups import Grouped
    from ct_guard.evidence import Found
    from ct_guard.records import GroupCorrections
    from ct_guard.store import LogisticLayer, Manifest

__all__ = ["CalibrateConfig", "CalibrateResult", "calibrate"]


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig:
    """What is calibrated, and how. One of `estimator` and `apply` is needed."""

    estimator: str | Path | None = None
    """The estimator that scored the rows, to be copied with the new calibrators. With `apply` it is
    read only, to refuse rows that it has seen. Its layers over log-probabilities, which go before
    calibrators, were fitted on other rows: they serve neither the copy nor `apply`."""
    apply: str | Path | None = None
    """A scored file of other questions: the output is a copy of it with confidences by the new
    calibrators."""
    kind: str | None = None
    """Of calibrator; None: the least cross-validated log loss, below 1,000 labels `platt` unless
    another is clearly better."""
    per_model: bool = True
    """Whether answering models get a calibrator each, where the file names several."""
    min_labels: int = 100
    """Labels that a model needs for a calibrator of its own, at least 10."""
    logprobs: bool = False
    """For a hybrid: also learn what an answering model's own log-probabilities say."""
    ood: bool = False
    """Whether the base model reads the rows once more, so that the copy's scores say how unlike
    them an answer is. Without it the copy's do not: the estimator was compared with other rows."""
    base: str | Path | None = None
    """With `ood`: where the base model lies now."""
    backend: str = "transformers"
    """With `ood`: what reads the rows. It is measured on it alone, in the same number format."""
    evidence: Sequence[str] = ()
    """For the copy: evidence of rows (`agreement`, `stated`, `logprobs`, `model`, `wording`,
    `question`, `column:NAME`, `group:NAME`) that is weighed beside the raw score, which always
    takes part (as `logit`)."""
    by: Sequence[str] = ()
    """Columns (a domain, a language, a tenant) within which it is calibrated, too, where that
    lowers the cross-validated log loss."""
    fields: bool = False
    """Whether the fields of answers in JSON are calibrated (columns `fields` and `fields_correct`),
    by group, instead of the answers."""
    force: bool = False
    """With `evidence`: whether numbers that look like the grade are taken, too."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column values that a row must have."""
    disjoint_from: Sequence[str | Path] = ()
    """Files that may share no question with the rows."""
    overwrite: bool = False
    seed: int = 0
    """Of the folds."""

    def __post_init__(self) -> None:
        if self.estimator is None and self.apply is None:
            raise FieldError(
                "give `estimator` (to copy it with new calibrators), `apply` (to write a scored"
                " file) or `evidence` (to make an estimator of graded rows alone)"
            )
        if self.logprobs and (self.estimator is None or self.apply is not None):
            raise FieldError(
                "`logprobs` needs `estimator`, without `apply`: it is the copy that learns"
            )
        others = self.logprobs or self.ood or self.evidence or self.by or self.apply is not None
        if self.fields and others:
            raise FieldError(
                "`fields` are calibrated by themselves: leave out `apply`, `logprobs`, `ood`,"
                " `evidence` and `by`"
            )
        if self.ood and (self.estimator is None or self.apply is not None):
            raise FieldError("`ood` needs `estimator`, without `apply`: it is for the copy")
        if self.evidence and (self.estimator is None or self.apply is not None):
            raise FieldError(
                "`evidence` needs `estimator`, without `apply`: it is the copy that weighs it"
            )
        if self.evidence and self.logprobs:
            raise FieldError("`logprobs`: with `evidence`, name them there, as logprobs")
        if self.force and not self.evidence:
            raise FieldError("`force` is for `evidence`: leave it out")
        if self.by and self.logprobs:
            raise FieldError(
                "`by` does not go with `logprobs`: name these as `evidence`, which is calibrated"
                " within groups"
            )
        if self.base is not None and not self.ood:
            raise FieldError("`base` is for `ood`: leave it out, nothing else reads a model")


@dataclass(frozen=True)
class CalibrateResult:
    """Calibrators by answering model, how each was chosen, and what they were fitted on."""

    calibration: "Calibration"
    labels: int
    questions: int
    remarks: tuple[str, ...]
    found: "Found | None" = None
    """What each evidence adds, where some was weighed anew."""
    grouped: "Grouped | None" = None
    """What groups differ by, where some were asked for."""
    applied: int | None = None
    """Rows of the written file that have a new confidence; None where an estimator was written."""


def calibrate(
    source: str | Path,
    output: str | Path,
    config: CalibrateConfig,
    *,
    report: Reporter = SILENT,
) -> CalibrateResult:
    """Fit calibrators on the column `logit` of `source`. No model is needed, but with `ood`.

    Args:
        source: what `score` wrote, with grades in `correct`, of questions that the estimator was
            neither tuned nor tested on.
        output: the new estimator's directory; with `apply`, the scored file to write.
        config: what is calibrated, and how.
        report: hears of the rows that the base model reads.

    Raises:
        FieldError: a field that does not fit the others; UsageError: `ood`, which the estimator's
            method or the backend does not measure.
        InputError: rows that cannot be read, of another estimator, or used before.
        CalibrationError: rows that cannot be learnt from: too few, or of one class only.
        OutputExistsError: `output` is there; ManifestError: the estimator is not whole.
    """
    from ct_guard.evaluation import read_scored
    from ct_guard.store import load_manifest, locate

    from .fielding import calibrate_fields
    from .leakage import check_apart_from
    from .recalibration import apply_to_file

    if config.fields:
        chosen_for, rows, said = calibrate_fields(source, output, config)
        questions = len(rows.question_keys())
        return CalibrateResult(chosen_for, len(rows), questions, tuple(said))
    scored = read_scored(source, need="logit", where=config.where)
    check_apart_from(scored, config.disjoint_from)
    folder = locate(config.estimator) if config.estimator is not None else None
    manifest = load_manifest(folder) if folder is not None else None
    said = _checked(scored, folder, manifest, config)
    if scored.loss:
        said.append(scored.loss)
    if scored.ungraded:
        said.append(f"{scored.ungraded:,} scored rows have no grade and do not count.")
    learnt = _learn(scored, folder, manifest, config)
    said += learnt.remarks
    applied = None
    if config.apply is not None:
        applied = apply_to_file(
            learnt.calibration.calibrators,
            str(config.apply),
            str(output),
            fitted_on=scored.question_keys(),
            groups=learnt.corrections,
            overwrite=config.overwrite,
        )
        said.append(f"{applied:,} rows have a new confidence; the old columns are kept as input_….")
    elif folder is not None:
        _save(learnt, scored, folder, Path(output), config, report)
    return CalibrateResult(
        calibration=learnt.calibration,
        labels=len(scored),
        questions=len(scored.question_keys()),
        remarks=(*learnt.calibration.remarks, *said),
        found=learnt.found,
        grouped=learnt.grouped,
        applied=applied,
    )


class _Learnt(NamedTuple):
    """What the rows teach, with remarks on it."""

    calibration: "Calibration"
    found: "Found | None"
    """What evidence adds."""
    grouped: "Grouped | None"
    provider: "dict[str, LogisticLayer]"
    """Layers over log-probabilities, by answering model."""
    remarks: list[str]

    @property
    def corrections(self) -> "Sequence[GroupCorrections]":
        return () if self.grouped is None else self.grouped.corrections


def _learn(
    scored: "Scored", folder: Path | None, manifest: "Manifest | None", config: CalibrateConfig
) -> _Learnt:
    from ct_guard.evaluation.calibrate import calibrate as fitted
    from ct_guard.evaluation.evidence import beside_scores
    from ct_guard.evaluation.provider import fit_provider

    chosen = {"min_labels": config.min_labels, "seed": config.seed}
    said: list[str] = []
    found = None
    if config.evidence:
        found = beside_scores(scored, config.evidence, force=config.force, seed=config.seed)
        said += found.remarks
    rows = _weighed(scored, folder, manifest, found)
    calibration = fitted(rows, kind=config.kind, per_model=config.per_model, **chosen)
    grouped = _grouped(rows, calibration, config) if config.by else None
    provider: dict[str, LogisticLayer] = {}
    if config.logprobs:
        provider, learnt = fit_provider(scored, calibration.calibrators, **chosen)
        said += learnt
    return _Learnt(calibration, found, grouped, provider, said)


def _save(
    learnt: _Learnt,
    scored: "Scored",
    folder: Path,
    target: Path,
    config: CalibrateConfig,
    report: Reporter,
) -> None:
    """The copy of the estimator in `folder` with what was learnt, at `target`."""
    from ct_guard.evaluation.evidence import figures_of

    from .recalibration import save_calibration

    found = learnt.found
    save_calibration(
        folder,
        target,
        learnt.calibration.calibrators,
        scored,
        provider=learnt.provider,
        novelty=_novelty(scored, folder, target, config, report) if config.ood else None,
        evidence=None if found is None else found.fitted,
        groups=learnt.corrections,
        figures=None if found is None else figures_of(found),
        overwrite=config.overwrite,
    )


def _weighed(
    scored: "Scored", folder: Path | None, manifest: "Manifest | None", found: "Found | None"
) -> "Scored":
    """The rows with the logits that calibrators get: raw scores, or what evidence makes of them."""
    from ct_guard.estimators.weighing import weighing_of
    from ct_guard.evaluation.probabilities import logits_under

    if found is not None:
        logits = found.logits
    elif folder is not None and manifest is not None and manifest.weighs:
        logits = logits_under(weighing_of(manifest, folder), scored)
    else:
        return scored
    pairs = zip(scored.graded, logits.tolist(), strict=True)
    return replace(scored, graded=tuple(row._replace(logit=logit) for row, logit in pairs))


def _grouped(rows: "Scored", found: "Calibration", config: CalibrateConfig) -> "Grouped":
    from ct_guard.estimators.weighing import values_in
    from ct_guard.evaluation.groups import Answered, calibrate_groups
    from ct_guard.evaluation.probabilities import items_of

    items = items_of(rows, config.by)
    within = {column: values_in(items, column) for column in config.by}
    answered = Answered(rows.logit, rows.correct, rows.question, [one.model for one in rows.graded])
    return calibrate_groups(answered, within, found.calibrators, seed=config.seed)


def _checked(
    scored: "Scored",
    folder: Path | None,
    manifest: "Manifest | None",
    config: CalibrateConfig,
) -> list[str]:
    """Remarks on what could not be checked, and on what the copy loses."""
    from .leakage import check_new
    from .runs.assessing import check_columns_of_rows

    if folder is None or manifest is None:
        if config.disjoint_from:
            return []
        return [
            "Without the estimator its tuning questions are not known: overlap with them was not"
            " checked. `estimator` has it checked; `disjoint_from` checks against a file."
        ]
    if config.logprobs and not manifest.spec.layer:
        raise FieldError(
            f"`logprobs`: {config.estimator} is of the method {manifest.method}, not a hybrid"
        )
    if manifest.spec.fitted and config.evidence:
        raise FieldError(
            f"`evidence`: {config.estimator} is made of evidence; make it anew of all that counts,"
            " without `estimator`"
        )
    if manifest.weighs and (config.apply is not None or config.logprobs):
        what = "apply" if config.apply is not None else "logprobs"
        raise FieldError(
            f"`{what}`: {config.estimator} weighs evidence of rows, which this does not; write a"
            " copy, with `evidence`"
        )
    if manifest.provider and config.apply is not None and config.by:
        raise FieldError(
            f"`by`: {config.estimator} has layers over log-probabilities; write a copy"
        )
    check_columns_of_rows(config.evidence)
    # A layer that is kept has seen its own rows: what it says of these is too sure.
    kept = manifest.evidence is not None and not config.evidence
    used = ("certification",) if kept else ("calibration", "certification")
    said = check_new(scored, folder, manifest, allowed=used)
    if config.apply is None and (manifest.known or manifest.figures):
        said.append(
            f"The certificates and figures of {config.estimator} were of its old probabilities:"
            " they are left out of the copy; certify and evaluate it anew."
        )
    if manifest.provider and not config.logprobs:
        named = ", ".join(sorted(manifest.provider))
        said.append(
            f"What {config.estimator} has learnt of the log-probabilities of {named} was of other"
            " rows, and is left out"
            + ("; `logprobs` learns it anew." if config.apply is None else ".")
        )
    if config.apply is None and not config.ood and manifest.novelty is not None:
        said.append("The copy measures no ood: `ood` compares with these rows.")
    return said


def _novelty(
    scored: "Scored", folder: Path, target: Path, config: CalibrateConfig, report: Reporter
) -> "tuple[Novelty, Arithmetic]":
    """What answers are compared with for `ood`, and what read it."""
    from ct_guard.estimators import load_estimator
    from ct_guard.evaluation.novelty import novelty_of
    from ct_guard.store import check_target

    check_target(target, overwrite=config.overwrite)  # before rows are read, which takes a while
    estimator = load_estimator(folder, base=config.base, backend=config.backend)
    with report.working("Reading", len(scored)) as work:
        return novelty_of(estimator, scored, on_rows=work.advance), estimator.arithmetic
