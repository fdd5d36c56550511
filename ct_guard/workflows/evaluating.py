"""The figures of scored files, and into an estimator's manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import FieldError

from .reporting import SILENT, Reporter
from .settings import place_of

if TYPE_CHECKING:
    from ct_guard.evaluation import Evaluation, Scored
    from ct_guard.evaluation.scored import Need
    from ct_guard.files import Row

__all__ = ["EvaluateConfig", "EvaluateResult", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is computed, of which rows, and what becomes of the figures."""

    by: str | None = None
    """Also measure inside each value of this column."""
    compare_column: Sequence[str] = ()
    """Columns that stand beside every estimator: what is there already, as a stated confidence."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column values that a row must have."""
    train: str | Path | None = None
    """Scored, graded rows of other questions to fit the question prior on; None: it is
    cross-fitted on the rows at hand."""
    prior: bool = True
    """Whether the question prior stands beside the estimators."""
    paper_ece: bool = False
    """Also the ECE as the paper's code computes it (folded)."""
    smooth_ece: bool = False
    """Also the smooth ECE (extra 'report')."""
    estimator: str | Path | None = None
    """Take P(correct) from the logits by the calibrators of this estimator."""
    plot: str | Path | None = None
    """Reliability and risk-coverage diagrams, .png or .svg (extra 'report')."""
    record: bool = False
    """Write the main figures, and the questions as the split `test`, into the estimator."""
    output: str | Path | None = None
    """With `record`: a directory for a copy; None: into the estimator itself."""
    overwrite: bool = False
    resamples: int = 1000
    """Of the bootstrap, by question."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.record and self.estimator is None:
            raise FieldError("`record` needs `estimator`: the figures go into its manifest")
        if self.output is not None and not self.record:
            raise FieldError("`output` goes with `record`: it is the estimator with the figures")


@dataclass(frozen=True)
class EvaluateResult:
    """The figures, with what to know of each estimator and of the whole."""

    evaluation: "Evaluation"
    folder: Path | None
    """The estimator that the figures were written into, if they were."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Those of every estimator, then those on the whole."""
        found = self.evaluation
        return (*(line for one in found.estimators for line in one.remarks), *found.remarks)


def evaluate(
    sources: Sequence[str | Path] | str | Path,
    config: EvaluateConfig | None = None,
    *,
    report: Reporter = SILENT,
) -> EvaluateResult:
    """Ranking, calibration, proper scores and selective prediction of what `score` wrote, each with
    a 95% bootstrap interval over questions. No model is needed.

    Args:
        sources: scored files with grades in `correct`. Several hold the same rows, scored by
            different estimators, and are compared to the first. With an `estimator` that has no
            base model, graded rows that are not scored yet will do.
        config: what is computed, and what becomes of it.
        report: hears of the sets of figures.

    Raises:
        FieldError: a field that does not fit the others.
        InputError: files that cannot be read, without a row in common, or (to record) of questions
            that the estimator has seen.
        UsageError: `train` shares a question with the files.
        OutputExistsError: `output` is there; ManifestError: the estimator is not whole.
    """
    from ct_guard.evaluation import Options, evaluate_files, read_scored
    from ct_guard.evaluation.figures import METRICS, PAPER_ECE, SMOOTH_ECE
    from ct_guard.evaluation.plot import check_plot, draw

    config = config or EvaluateConfig()
    paths = [sources] if isinstance(sources, (str, Path)) else list(sources)
    if config.plot is not None:
        check_plot(Path(config.plot))
    if config.estimator is not None and len(paths) > 1:
        raise FieldError("`estimator` goes with one scored file: evaluate the others apart")
    need: Need = "confidence" if config.estimator is None else "logit"
    keep = (config.by,) if config.by is not None else ()
    columns = tuple(dict.fromkeys((*keep, *config.compare_column)))
    files = [
        read_scored(
            path, need=need, keep=columns if at == 0 else keep, where=config.where,
            rows=_scored_now(path, config.estimator),
        )
        for at, path in enumerate(paths)
    ]  # fmt: skip
    said: list[str] = []
    folder = target = None
    if config.estimator is not None:
        folder, target, files[0], said = _of_estimator(files[0], config.estimator, config)
    more = [PAPER_ECE] * config.paper_ece + [SMOOTH_ECE] * config.smooth_ece
    options = Options(
        metrics=(*METRICS, *more), by=config.by, prior=config.prior,
        compare=tuple(dict.fromkeys(config.compare_column)), resamples=config.resamples,
        seed=config.seed,
    )  # fmt: skip
    train = read_scored(config.train, need=need) if config.train is not None else None
    with report.working("Evaluating", unit="figures") as work:
        found = evaluate_files(files, options, train=train, on_part=work.reach)
    found.remarks.extend(said)
    if config.plot is not None:
        draw(found, Path(config.plot))
    if folder is not None and target is not None:
        from .recording import save_figures

        chosen = [f"{name}={value}" for name, value in config.where.items()]
        save_figures(folder, target, found, by=config.by, where=chosen, overwrite=config.overwrite)
    return EvaluateResult(found, target)


def _scored_now(source: str | Path, estimator: str | Path | None) -> "list[Row] | None":
    from ct_guard.store import load_manifest, locate

    from .unscored import scored_now

    if estimator is None:
        return None
    folder = locate(estimator)
    return scored_now(source, folder, load_manifest(folder))


def _of_estimator(
    scored: "Scored", estimator: str | Path, config: EvaluateConfig
) -> "tuple[Path, Path | None, Scored, list[str]]":
    """Where the estimator is, where its figures go, the rows with its probabilities, and remarks on
    questions that it has seen: to record figures on them is refused."""
    from ct_guard.estimators.weighing import weighing_of
    from ct_guard.evaluation.disjoint import check_scored_by, seen_before
    from ct_guard.evaluation.probabilities import with_confidences_of
    from ct_guard.store import check_target, load_manifest, locate

    from .leakage import check_new
    from .recording import TEST

    folder = locate(estimator)
    target = place_of(folder, config.output) if config.record else None
    if target is not None and target.resolve() != folder.resolve():
        check_target(target, overwrite=config.overwrite)  # before the figures, which take a while
    manifest = load_manifest(folder)
    check_scored_by(scored, manifest)
    rows = with_confidences_of(manifest, scored, weighing_of(manifest, folder))
    if config.record:
        return folder, target, rows, check_new(rows, folder, manifest, allowed=(TEST,))
    return folder, target, rows, seen_before(rows, folder, manifest)
