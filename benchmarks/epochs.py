"""What does reading the base once, and not once an epoch, save in tuning? In one run, by turns.

    python -m benchmarks.epochs GRADED [--base smol] [--dtype float32] [--rows 200] [--epochs 3]
        [--repeats 1]

`tune` with activation `query` on the first `--rows` rows of GRADED, one evaluation at the end, once
with memory for what the base has read and once without: everything is then read anew in every step.
Times are of the processor, over all threads. Beside the ratio stands what it would be by the tokens
alone: a forward of context and answer costs one a token, a step over the query two (forward, and
backward to the LoRA's inputs; frozen weights have no gradient of their own). It is more where rows
differ in length: what is read once is read beside rows of like length, what a step reads with
padding.
"""

import statistics
import tempfile
import time
from pathlib import Path

import click
import torch

from ct_guard import load_estimator
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.datasets.graded import read_graded
from ct_guard.query import build_query
from ct_guard.records import GradedAnswer
from ct_guard.tuning import RunLife, TuningConfig, tune
from ct_guard.tuning.data import render_graded
from ct_guard.tuning.prefixes import row_length

ENOUGH = 1 << 40
BATCH = 32


def seconds(
    backend: TransformersBackend, rows: list[GradedAnswer], steps: int, cache_bytes: int
) -> float:
    config = TuningConfig(
        targets="all-linear", batch_size=BATCH, steps=steps, evaluate_every=steps, patience=0
    )
    held_out = [next(row for row in rows if row.correct is truth) for truth in (True, False)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        tune(
            backend,
            rows,
            held_out,
            style="chat_turn",
            folder=Path(folder) / "adapter",
            config=config,
            life=RunLife(cache_bytes=cache_bytes),
        )
        return time.process_time() - start


def by_tokens(backend: TransformersBackend, rows: list[GradedAnswer], epochs: int) -> float:
    query = build_query("chat_turn", backend.encoder)
    rendered = render_graded(
        rows, style="chat_turn", backend=backend, query=query, budget=backend.max_tokens
    )
    read, asked = sum(map(row_length, rendered)), 2 * len(query.ids) * len(rendered)
    return epochs * (read + asked) / (read + epochs * asked)


@click.command(help=__doc__)
@click.argument("graded", type=click.Path(path_type=Path, exists=True))
@click.option("--base", default="smol", show_default=True)
@click.option("--dtype", default="float32", show_default=True)
@click.option("--rows", default=200, show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--repeats", default=1, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(
    graded: Path, base: str, dtype: str, rows: int, epochs: int, repeats: int, threads: int
) -> None:
    torch.set_num_threads(threads)
    backend = load_estimator("zero-shot", base=base, dtype=dtype).engine
    if not isinstance(backend, TransformersBackend):
        raise click.UsageError("this benchmark needs the transformers backend")
    chosen = list(read_graded(graded).rows)[:rows]
    steps = -(-len(chosen) * epochs // BATCH)
    turns = [
        (seconds(backend, chosen, steps, ENOUGH), seconds(backend, chosen, steps, 0))
        for _ in range(repeats)
    ]
    once, anew = zip(*turns, strict=True)
    ratio = statistics.median(anew) / statistics.median(once)
    click.echo(
        f"{dtype}, {len(chosen)} rows, {epochs} epochs, {steps} steps of {BATCH}: read once"
        f" {statistics.median(once):.0f} s, read anew {statistics.median(anew):.0f} s:"
        f" {ratio:.2f} times (by tokens alone about {by_tokens(backend, chosen, epochs):.2f})"
    )


if __name__ == "__main__":
    main()
