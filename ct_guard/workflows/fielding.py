"""Fields of answers in JSON: evaluated; calibrated and certified, into an estimator's manifest."""

from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import FieldError, InputError

if TYPE_CHECKING:
    from ct_guard.evaluation import Scored
    from ct_guard.evaluation.calibrate import Calibration
    from ct_guard.evaluation.fields import FieldFigures
    from ct_guard.promises import FieldCertificate
    from ct_guard.store import Manifest

    from .calibrating import CalibrateConfig
    from .certifying import CertifyConfig
    from .evaluating import EvaluateConfig

__all__ = ["calibrate_fields", "certify_fields", "evaluate_fields"]


def evaluate_fields(
    source: str | Path, config: "EvaluateConfig | None" = None
) -> "tuple[FieldFigures, list[str]]":
    """Ranking and calibration of the fields in a scored file with grades in `fields_correct`,
    beside the whole answer's P as that of each of its fields; and remarks.

    Of the configuration count `where`, `estimator` (P by its calibrators, from the logits),
    `resamples` and `seed`. Raises FieldError for another one that is set, InputError for a file
    without such fields, or scored by another estimator.
    """
    from ct_guard.evaluation.disjoint import seen_before
    from ct_guard.evaluation.fields import field_figures, read_fields
    from ct_guard.store import load_manifest, locate

    from .evaluating import EvaluateConfig

    config = config or EvaluateConfig()
    others = ("by", "compare_column", "train", "paper_ece", "smooth_ece", "plot", "record")
    for name in (name for name in others if getattr(config, name)):
        raise FieldError(f"`{name}` is of whole answers: leave it out with `fields`")
    scored = read_fields(source, where=config.where)
    said, states = _remarks(scored), None
    if config.estimator is not None:
        folder = locate(config.estimator)
        manifest = load_manifest(folder)
        _check_scorer(scored, manifest)
        said += seen_before(scored, folder, manifest)
        states = {} if manifest.fields is None else manifest.fields.calibrators
    found = field_figures(scored, states, resamples=config.resamples, seed=config.seed)
    return found, said


def calibrate_fields(
    source: str | Path, output: str | Path, config: "CalibrateConfig"
) -> "tuple[Calibration, Scored, list[str]]":
    """Calibrators of fields by group, into a copy of the estimator; everything else in it stays,
    but for promises about fields, which were of the old probabilities."""
    from ct_guard.evaluation.disjoint import check_unused, with_split
    from ct_guard.evaluation.fields import calibrate_fields as fitted
    from ct_guard.evaluation.fields import field_figures, read_fields
    from ct_guard.promises import FieldCertificate
    from ct_guard.store import FieldReading, load_manifest, locate, revise_estimator

    from .leakage import check_apart_from

    if config.estimator is None:
        raise FieldError("`fields` needs `estimator`: it is the copy that learns of them")
    folder = locate(config.estimator)
    manifest = load_manifest(folder)
    scored = read_fields(source, where=config.where)
    _check_scorer(scored, manifest)
    check_apart_from(scored, config.disjoint_from)
    said = check_unused(scored, folder, manifest, allowed=("calibration", "certification"))
    found = fitted(scored, kind=config.kind, min_labels=config.min_labels, seed=config.seed)
    figures = field_figures(scored, found.calibrators)
    said += _remarks(scored)
    if figures.auroc is not None:
        beside = ""
        if figures.whole_auroc is not None:
            beside = f" (of the whole answer's P, as that of each field: {figures.whole_auroc:.3f})"
        said.append(f"On these very fields: AUROC {figures.auroc:.3f}{beside}.")
    data, splits = with_split(folder, manifest, "calibration", scored)
    known = manifest.fields or FieldReading()
    revise_estimator(
        folder,
        Path(output),
        manifest.model_copy(
            update={
                "fields": known.model_copy(update={"calibrators": found.calibrators}),
                "promises": tuple(
                    one for one in manifest.promises if not isinstance(one, FieldCertificate)
                ),
                "data": data,
            }
        ),
        questions=splits,
        overwrite=config.overwrite,
    )
    return found, scored, [*found.remarks, *said]


def certify_fields(
    source: str | Path, config: "CertifyConfig", target: Path, grader_false_pass: float
) -> "tuple[tuple[FieldCertificate, ...], list[str]]":
    """Thresholds on the P of fields, into the estimator at `target`."""
    from ct_guard.evaluation.disjoint import check_unused
    from ct_guard.evaluation.fields import certify_fields as certified
    from ct_guard.evaluation.fields import read_fields
    from ct_guard.store import load_manifest, locate

    from .leakage import check_apart_from
    from .recording import save_promises

    folder = locate(config.estimator)
    manifest = load_manifest(folder)
    scored = read_fields(source, where=config.where)
    _check_scorer(scored, manifest)
    check_apart_from(scored, config.disjoint_from)
    said = check_unused(scored, folder, manifest, allowed=("certification",)) + _remarks(scored)
    if manifest.fields is None or not manifest.fields.calibrators:
        said.append(
            "Its fields are not calibrated: the threshold holds, but is of raw scores ('ct-guard"
            " calibrate --fields' fits them on other rows)."
        )
    made = tuple(
        certified(
            scored,
            manifest,
            alpha=alpha,
            delta=config.delta,
            grader_false_pass=grader_false_pass,
        )
        for alpha in config.alphas
    )
    save_promises(folder, target, made, scored, overwrite=config.overwrite)
    return made, said


def _check_scorer(scored: "Scored", manifest: "Manifest") -> None:
    """Raises InputError for logits of another estimator's reading of fields."""
    others = set(scored.scorers) - {manifest.field_scorer}
    if others:
        raise InputError(
            f"{scored.path}: its fields were scored by another estimator ({min(others)}, and this"
            f" is {manifest.field_scorer}): score them with this one"
        )


def _remarks(scored: "Scored") -> list[str]:
    if not scored.ungraded:
        return []
    return [f"{scored.ungraded:,} scored fields have no grade and do not count."]
