"""A threshold with a guarantee, into an estimator's manifest."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import FieldError, InputError, UsageError

from .settings import place_of

if TYPE_CHECKING:
    from ct_guard.evaluation import Scored
    from ct_guard.records import Certificate
    from ct_guard.store import Manifest

__all__ = ["CertifyConfig", "CertifyResult", "certify"]


@dataclass(frozen=True, kw_only=True)
class CertifyConfig:
    """What is promised, and of which rows."""

    estimator: str | Path
    """The estimator that scored the rows."""
    output: str | Path | None = None
    """A directory for a copy of it; None: the certificate goes into the estimator itself."""
    alpha: float = 0.10
    """Error rate allowed among the answered, in (0, 1)."""
    delta: float = 0.10
    """Allowed probability that the claim is false, in (0, 1)."""
    first: bool = False
    """Whether the first graded answer to each question counts, where there are several."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column values that a row must have."""
    grader_false_pass: float | str | Path | None = None
    """Share of wrong answers that the grader calls correct, in [0, 1), or a graded file whose
    audit has measured it; None: the grades are taken as the truth."""
    disjoint_from: Sequence[str | Path] = ()
    """Files that may share no question with the rows."""
    overwrite: bool = False
    from_outcomes: bool = False
    """Certify on the outcomes in the estimator's book that arrived after its certificate became
    void, instead of on a file."""
    book: str | Path | None = None
    """As for `MonitorConfig`."""
    reuse: bool = False
    """Whether rows count whose outcomes the test of a certificate, or an attempt to certify on
    outcomes, has counted. The certificate says how many; its delta does not allow for that."""


@dataclass(frozen=True)
class CertifyResult:
    """The certificate, which has no threshold where none could be certified, and says why."""

    certificate: "Certificate"
    folder: Path
    """The estimator that it was written into."""
    remarks: tuple[str, ...]
    """What the promise rests on, and does not cover."""


def certify(source: str | Path | None, config: CertifyConfig) -> CertifyResult:
    """Find the most lenient threshold t of which "at most alpha wrong among answers with
    P(correct) >= t" is certain at level 1 - delta, and write it into the estimator's manifest.

    Args:
        source: what `score` wrote, with grades in `correct`: one answer a question, to questions
            that the estimator was neither tuned, calibrated nor tested on. None with
            `from_outcomes`.
        config: what is promised, of which rows, and where it is written.

    Raises:
        InputError: rows that cannot be read, are not independent, or were used before.
        FieldError: an estimator that must be copied; UsageError: a value outside its range.
        OutputExistsError: `output` is there; ManifestError: the estimator is not whole.
    """
    from ct_guard.estimators.weighing import weighing_of
    from ct_guard.evaluation import read_scored
    from ct_guard.evaluation.certify import certify as certified
    from ct_guard.evaluation.certify import first_answers, independent
    from ct_guard.store import load_manifest, locate

    from .leakage import check_apart_from, check_new
    from .recording import save_certificate

    if source is None or config.from_outcomes:
        return _from_outcomes(source, config)
    false_pass = _share(config.grader_false_pass)
    folder = locate(config.estimator)
    target = place_of(folder, config.output)
    manifest = load_manifest(folder)
    scored = read_scored(source, need="logit", where=config.where)
    check_apart_from(scored, config.disjoint_from)
    said = check_new(scored, folder, manifest, allowed=("certification",))
    rows = first_answers(scored) if config.first else independent(scored)
    reused = _counted(rows, folder, manifest, config)
    certificate = certified(
        rows,
        manifest,
        alpha=config.alpha,
        delta=config.delta,
        grader_false_pass=false_pass,
        weighing=weighing_of(manifest, folder),
    )
    certificate = certificate.model_copy(update={"reused": reused})
    save_certificate(folder, target, certificate, rows, overwrite=config.overwrite)
    said += _remarks(certificate, manifest, scored, rows, measured=config.grader_false_pass)
    return CertifyResult(certificate, target, tuple(said))


