"""The options of `ct-guard grade` that name a question set, and what they do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

__all__ = ["OPTIONS", "default_grader", "question_file", "set_options"]

OPTIONS = (
    "limit", "rendering", "shots", "dataset_seed", "dataset_dir",
    "question_field", "answer_field", "choices_field",
)  # fmt: skip

_DECLARED = (
    click.option(
        "--dataset", default=None, metavar="NAME",
        help="Instead of FILE, a question set: 'sciq:train', 'mmlu:anatomy:test', 'mixture:paper',"
        " …; with --question-field any other one: owner/name:split of the hub, or a file.",
    ),
    click.option("--limit", type=click.IntRange(1), default=None, help="Most questions."),
    click.option(
        "--rendering", type=click.Choice(["open", "choice"]), default=None,
        help="Open-ended, or multiple choice answered by a letter. Default: open; with"
        " --choices-field choice.",
    ),
    click.option(
        "--shots", type=click.IntRange(0), default=None,
        help="Examples before each question. Default: as in the paper (MMLU 5, GSM8K 8, else 0).",
    ),
    click.option(
        "--dataset-seed", type=int, default=137, show_default=True,
        help="Draws the examples, and the order of SciQ's choices.",
    ),
    click.option(
        "--dataset-dir", type=click.Path(path_type=Path, file_okay=False), default=None,
        help="Folder of local copies, one folder a set (sciq/, mmlu/anatomy/): as 'datasets' saves"
        " them, or Parquet, JSON, CSV files named by split. Default: $CT_GUARD_DATASETS.",
    ),
    click.option("--question-field", default=None, metavar="FIELD", help="Field of the question."),
    click.option("--answer-field", default=None, metavar="FIELD", help="Field of the answer."),
    click.option(
        "--choices-field", default=None, metavar="FIELD",
        help="Field of the list of choices; a dot leads inside (choices.text).",
    ),
)  # fmt: skip


def set_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command."""
    for option in reversed(_DECLARED):
        command = option(command)
    return command


@contextmanager
def question_file(
    source: str | None,
    dataset: str | None,
    output: str,
    options: dict[str, Any],
    *,
    replace: bool = True,
) -> Iterator[tuple[str, str | None]]:
    """The file to grade, and what to call it: FILE itself, or the questions of the set, written
    beside the output (where they can be looked at, and a run can be resumed over them). Without
    `replace`, other questions that are there already are an error."""
    from ct_guard.datasets.sets import question_rows, rows_by_fields, write_questions
    from ct_guard.errors import UsageError
    from ct_guard.files.paths import STDIO

    if (source is None) == (dataset is None):
        raise UsageError("give a FILE, or name a question set with --dataset: one of them")
    question, answer = options["question_field"], options["answer_field"]
    if source is not None or dataset is None:
        if any(options[name] is not None for name in OPTIONS if name != "dataset_seed"):
            raise UsageError(
                "--limit, --rendering, --shots and the field options belong to --dataset, not to"
                " FILE; a file of questions goes there, too: --dataset FILE --question-field FIELD"
                " --answer-field FIELD"
            )
        yield str(source), None
        return
    if (question is None) != (answer is None) or (options["choices_field"] and question is None):
        raise UsageError("--question-field and --answer-field go together")
    if question is not None:
        for name in ("dataset_dir", "shots"):
            if options[name] is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} is for the sets by name, not for"
                    " --question-field: leave it out"
                )
        if options["rendering"] == "choice" and not options["choices_field"]:
            raise UsageError("--rendering choice needs the field of the choices: --choices-field")
        rows = rows_by_fields(
            dataset,
            question=question,
            answer=answer,
            choices=options["choices_field"],
            limit=options["limit"],
        )
    else:
        rows = question_rows(
            dataset,
            options["rendering"] or "open",
            limit=options["limit"],
            shots=options["shots"],
            seed=options["dataset_seed"],
            folder=options["dataset_dir"],
            on_part=lambda name: click.echo(f"Loading {name}", err=True),
        )
    with TemporaryDirectory() as elsewhere:
        folder = Path(elsewhere) if output == STDIO else Path(output).parent
        path = folder / (
            "questions.jsonl" if output == STDIO else f"{Path(output).name}.questions.jsonl"
        )
        write_questions(rows, path, replace=replace)
        yield str(path), dataset


def default_grader(dataset: str | None, options: dict[str, Any]) -> str:
    """The grader that fits the set: the letter, the number, or the normalised text."""
    if dataset is not None and (options["rendering"] == "choice" or options["choices_field"]):
        return "multiple_choice"
    if dataset is not None and dataset.partition(":")[0] == "gsm8k":
        return "numeric"
    return "normalised"
