"""`ct-guard score`: score files of answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    backend_option,
    config_of,
    device_options,
    field_paths,
    overwrite_option,
    quantization_option,
    resumable,
    resume_option,
    server_options,
    shape_options,
    spreadsheet_option,
)
from .progress import Terminal
from .shown import one_line, say, shown

if TYPE_CHECKING:
    from rich.console import Console

    from ct_guard.workflows import ScoreResult
    from ct_guard.workflows.runs.summary import Quality, Summary

__all__ = ["command"]

ROWS_SHOWN = 25
FAILED_ROWS = 3
ACTIONS = {
    "pass": "answered",
    "abstain": "abstained",
    "escalate": "escalated",
    "retry": "to retry",
    "human": "for review",
}


def _batch_size(context: click.Context, option: click.Parameter, text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(
            f"{text!r} is neither 'auto' nor a positive number", param_hint="--batch-size"
        )
    return int(text)


@click.command(
    "score",
    epilog="Exit codes: 0 ok; 2 usage or unreadable input; 3 finished, but some rows are invalid"
    " or failed; 130 Ctrl-C; 143 SIGTERM.",
)
@click.argument("sources", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "-e", "--estimator", default="mini", show_default=True,
    help="An estimator directory; 'mini' (embedded: a toy world), 'mini:query', 'mini:sampling', …;"
    " 'smol' (a small real base, tuned on real answers); an id of the hub's (owner/name or"
    " owner/name@revision); or with --base a baseline: zero-shot, likelihood, perplexity,"
    " verbalized, sampling.",
)  # fmt: skip
@click.option(
    "-o", "--output", default="-", show_default=True,
    help="Where to write: .jsonl, .csv or .parquet, all inputs one after the other; a folder (it"
    " exists, or ends in '/'), a file for each; '-' is JSONL on standard output.",
)  # fmt: skip
@click.option(
    "-p", "--policy", default=None,
    help="0.7 (a threshold), 'certified' (the estimator's), 'annotate', or a JSON file."
    " Default: certified where the estimator has one, else annotate.",
)  # fmt: skip
@click.option(
    "--fields", is_flag=False, flag_value="", default=None, metavar="[PATH,…]",
    callback=field_paths,
    help="Of answers in JSON, judge each field, too: every leaf, or those named ('invoice.total,"
    "items[].price'). What becomes of each is for a policy of the kind 'fields'.",
)  # fmt: skip
@click.option(
    "--on-error", type=click.Choice(["pass", "block"]), default="block", show_default=True,
    help="Action for rows that could not be scored: 'block' abstains.",
)  # fmt: skip
@backend_option("What runs the model: transformers, or llama_cpp (GGUF files).")
@server_options
@click.option("--base", default=None, help="Where the base model is, if not where it was.")
@device_options
@click.option(
    "--batch-size", default="auto", show_default=True, callback=_batch_size,
    help="Rows in a forward; auto halves when memory runs out.",
)  # fmt: skip
@quantization_option(
    "Load the base in 8 or 4 bits (extra 'quant'). Default: as the estimator was tuned."
)
@click.option("--threads", type=click.IntRange(1), default=None, help="CPU threads.")
@click.option(
    "--readings", is_flag=True,
    help="Also write what the base model reads by name (read_query, read_likelihood, …), for"
    " 'ct-guard calibrate --evidence'.",
)  # fmt: skip
@click.option("--refusals/--no-refusals", default=True, help="Recognise answers that decline.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many rows of all files.")
@click.option(
    "--sample", type=click.IntRange(1),
    help="Only so many rows at random (of those within --limit), in their order.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of --sample.")
@click.option(
    "--only-failed", is_flag=True,
    help="FILE is an earlier output: score its rows without a confidence, and keep the scores of"
    " the others.",
)  # fmt: skip
@click.option(
    "--summary", metavar="JSON", default=None,
    help="Also write what the run did: counts, figures, files, rows a second.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="Where rows are scored: here, or by workers on the Ray cluster that RAY_ADDRESS names,"
    " else on one of this machine alone (extra 'ray').",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(1),
    help="Of Ray. Default: one a share of a GPU, else one a CPU.",
)  # fmt: skip
@click.option(
    "--gpus-per-worker", type=click.FloatRange(0),
    help="Of Ray: 0.5 lets two workers share a GPU. Default: 1 where the cluster has any.",
)  # fmt: skip
@overwrite_option(
    "Replace an existing output, and begin an interrupted run anew (but with --resume)."
)
@resume_option
@click.option(
    "--compare-with", metavar="SCORED", default=None,
    help="Say how far the scores of the same rows moved since this file, which another backend or"
    " number format scored.",
)  # fmt: skip
@spreadsheet_option
@shape_options
@click.option(
    "--strict", is_flag=True,
    help="Refuse rows that lack evidence which the estimator was fitted on (status invalid)."
    " Without it they are scored by what they have; the column `evidence_missing` names what they"
    " lack.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No table, no summary and no progress.")
def command(sources: tuple[str, ...], output: str, quiet: bool, **options: Any) -> None:
    """Score every answer in FILE (.jsonl, .csv, .parquet, or '-' for JSONL on standard input; .gz
    and .zst are read packed), in several files, in a folder, or in those that fit a pattern.

    \b
    Columns read:  question, answer; optional: id, context (a passage), messages (a conversation:
                   [{"role", "content"}, …]), model (who answered), correct (true or false),
                   logprobs (of the answer's tokens, as the answering model reports them: a list of
                   numbers, or of an API's objects), finish_reason (why the answer ended).
    What is asked: `messages`, then `question`; where `messages` ends in a user turn, that turn is
                   the question. `context` stands before the question, in the same turn.
    Columns added: confidence, logit, action, status, calibrated, truncated, sanitized, cut_off
                   (finish_reason says that the tokens ran out), ood (p-value of an answer like
                   those that were calibrated on; small: unlike them), read_apart,
                   evidence_missing (evidence that the estimator was fitted on and the row lacks),
                   fields (with --fields: by path, p, logit, kind and action),
                   estimator, scorer (identifies what the logit follows from), backend,
                   format and noise (what it was computed in), error. Every input column is kept,
                   rows keep their order.
    Status:        ok, empty, refusal, forged, unsupported, invalid, too_long, error. A bad row
                   never stops the run.

    \b
    Examples:
      ct-guard score answers.jsonl -o scored.jsonl
      ct-guard score answers.csv -e my-estimator -p 0.7 -o scored.parquet
      cat answers.jsonl | ct-guard score - | jq .confidence
      ct-guard score samples_gsm8k.jsonl --format lm-eval -e my-estimator -o scored.jsonl.gz
      ct-guard score 'runs/**/*.jsonl' -e my-estimator -o scored/ --summary summary.json
      ct-guard score records.jsonl --fields -e my-estimator -o scored.jsonl
      ct-guard score scored.jsonl --only-failed -e my-estimator -o whole.jsonl
    """
    from ct_guard.workflows import ScoreConfig, score

    options["preview"] = 0 if quiet else ROWS_SHOWN
    config = config_of(ScoreConfig, options)
    with resumable(lambda: "-" not in (*sources, output)):
        made = score(sources, output, config, report=Terminal(quiet=quiet))
    if not quiet:
        _show(made, output)
    if made.moved is not None:
        say(f"Compared with {Path(str(config.compare_with))}: {made.moved}", out=True)
    if not made.summary.rows:
        say(f"No rows in {', '.join(sources)}: nothing was scored.")
    if made.summary.failed:
        say(f"Invalid or failed rows: {made.summary.failed}; see their 'status' and 'error'.")
        raise click.exceptions.Exit(FAILED_ROWS)


def _show(made: "ScoreResult", output: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console, summary = Console(stderr=output == "-"), made.summary
    _show_rows(console, summary)
    if summary.rows > len(summary.preview):
        console.print(f"… and {summary.rows - len(summary.preview):,} more rows")
    for name, value in _lines(summary, made.policy, str(made.arithmetic)):
        console.print(Text(f"{name:<12}", style="bold"), Text(shown(value)), sep="")
    if output != "-":
        count = f", {len(made.files):,} files" if len(made.files) > 1 else ""
        say(f"\nWritten to {Path(output)}{count}", out=True)


def _show_rows(console: "Console", summary: "Summary") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, expand=False)
    room = max(30, min(90, console.width - 30))
    for name, share in (("question", 0.58), ("answer", 0.42)):
        table.add_column(name, max_width=int(room * share), overflow="ellipsis", no_wrap=True)
    table.add_column("P(correct)", justify="right", no_wrap=True, min_width=10)
    table.add_column("action", no_wrap=True, min_width=8)
    for row in summary.preview:
        p = Text(f"{row.p:.3f}") if row.p is not None else Text(row.status, style="dim")
        style = "green" if row.action == "pass" else "yellow"
        table.add_row(
            Text(one_line(row.question)),
            Text(one_line(row.answer)),
            p,
            Text(row.action, style=style),
        )
    console.print(table)


def _lines(summary: "Summary", policy: str, computed: str) -> list[tuple[str, str]]:
    resumed = f", {summary.replayed:,} of them resumed" if summary.replayed else ""
    kept = f", {summary.kept:,} of them kept" if summary.kept else ""
    lines = [
        ("rows", f"{summary.rows:,}{resumed}{kept}"),
        ("status", ", ".join(f"{n:,} {name}" for name, n in summary.statuses.most_common())),
        ("computed", f"by {computed}"),
        ("policy", policy),
    ]
    for action, title in ACTIONS.items():
        count = summary.actions[action]
        if count or action in ("pass", "abstain"):
            share = f" ({count / summary.rows:.0%})" if summary.rows else ""
            lines.append((title, f"{count:,}{share}"))
    if summary.within_noise:
        lines.append(
            (
                "in the noise",
                f"{summary.within_noise:,}: so near the threshold that rounding decides",
            )
        )
    if summary.missing:
        lacking = ", ".join(f"{n:,} {name}" for name, n in summary.missing.most_common())
        lines.append(("lacking", lacking))
    if summary.truncated:
        lines.append(("truncated", f"{summary.truncated:,}"))
    if summary.unreadable_grades:
        lines.append(
            ("not graded", f"{summary.unreadable_grades:,}: 'correct' is not true or false")
        )
    if (quality := summary.quality()) is not None:
        lines += _quality(quality)
    return lines


def _quality(quality: "Quality") -> list[tuple[str, str]]:
    ranking = quality.auroc
    accuracy = ", ".join(f"{value:.2f} at {share:.0%}" for share, value in quality.accuracy.items())
    return [
        ("graded", f"{quality.graded:,} rows"),
        ("AUROC", f"{ranking:.3f}" if ranking is not None else "not defined: one class only"),
        ("ECE", f"{quality.ece:.3f}"),
        ("accuracy", f"{accuracy} coverage"),
    ]
