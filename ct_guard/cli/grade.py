"""`ct-guard grade`: answer questions that have gold answers, and grade the answers."""

from typing import TYPE_CHECKING, Any

import click

from .options import (
    backend_option,
    config_of,
    device_options,
    field_paths,
    given_options,
    overwrite_option,
    quantization_option,
    remark,
    resumable,
    resume_option,
    spreadsheet_option,
)
from .progress import Terminal
from .question_sets import set_options
from .shown import one_line, say

if TYPE_CHECKING:
    from ct_guard.workflows import GradeResult
    from ct_guard.workflows.runs import GradeSummary

__all__ = ["command"]

FAILED_ROWS = 3
GRADERS = ("exact", "normalised", "substring", "multiple_choice", "numeric", "fields", "judge")


@click.command(
    "grade",
    epilog="Exit codes: 0 ok; 2 usage or unreadable input; 3 finished, but some rows have no"
    " answer; 130 Ctrl-C; 143 SIGTERM.",
)
@click.argument("source", metavar="[FILE]", required=False)
@set_options
@click.option(
    "-o", "--output", default="-", show_default=True,
    help="Where to write: .jsonl, .csv or .parquet; '-' is JSONL on standard output.",
)  # fmt: skip
@click.option(
    "-m", "--model", default=None,
    help="Who answers: 'mini' (embedded), a model directory, a GGUF file, a hub id,"
    " hub:owner/name/FILE.gguf, a LangChain 'provider:model', or with --url a model's name there."
    " Default: the answers in FILE.",
)  # fmt: skip
@click.option("--url", default=None, help="Base URL of an OpenAI-compatible server, ending in /v1.")
@click.option(
    "--key-env", default=None, metavar="NAME",
    help="Environment variable that holds the key for --url.",
)  # fmt: skip
@click.option(
    "-g", "--grader", type=click.Choice(GRADERS), default=None,
    help="Default: normalised; multiple_choice and numeric (GSM8K) where the set is of that kind.",
)  # fmt: skip
@click.option(
    "--gold", default="gold", show_default=True, metavar="COLUMN",
    help="Column of the gold answers: a text, or a list of which each is right.",
)  # fmt: skip
@click.option(
    "--fields", is_flag=False, flag_value="", default=None, metavar="[PATH,…]",
    callback=field_paths,
    help="Answers and gold are JSON: grade each field (all, or those named), into the column"
    " fields_correct. The same as -g fields.",
)  # fmt: skip
@click.option(
    "--tolerance", type=float, default=0.0, show_default=True,
    help="For 'numeric' and 'fields': how far off a number may be, as a share of the gold.",
)  # fmt: skip
@click.option("--judge", default=None, help="For 'judge': which model judges; named as --model.")
@click.option("--judge-url", default=None, help="As --url, for the judge.")
@click.option("--judge-key-env", default=None, metavar="NAME", help="As --key-env, for the judge.")
@click.option(
    "-k", "--samples", type=click.IntRange(0), default=0, show_default=True,
    help="Sampled answers to each question, beside the greedy one.",
)  # fmt: skip
@click.option(
    "--temperature", type=float, default=1.0, show_default=True, help="Of sampled answers."
)
@click.option(
    "--max-tokens", type=click.IntRange(1), default=64, show_default=True,
    help="Most new tokens of an answer.",
)  # fmt: skip
@click.option(
    "--first-line/--whole-answer", default=None,
    help="Keep an answer's first line only. Default: where the style is 'raw'.",
)  # fmt: skip
@click.option(
    "--prompt", default=None, metavar="FILE",
    help="Stands before every question: examples with question and answer (.jsonl, .csv,"
    " .parquet), or an instruction (.txt).",
)  # fmt: skip
@click.option(
    "--style", type=click.Choice(["auto", "raw", "chat_turn", "chat_user"]), default="auto",
    show_default=True, help="How a local model is asked; auto: as a chat where it is a chat model.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of samples and the audit.")
