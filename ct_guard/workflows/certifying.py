"""A threshold with a guarantee, into an estimator's manifest."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ct_guard.errors import FieldError, InputError, UsageError

from .settings import place_of, refuse_idle

if TYPE_CHECKING:
    from ct_guard.certificates import Certificate
    from ct_guard.evaluation import Scored
    from ct_guard.promises import Promise
    from ct_guard.store import Manifest

    from .promising import Asked

__all__ = ["CertifyConfig", "CertifyResult", "certify"]


@dataclass(frozen=True, kw_only=True)
class CertifyConfig:
    """What is promised, and of which rows."""

    estimator: str | Path
    """The estimator that scored the rows."""
    output: str | Path | None = None
    """A directory for a copy of it; None: the certificate goes into the estimator itself."""
    alpha: float | Sequence[float] = (0.10,)
    """Error rate allowed among the answered, in (0, 1), or several: a promise each."""
    delta: float = 0.10
    """Allowed probability that the claim is false, in (0, 1)."""
    by: str | None = None
    """A column: a threshold for each of its values, which hold all at once (Bonferroni)."""
    answered_wrong: bool = False
    """Whether `alpha` bounds the share of *all* questions that are answered wrongly, on average
    (conformal risk control), instead of the error rate among the answered."""
    fields: bool = False
    """Whether `alpha` bounds the error rate among the fields of answers in JSON that are filled in
    without review, instead of among answers."""
    cascade: Sequence[str | Path] = ()
    """Scored files of further, stronger models' answers to the same questions, in the order in
    which they would be asked: one promise for the whole cascade, which is the cheapest that can be
    certified."""
    price: Sequence[float] = ()
    """Of a cascade: what a call of each model costs, in the order of the files; none: 0 for the
    first, 1 for each further one."""
    abstain: float = 10.0
    """Of a cascade: what a question without an answer costs, in the unit of the prices."""
    error: float = 0.0
    """Of a cascade: what an answer costs that is let through and is wrong."""
    first: bool = False
    """Whether the first graded answer to each question counts, where there are several."""
    drawn: bool = False
    """Whether one at random does; always the same one."""
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

    def idle(self) -> Mapping[str, str]:
        if self.cascade:
            return {}
        return dict.fromkeys(("price", "abstain", "error"), "a `cascade`")

    @property
    def alphas(self) -> tuple[float, ...]:
        """Each once, in the order given."""
        given = (self.alpha,) if isinstance(self.alpha, int | float) else self.alpha
        return tuple(dict.fromkeys(map(float, given)))


@dataclass(frozen=True)
class CertifyResult:
    """What is promised. A certificate has no threshold, and a cascade no stages, where none could
    be certified, and says why."""

    certificates: "tuple[Certificate, ...]"
    """By alpha, in the order given; none where something else was asked for."""
    promises: "tuple[Promise, ...]"
    """By group, of cascades, or of answers that are wrong; of a cascade also what is known of
    asking its stronger models, for the policy `cost`."""
    folder: Path
    """The estimator that it was written into."""
    remarks: tuple[str, ...]
    """What the promise rests on, and does not cover."""

    @property
    def certificate(self) -> "Certificate":
        """The first. Raises IndexError where something else was asked for."""
        return self.certificates[0]


def certify(source: str | Path | None, config: CertifyConfig) -> CertifyResult:
    """Find the most lenient threshold t of which "at most alpha wrong among answers with
    P(correct) >= t" is certain at level 1 - delta, and write it into the estimator's manifest; or,
    as the configuration asks, thresholds by group, a cascade of models, or a bound on the share of
    questions that are answered wrongly.

    Args:
        source: what `score` wrote, with grades in `correct`: one answer a question, to questions
            that the estimator was neither tuned, calibrated nor tested on. An estimator without a
            base model also takes graded rows as they are, and scores them. None with
            `from_outcomes`.
        config: what is promised, of which rows, and where it is written.

    Raises:
        InputError: rows that cannot be read, are not independent, or were used before.
        FieldError: settings that exclude each other, or an estimator that must be copied.
        UsageError: a value outside its range.
        OutputExistsError: `output` is there; ManifestError: the estimator is not whole.
    """
    from ct_guard.estimators.weighing import weighing_of
    from ct_guard.evaluation import read_scored
    from ct_guard.evaluation.certify import one_each
    from ct_guard.store import load_manifest, locate

    from .fielding import certify_fields
    from .leakage import check_apart_from, check_new
    from .promising import Asked, remarks, replaced, too_small
    from .recording import save_promises
    from .unscored import scored_now

    _check_settings(config)
    if source is None or config.from_outcomes:
        return _from_outcomes(source, config)
    false_pass = _share(config.grader_false_pass)
    folder = locate(config.estimator)
    target = place_of(folder, config.output)
    if config.fields:
        made, told = certify_fields(source, config, target, false_pass)
        return CertifyResult((), made, target, tuple(told))
    manifest = load_manifest(folder)
    keep = [config.by] if config.by is not None else []
    said: list[str] = []
    files: list[Scored] = []
    for path in (source, *config.cascade):
        rows_now = scored_now(path, folder, manifest)
        scored = read_scored(path, need="logit", where=config.where, keep=keep, rows=rows_now)
        check_apart_from(scored, config.disjoint_from)
        said += check_new(scored, folder, manifest, allowed=("certification",))
        files.append(scored)
    rows = [one_each(one, first=config.first, drawn=config.drawn) for one in files]
    reused = _counted(rows[0], folder, manifest, config)
    asked = Asked(manifest, weighing_of(manifest, folder), config.delta, false_pass)
    found = _promised(rows, asked, config, reused)
    certificates, promises, of = found.certificates, found.promises, found.of
    save_promises(folder, target, (*certificates, *promises), of, overwrite=config.overwrite)
    said += [*found.said, *replaced(manifest, certificates)]
    said += remarks(files, of, config.alphas, config.delta, false_pass, config.grader_false_pass)
    said += too_small(promises)
    return CertifyResult(certificates, promises, target, tuple(dict.fromkeys(said)))


class _Promised(NamedTuple):
    certificates: "tuple[Certificate, ...]"
    promises: "tuple[Promise, ...]"
    of: "Scored"
    """The rows that they are of."""
    said: Sequence[str] = ()


def _promised(
    rows: "list[Scored]", asked: "Asked", config: CertifyConfig, reused: int
) -> _Promised:
    """What the configuration asks to be promised of independent rows, a file a model."""
    from .promising import answered_wrong, by_group, cascades, costs_of, thresholds

    of, alphas = rows[0], config.alphas
    if config.cascade:
        costs = costs_of(len(rows), config.price, config.abstain, config.error)
        promises, of, said = cascades(rows, asked, alphas, costs)
        return _Promised((), promises, of, said)
    if config.by is not None:
        return _Promised((), tuple(by_group(of, asked, alphas, config.by)), of)
    if config.answered_wrong:
        return _Promised((), tuple(answered_wrong(of, asked, alphas)), of)
    made = thresholds(of, asked, alphas)
    return _Promised(tuple(one.model_copy(update={"reused": reused}) for one in made), (), of)


def _check_settings(config: CertifyConfig) -> None:
    kinds = {
        "by": config.by is not None,
        "answered_wrong": config.answered_wrong,
        "cascade": bool(config.cascade),
        "fields": config.fields,
        "from_outcomes": config.from_outcomes,
    }
    given = [f"`{name}`" for name, is_given in kinds.items() if is_given]
    if len(given) > 1:
        raise FieldError(f"{' and '.join(given)} are promises of their own: make one at a time")
    if not config.alphas:
        raise FieldError("`alpha` is empty: give at least one error rate")
    refuse_idle(config)


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
    if config.first or config.drawn or config.where or config.disjoint_from:
        raise FieldError(
            "`first`, `drawn`, `where`, `disjoint_from` choose rows of a file: leave them out"
        )
    if len(config.alphas) > 1:
        raise FieldError("outcomes are used up by one `alpha`: give one")
    folder = locate(config.estimator)
    target = place_of(folder, config.output)
    if config.output is not None and not (target.exists() and target.samefile(folder)):
        check_target(target, overwrite=config.overwrite)  # before outcomes are used up
    made = reissue(
        folder,
        load_manifest(folder),
        book_of(folder, config.book),
        alpha=config.alphas[0],
        delta=config.delta,
        grader_false_pass=_share(config.grader_false_pass),
        reuse=config.reuse,
    )
    save_reissued(folder, target, made.certificate, made.questions, overwrite=config.overwrite)
    return CertifyResult((made.certificate,), (), target, tuple(made.remarks))


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