def _counted(rows: "Scored", folder: Path, manifest: "Manifest", config: CertifyConfig) -> int:
    """How many rows a test has counted as outcomes. Raises InputError for such, unless `reuse`."""
    from ct_guard.monitoring import BOOK

    from .reissuing import counted_before

    book = Path(config.book or folder / BOOK)
    counted = counted_before(rows.question_keys(), manifest, book)
    if counted and not config.reuse:
        raise InputError(
            f"{rows.path}: {counted:,} of {len(rows):,} questions have outcomes in {book} that the"
            " test of a certificate, or an attempt to certify, has counted: such rows are no random"
            " sample any more; use others (`from_outcomes` takes the fresh ones), or say `reuse`"
        )
    return counted


def _from_outcomes(source: str | Path | None, config: CertifyConfig) -> CertifyResult:
    from ct_guard.monitoring import book_of
    from ct_guard.store import check_target, load_manifest, locate

    from .recording import save_reissued
    from .reissuing import reissue

    if source is not None or not config.from_outcomes:
        raise FieldError("a `source` is for a file, and `from_outcomes` for none: give one of them")
    if config.first or config.where or config.disjoint_from:
        raise FieldError("`first`, `where`, `disjoint_from` choose rows of a file: leave them out")
    folder = locate(config.estimator)
    target = place_of(folder, config.output)
    if config.output is not None and not (target.exists() and target.samefile(folder)):
        check_target(target, overwrite=config.overwrite)  # before outcomes are used up
    made = reissue(
        folder,
        load_manifest(folder),
        book_of(folder, config.book),
        alpha=config.alpha,
        delta=config.delta,
        grader_false_pass=_share(config.grader_false_pass),
        reuse=config.reuse,
    )
    save_reissued(folder, target, made.certificate, made.questions, overwrite=config.overwrite)
    return CertifyResult(made.certificate, target, tuple(made.remarks))


def _remarks(
    certificate: "Certificate",
    manifest: "Manifest",
    scored: "Scored",
    rows: "Scored",
    *,
    measured: float | str | Path | None,
) -> list[str]:
    said = [
        "It replaces the certificate of before for the same alpha and delta:"
        f" P(correct) >= {known.threshold:.4f}."
        for known in manifest.certificates
        if (known.alpha, known.delta) == (certificate.alpha, certificate.delta)
        and known.threshold is not None
    ]
    if certificate.threshold is not None and rows.correct.all():
        said.append(
            f"All {len(rows):,} graded answers are right: if wrong ones were left out of the file,"
            " nothing is promised."
        )
    if measured is None:
        said.append(
            "The grades are taken as the truth: where the grader may pass wrong answers, have some"
            " checked (ct-guard audit) and give `grader_false_pass`."
        )
    elif certificate.grader_false_pass > 0:
        said.append(
            f"Of wrong answers, the grader is taken to pass {certificate.grader_false_pass:.1%}."
        )
    if scored.loss:
        said.append(scored.loss)
    if scored.ungraded:
        said.append(
            f"{scored.ungraded:,} scored rows have no grade and do not count: if they are left out"
            " because they are hard to grade, the promise does not cover their like."
        )
    models = {row.model for row in rows.graded if row.model is not None}
    if len(models) > 1:
        said.append(f"The promise is for this mix of {len(models)} answering models, not for each.")
    return said


def _share(given: float | str | Path | None) -> float:
    """A share, or the upper bound that the audit of a graded file has for it."""
    from ct_guard.datasets import load_data_manifest

    with suppress(ValueError):
        return float(str(given or 0.0))
    if not Path(str(given)).is_file():
        raise UsageError(
            f"`grader_false_pass`: {str(given)!r} is neither a number nor a graded file"
        )
    audit = load_data_manifest(str(given)).audit
    if audit is None:
        raise UsageError(
            f"{given}: no person has checked its grader: draw rows with 'ct-guard audit {given}"
            " check.csv --draw 100', or give the share as a number"
        )
    if audit.false_pass.high >= 1.0:
        raise UsageError(
            f"{given}: its audit has too few verdicts to bound the false-pass rate: check more rows"
        )
    return audit.false_pass.high