@backend_option("Runs local models.")
@device_options
@quantization_option("Load local models in 8 or 4 bits (extra 'quant'). Default: none.")
@click.option(
    "--batch-size", type=click.IntRange(1, 64), default=16, show_default=True,
    help="Answers that a local model writes at once.",
)  # fmt: skip
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=8, show_default=True,
    help="Requests to a remote model at once.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
    help="Seconds that a remote model has for an answer.",
)  # fmt: skip
@click.option(
    "--retries", type=click.IntRange(0, 20), default=4, show_default=True,
    help="Further attempts after a rate limit, a server error or a time-out.",
)  # fmt: skip
@click.option(
    "--audit", type=click.IntRange(2), default=None, metavar="N",
    help="Draw N graded rows for a person to check; then see ct-guard audit.",
)  # fmt: skip
@click.option(
    "--audit-out", default=None, metavar="FILE",
    help="Where to write them: .csv, .jsonl or .parquet. Default: OUTPUT.audit.csv.",
)  # fmt: skip
@overwrite_option(
    "Replace existing outputs, and begin an interrupted run anew (but with --resume)."
)
@resume_option
@spreadsheet_option
@click.option("-q", "--quiet", is_flag=True, help="No summary and no progress.")
@click.pass_context
def command(
    context: click.Context, /, source: str | None, output: str, quiet: bool, **options: Any
) -> None:
    """Grade answers to the questions in FILE (.jsonl, .csv, .parquet, or '-' for JSONL on standard
    input), or of a question set (--dataset). With --model the questions are answered first.

    \b
    Columns read:  question, gold (what is right; several in a list); optional: choices (a list;
                   they are asked with the question), context, messages, id; without --model also
                   answer (or a list of them in answers), model.
    Columns added: answer, model, sample (0 is greedy), correct (true, false, or empty where the
                   verdict is unclear), grade_reason, grader; with --fields also fields_correct.
                   Every input column is kept.
    Graders:       exact; normalised (case, articles, punctuation, numbers); substring (gold within
                   the answer); multiple_choice; numeric; fields (JSON, field by field); judge (a
                   model compares with the gold).
    Beside OUTPUT: OUTPUT.manifest.json: source, settings, counts, and the audit of the grader;
                   OUTPUT.questions.jsonl: the questions of a --dataset.

    \b
    Examples:
      ct-guard grade questions.jsonl --model mini -k 4 -g substring -o graded.jsonl
      ct-guard grade answered.csv -g numeric --tolerance 0.01 --audit 100 -o graded.csv
      ct-guard grade records.jsonl --fields -o graded.jsonl
      ct-guard grade questions.jsonl -m openai:gpt-4.1-mini -g judge --judge openai:gpt-4.1 -o g.csv
      ct-guard grade questions.jsonl -m llama --url http://localhost:8000/v1 -o graded.parquet
      ct-guard grade --dataset sciq:train --limit 1000 -m mini -o sciq.jsonl
      ct-guard grade --dataset mmlu:anatomy:test --rendering choice -m mini -o anatomy.jsonl

    \b
    Question sets: anli_r1 anli_r2 anli_r3 arc arc_challenge boolq cb commonsense_qa copa cosmos_qa
                   hellaswag math_qa multirc obqa piqa sciq siqa snli story_cloze trec truthful_qa
                   winogrande wsc gsm8k mmlu mmlu_pro (NAME:SPLIT, mmlu:SUBJECT:SPLIT), and
                   mixture:paper, the paper's training mixture
    """
    from ct_guard.workflows import GradeConfig, grade
    from ct_guard.workflows.settings import refuse_idle

    config = config_of(GradeConfig, options)
    refuse_idle(config, given_options(context))
    with resumable(lambda: "-" not in (source, output)):
        made = grade(source, output, config, report=Terminal(quiet=quiet))
    if not quiet:
        _show(made, output)
    for line in made.remarks:
        remark(line, "Note: ")
    if not made.summary.questions:
        say(f"No rows in {source or 'the dataset'}: nothing was graded.")
    if failed := made.summary.failed:
        first = one_line(str(made.summary.first_failure))
        say(f"{failed} rows have no answer to grade; the first: {first}")
        raise click.exceptions.Exit(FAILED_ROWS)


def _show(made: "GradeResult", output: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=output == "-", highlight=False, soft_wrap=True)
    for name, value in _lines(made.summary):
        console.print(Text(f"{name:<12}", style="bold"), Text(value), sep="")
    if output != "-":
        say(f"\nWritten to {output}", out=True)
    if made.to_check is not None:
        say(
            f"{made.drawn} rows to check are in {made.to_check}: fill in 'correct', then\n"
            f"  ct-guard audit {output} {made.to_check}",
            out=True,
        )


def _lines(summary: "GradeSummary") -> list[tuple[str, str]]:
    counts = summary.counts
    resumed = f", {summary.replayed:,} of them resumed" if summary.replayed else ""
    lines = [
        ("questions", f"{counts.questions:,}{resumed}"),
        ("answers", f"{counts.rows - counts.failed:,}"),
        ("right", f"{counts.right:,}"),
        ("wrong", f"{counts.wrong:,}"),
        ("unclear", f"{counts.unclear:,}"),
    ]
    if counts.failed:
        lines.append(("no answer", f"{counts.failed:,}"))
    if counts.accuracy is not None:
        greedy = summary.greedy_right + summary.greedy_wrong
        of_greedy = (
            f", greedy {summary.greedy_right / greedy:.3f}"
            if 0 < greedy < counts.right + counts.wrong
            else ""
        )
        lines.append(("accuracy", f"{counts.accuracy:.3f}{of_greedy}"))
    return lines
