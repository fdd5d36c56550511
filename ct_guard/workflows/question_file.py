"""The questions that `grade` grades answers to: a file, or a question set written to one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ct_guard.errors import FieldError
from ct_guard.files.paths import STDIO

from .grade_settings import GradeConfig
from .reporting import SILENT, Reporter

__all__ = ["question_file"]

OF_A_SET = (
    "limit", "rendering", "shots", "dataset_dir", "question_field", "answer_field", "choices_field",
)  # fmt: skip
"""Fields that go with `dataset` alone; `dataset_seed` is refused as idle."""


@contextmanager
def question_file(
    source: str | Path | None,
    output: str | Path,
    config: GradeConfig,
    *,
    replace: bool = True,
    report: Reporter = SILENT,
) -> Iterator[tuple[str, str | None]]:
    """The file to grade, and what to call it: `source` itself, or the questions of the set, written
    beside the output (where they can be looked at, and a run can be resumed over them). Without
    `replace`, other questions that are there already are an error.

    Raises FieldError for fields of a set beside a file, or that do not fit each other.
    """
    from ct_guard.datasets.sets import write_questions

    if (source is None) == (config.dataset is None):
        raise FieldError("give a file, or name a question set with `dataset`: one of them")
    if source is not None:
        if any(getattr(config, name) is not None for name in OF_A_SET):
            raise FieldError(
                "`limit`, `rendering`, `shots` and the field options belong to `dataset`, not to a"
                " file; a file of questions goes there, too: with `dataset` FILE `question_field`"
                " FIELD `answer_field` FIELD"
            )
        yield str(source), None
        return
    rows = _rows(str(config.dataset), config, report)
    with TemporaryDirectory() as elsewhere:
        piped = str(output) == STDIO
        folder = Path(elsewhere) if piped else Path(output).parent
        path = folder / ("questions.jsonl" if piped else f"{Path(output).name}.questions.jsonl")
        write_questions(rows, path, replace=replace)
        yield str(path), config.dataset


def _rows(dataset: str, config: GradeConfig, report: Reporter) -> Iterator[dict[str, Any]]:
    from ct_guard.datasets.sets import question_rows, rows_by_fields

    question, answer = config.question_field, config.answer_field
    if (question is None) != (answer is None) or (config.choices_field and question is None):
        raise FieldError("`question_field` and `answer_field` go together")
    if question is None or answer is None:
        return question_rows(
            dataset,
            config.rendering or "open",
            limit=config.limit,
            shots=config.shots,
            seed=config.dataset_seed,
            folder=config.dataset_dir,
            on_part=lambda name: report.tell(f"Loading {name}"),
        )
    for name in ("dataset_dir", "shots"):
        if getattr(config, name) is not None:
            raise FieldError(
                f"`{name}` is for the sets by name, not for `question_field`: leave it out"
            )
    if config.rendering == "choice" and not config.choices_field:
        raise FieldError("`rendering` choice needs the field of the choices: `choices_field`")
    return rows_by_fields(
        dataset,
        question=question,
        answer=answer,
        choices=config.choices_field,
        limit=config.limit,
    )
