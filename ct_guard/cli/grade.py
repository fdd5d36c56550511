"""`ct-guard grade`: answer questions that have gold answers, and grade the answers."""

from typing import TYPE_CHECKING, Any

import click

from .grading import answering_of, grader_of, idle_options
from .idle import refuse_idle
from .models import Engine
from .options import check_spreadsheet, spreadsheet_option
from .question_sets import OPTIONS, default_grader, question_file, set_options
from .shown import one_line, say, shown

if TYPE_CHECKING:
    from rich.console import Console

    from ct_guard.answers import GradeSummary

__all__ = ["command"]

FAILED_ROWS = 3
GRADERS = ("exact", "normalised", "substring", "multiple_choice", "numeric", "judge")


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
    "--tolerance", type=float, default=0.0, show_default=True,
    help="For 'numeric': how far off an answer may be, as a share of the gold.",
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
@click.option("--backend", default="transformers", show_default=True, help="Runs local models.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--dtype", default="auto", show_default=True, help="auto, float32, bfloat16, float16."
)
@click.option(
    "--quantization", type=click.Choice(["none", "8bit", "4bit"]),
    help="Load local models in 8 or 4 bits (extra 'quant'). Default: none.",
)  # fmt: skip
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
@click.option(
    "--overwrite", is_flag=True,
    help="Replace existing outputs, and begin an interrupted run anew (but with --resume).",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on where an interrupted run to OUTPUT stopped.")
@spreadsheet_option
@click.option("-q", "--quiet", is_flag=True, help="No summary and no progress.")
@click.pass_context
def command(
    context: click.Context,
    /,
    source: str | None,
    dataset: str | None,
    output: str,
    grader: str | None,
    overwrite: bool,
    resume: bool,
    **options: Any,
) -> None:
    """Grade answers to the questions in FILE (.jsonl, .csv, .parquet, or '-' for JSONL on standard
    input), or of a question set (--dataset). With --model the questions are answered first.

    \b
    Columns read:  question, gold (what is right; several in a list); optional: choices (a list;
                   they are asked with the question), context, messages, id; without --model also
                   answer (or a list of them in answers), model.
    Columns added: answer, model, sample (0 is greedy), correct (true, false, or empty where the
                   verdict is unclear), grade_reason, grader. Every input column is kept.
    Graders:       exact; normalised (case, articles, punctuation, numbers); substring (gold within
                   the answer); multiple_choice; numeric; judge (a model compares with the gold).
    Beside OUTPUT: OUTPUT.manifest.json: source, settings, counts, and the audit of the grader;
                   OUTPUT.questions.jsonl: the questions of a --dataset.

    \b
    Examples:
      ct-guard grade questions.jsonl --model mini -k 4 -g substring -o graded.jsonl
      ct-guard grade answered.csv -g numeric --tolerance 0.01 --audit 100 -o graded.csv
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
    from ct_guard.answers.journal import journal_path
    from ct_guard.files import check_output
    from ct_guard.files.locking import check_free
    from ct_guard.files.paths import STDIO

    sets = {name: options.pop(name) for name in OPTIONS}
    grader = grader or default_grader(dataset, sets)
    refuse_idle(context, idle_options(grader, {"dataset": dataset, **sets, **options}))
    check_spreadsheet(options["spreadsheet"], output)
    check_output(output, source=source or "", overwrite=overwrite or resume)
    if output != STDIO:
        check_free(output)  # before its questions are touched
    begun = output != STDIO and journal_path(output).exists()
    replace = not begun or (overwrite and not resume)
    with question_file(source, dataset, output, sets, replace=replace) as (questions, name):
        options |= {"grader": grader, "overwrite": overwrite, "resume": resume}
        _grade(questions, name, output, **options)


def _grade(
    source: str,
    source_name: str | None,
    output: str,
    *,
    model: str | None,
    url: str | None,
    key_env: str | None,
    grader: str,
    gold: str,
    tolerance: float,
    judge: str | None,
    judge_url: str | None,
    judge_key_env: str | None,
    audit: int | None,
    audit_out: str | None,
    overwrite: bool,
    resume: bool,
    spreadsheet: bool,
    quiet: bool,
    **options: Any,
) -> None:
    from rich.console import Console

    from ct_guard.answers import grade_file
    from ct_guard.answers.run import check_run
    from ct_guard.datasets import draw, load_data_manifest
    from ct_guard.errors import UsageError
    from ct_guard.files import check_output, columns_of, count_rows
    from ct_guard.files.paths import STDIO

    from .progress import rows_progress

    if audit is None and audit_out is not None:
        raise UsageError("--audit-out goes with --audit N, which says how many rows to draw")
    if audit is not None and output == STDIO:
        raise UsageError("an audit draws from a file: name one with --output")
    to_check = audit_out or f"{output}.audit.csv"
    check_run(source, output, overwrite=overwrite, resume=resume)
    if audit is not None:
        check_output(to_check, source=source, overwrite=overwrite)
    columns_of(source)
    names = (
        "backend",
        "device",
        "dtype",
        "style",
        "batch_size",
        "timeout",
        "retries",
        "concurrency",
    )
    bits = options["quantization"]
    engine = Engine(
        **{name: options[name] for name in names}, quantization=None if bits == "none" else bits
    )
    grading = grader_of(grader, tolerance, judge, judge_url, judge_key_env, engine)
    answering = answering_of(model, url, key_env, engine, options)
    try:
        with rows_progress("Grading", count_rows(source), quiet=quiet) as work:
            summary = grade_file(
                source,
                output,
                answering,
                grading,
                gold=gold,
                source_name=source_name,
                overwrite=overwrite,
                resume=resume,
                spreadsheet=spreadsheet,
                on_rows=work.advance,
                on_resumed=work.skip,
            )
    except KeyboardInterrupt:
        if STDIO not in (source, output):
            say("Stopped. The same command with --resume goes on from here.")
        raise
    drawn = None
    if audit is not None:
        gold_column = load_data_manifest(output).gold
        drawn = draw(
            output,
            to_check,
            audit,
            gold=gold_column,
            seed=options["seed"],
            overwrite=overwrite,
        )
    console = Console(stderr=output == STDIO, highlight=False, soft_wrap=True)
    if not quiet:
        _show(console, summary)
        if output != STDIO:
            say(f"\nWritten to {output}", out=True)
        if drawn is not None:
            say(
                f"{drawn} rows to check are in {to_check}: fill in 'correct', then\n"
                f"  ct-guard audit {output} {to_check}",
                out=True,
            )
    for remark in summary.remarks():
        say(f"Note: {shown(remark)}")
    if summary.failed:
        first = one_line(str(summary.first_failure))
        say(f"{summary.failed} rows have no answer to grade; the first: {first}")
        raise click.exceptions.Exit(FAILED_ROWS)


def _show(console: "Console", summary: "GradeSummary") -> None:
    from rich.text import Text

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
    for name, value in lines:
        console.print(Text(f"{name:<12}", style="bold"), Text(value), sep="")
