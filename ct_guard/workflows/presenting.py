"""The report: a page about scored files that a browser opens, and its plots."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import FieldError, InputError, OutputExistsError

from .reporting import SILENT, Reporter

if TYPE_CHECKING:
    from ct_guard.evaluation import Scored
    from ct_guard.evaluation.scored import Need
    from ct_guard.page import Source
    from ct_guard.store import Manifest

__all__ = ["ReportConfig", "ReportResult", "report"]

DRAWN = 2_000_000
"""Rows that are drawn for the intervals of a figure, where nobody says how many."""
TITLE = "How far can these answers be trusted?"


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the page shows, of which rows."""

    estimator: Sequence[str | Path] = ()
    """Take P(correct) from the logits by the calibrators of these, one for each file in order, and
    show their certificates and evidence; empty: the column `confidence` is shown."""
    by: Sequence[str] = ()
    """Columns whose values are measured apart, beside `model` where rows name it."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column values that a row must have."""
    error_cost: float = 10.0
    """Of a wrong answer that is given, in any unit; a reader of the page may change it."""
    escalation_cost: float = 1.0
    """Of an answer that is not given, in the same unit."""
    rows: int = 100
    """Answers of each kind that are shown in clear."""
    title: str | None = None
    """Of the page; None: one that asks what the page answers."""
    plots: str | Path | None = None
    """A folder for each diagram as PNG and SVG."""
    overwrite: bool = False
    resamples: int | None = None
    """Of the bootstrap, by question; None: 1,000, fewer where there are more than 2,000 rows, down
    to 100."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("error_cost", "escalation_cost"):
            cost = getattr(self, name)
            if not math.isfinite(cost) or cost < 0:
                raise FieldError(f"`{name}` must be a number from 0 on, not {cost}")
        if self.error_cost == 0 and self.escalation_cost == 0:
            raise FieldError("`error_cost` and `escalation_cost` are both 0: nothing to weigh")
        if self.rows < 0:
            raise FieldError(f"`rows` must be 0 or more, not {self.rows}")
        if self.resamples is not None and self.resamples < 20:
            raise FieldError(f"`resamples` must be at least 20, not {self.resamples}")


@dataclass(frozen=True)
class ReportResult:
    """What was written, and what to know of it."""

    page: Path
    size: int
    """Of the page, in bytes."""
    rows: int
    """Graded rows that every figure is of."""
    plots: tuple[Path, ...]
    remarks: tuple[str, ...]


def report(
    sources: Sequence[str | Path] | str | Path,
    output: str | Path,
    config: ReportConfig | None = None,
    *,
    report: Reporter = SILENT,
) -> ReportResult:
    """Write a page about what `score` wrote: reliability, risk and coverage, what each threshold
    answers and costs, slices, and the answers that the estimator is furthest off about. One file of
    HTML that asks for nothing from anywhere. No model is needed.

    Args:
        sources: scored files with grades in `correct`. Several hold the same rows, scored by
            different estimators, and stand side by side.
        output: the page, .html.
        config: what it shows.
        report: hears of the work.

    Raises:
        FieldError: a field that does not fit the others or the files.
        InputError: files that cannot be read, are not graded, or have no row in common.
        OutputExistsError: `output` or a plot is there; ManifestError: an estimator is not whole.
        MissingExtraError: the extra 'report' is not installed.
    """
    from ct_guard.files.replacing import replacing
    from ct_guard.page import Costs, content_of, draw_plots
    from ct_guard.page.document import html_of, require_charts
    from ct_guard.page.plots import check_plots

    config = config or ReportConfig()
    paths = [sources] if isinstance(sources, (str, Path)) else list(sources)
    target = Path(output)
    _check_output(target, paths, overwrite=config.overwrite)
    if config.estimator and len(config.estimator) != len(paths):
        raise FieldError(
            f"`estimator` is given {len(config.estimator)} times for {len(paths)} files: name one"
            " for each, in the order of the files, or none"
        )
    require_charts()
    if config.plots is not None:
        check_plots(Path(config.plots), overwrite=config.overwrite)
    with report.working("Reading", total=len(paths), unit="rows", shown=False):
        found, said = _read(paths, config)
    first = found[0].rows
    columns = list(dict.fromkeys(config.by))
    if "model" not in columns and any(row.model is not None for row in first.graded):
        columns.append("model")
    report.tell(f"Counting {len(first):,} rows" + f" by {len(found)} estimators" * (len(found) > 1))
    content = content_of(
        found,
        title=config.title or TITLE,
        made=f"{datetime.now(UTC):%Y-%m-%d}",
        costs=Costs(config.error_cost, config.escalation_cost),
        columns=columns,
        rows=config.rows,
        resamples=config.resamples or min(1000, max(100, DRAWN // len(first))),
        seed=config.seed,
        said=said,
    )
    page = html_of(content)
    with replacing(target) as building:
        building.write_bytes(page)
    plots = [] if config.plots is None else draw_plots(content, Path(config.plots))
    remarks = [
        f"{one['name']}: {line}" if len(found) > 1 else line
        for one in content["estimators"]
        for line in one["remarks"]
    ]
    return ReportResult(
        target, len(page), len(first), tuple(plots), (*remarks, *content["remarks"])
    )


def _check_output(target: Path, sources: Sequence[str | Path], *, overwrite: bool) -> None:
    if target.suffix.lower() not in (".html", ".htm"):
        raise FieldError(f"`output`: {target} must end in .html, which it will be")
    if target.is_dir():
        raise InputError(f"{target}: is a folder; name a file in it")
    if not target.resolve().parent.is_dir():
        raise InputError(f"{target}: its folder does not exist; create it first")
    if target.exists() and any(Path(one).exists() and target.samefile(one) for one in sources):
        raise InputError(f"{target}: is the input itself; name another output")
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target}: exists; name another output, or use `overwrite`")


def _read(paths: Sequence[str | Path], config: ReportConfig) -> "tuple[list[Source], list[str]]":
    """Every file with its probabilities, on the rows that all have; remarks on the others."""
    from ct_guard.evaluation import read_scored
    from ct_guard.evaluation.compare import align
    from ct_guard.evaluation.evaluation import names_of
    from ct_guard.page import Source

    keep = [column for column in dict.fromkeys(config.by) if column != "model"]
    need: Need = "logit" if config.estimator else "confidence"
    files: list[Scored] = []
    manifests: list[Manifest | None] = []
    remarks: list[list[str]] = []
    for at, path in enumerate(paths):
        rows = read_scored(path, need=need, keep=keep, where=config.where)
        manifest, seen = None, list[str]()
        if config.estimator:
            manifest, rows, seen = _of_estimator(rows, config.estimator[at])
        files.append(rows)
        manifests.append(manifest)
        remarks.append(seen)
    alike = align(files) if len(files) > 1 else files
    said = [
        f"{len(whole) - len(alike[0]):,} graded rows of {whole.path} are not in every file: left"
        " out."
        for whole in files
        if len(whole) > len(alike[0])
    ]
    found = [
        Source(name, rows, manifest, tuple(seen), _digest(path))
        for name, rows, manifest, seen, path in zip(
            names_of(alike), alike, manifests, remarks, paths, strict=True
        )
    ]
    return found, said


def _of_estimator(rows: "Scored", estimator: str | Path) -> "tuple[Manifest, Scored, list[str]]":
    """The estimator's manifest, the rows with its probabilities, and remarks on questions that it
    has seen."""
    from ct_guard.estimators.weighing import weighing_of
    from ct_guard.evaluation.disjoint import check_scored_by, seen_before
    from ct_guard.evaluation.probabilities import with_confidences_of
    from ct_guard.store import load_manifest, locate

    folder = locate(estimator)
    manifest = load_manifest(folder)
    check_scored_by(rows, manifest)
    known = with_confidences_of(manifest, rows, weighing_of(manifest, folder))
    return manifest, known, seen_before(known, folder, manifest)


def _digest(path: str | Path) -> str | None:
    """SHA-256 of a file; None for standard input, which was read."""
    from ct_guard.files.cache import file_digest

    if not Path(path).is_file():
        return None
    return file_digest(Path(path))
