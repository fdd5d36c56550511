"""Answer questions that have gold answers, and grade the answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import FieldError
from ct_guard.files.paths import STDIO

from .grade_settings import GradeConfig, answering_of, grader_of
from .question_file import question_file
from .reporting import SILENT, Reporter
from .settings import check_spreadsheet, refuse_idle

if TYPE_CHECKING:
    from .runs import GradeSummary

__all__ = ["GradeConfig", "GradeResult", "grade"]


@dataclass(frozen=True)
class GradeResult:
    """What the run did."""

    summary: "GradeSummary"
    remarks: tuple[str, ...]
    """What to know before the rows are used."""
    to_check: str | None = None
    """The file of rows that were drawn for a person, if any."""
    drawn: int = 0
    """How many they are."""


def grade(
    source: str | Path | None,
    output: str | Path,
    config: GradeConfig | None = None,
    *,
    report: Reporter = SILENT,
) -> GradeResult:
    """Write to `output` a row for every answer to the questions of `source`, with its grade. Beside
    it stands `OUTPUT.manifest.json`: source, settings, counts.

    Args:
        source: .jsonl, .csv or .parquet with `question` and `gold`, and without a model `answer`;
            None where `dataset` names a question set.
        output: .jsonl, .csv or .parquet; `-` is JSONL on standard output.
        config: who answers and how answers are graded; by default, those in the file against
            `gold`, as normalised text.
        report: hears of the questions.

    Raises:
        FieldError: a field that nothing would read, or that does not fit the others.
        InputError: files that cannot be read or written; OutputExistsError: `output` is there.
        UsageError: a journal of another run. BackendError: no further answer can be had.
    """
    from ct_guard.files import check_output
    from ct_guard.files.locking import check_free

    from .runs.journal import journal_path

    config = config or GradeConfig()
    refuse_idle(config)
    check_spreadsheet(config.spreadsheet, output)
    check_output(output, source=source or "", overwrite=config.overwrite or config.resume)
    if str(output) != STDIO:
        check_free(output)  # before its questions are touched
    begun = str(output) != STDIO and journal_path(output).exists()
    replace = not begun or (config.overwrite and not config.resume)
    with question_file(source, output, config, replace=replace, report=report) as (path, name):
        return _grade(path, name, str(output), config, report)


def _grade(
    source: str, source_name: str | None, output: str, config: GradeConfig, report: Reporter
) -> GradeResult:
    from ct_guard.datasets import draw, load_data_manifest
    from ct_guard.files import columns_of, count_rows

    from .runs import grade_file

    to_check = _check(source, output, config)
    columns_of(source)
    grader, answering = grader_of(config), answering_of(config)
    with report.working("Grading", count_rows(source)) as work:
        summary = grade_file(
            source,
            output,
            answering,
            grader,
            gold=config.gold,
            source_name=source_name,
            overwrite=config.overwrite,
            resume=config.resume,
            spreadsheet=config.spreadsheet,
            on_rows=work.advance,
            on_resumed=work.skip,
        )
    drawn = 0
    if config.audit is not None and to_check is not None:
        gold = load_data_manifest(output).gold
        drawn = draw(
            output, to_check, config.audit, gold=gold, seed=config.seed, overwrite=config.overwrite
        )
    return GradeResult(summary, tuple(summary.remarks()), to_check, drawn)


def _check(source: str, output: str, config: GradeConfig) -> str | None:
    """What can be wrong before anything is loaded; where the rows to check go, if there are any."""
    from ct_guard.files import check_output

    from .runs.run import check_run

    if config.audit is None and config.audit_out is not None:
        raise FieldError("`audit_out` goes with `audit` N, which says how many rows to draw")
    if config.audit is not None and output == STDIO:
        raise FieldError("an audit draws from a file: name one with `output`")
    check_run(source, output, overwrite=config.overwrite, resume=config.resume)
    if config.audit is None:
        return None
    to_check = str(config.audit_out or f"{output}.audit.csv")
    check_output(to_check, source=source, overwrite=config.overwrite)
    return to_check
