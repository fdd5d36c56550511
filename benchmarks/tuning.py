"""What does a tuning step cost, and a whole small run? Both activations in turn, in one run.

    python -m benchmarks.tuning [--prefix 512] [--repeats 9] [--rows 1000]

* step: forward, backward and update on rows of `prefix` tokens and the query, activation `query`
  (the base model reads the prefix without gradients, the query is learnt on over its cache) beside
  `all` (the LoRA acts on, and gradients flow through, every token), without and with the divergence
  from the base (a second forward); a small random Llama, median seconds (aim: `query` at least 1.8
  times faster than `all` without it);
* run: `tune` on graded sums over the embedded base by the recipe `small`, everything included (aim:
  1,000 rows in under 10 minutes on 2 cores).

The table is written into benchmarks/RESULTS.md.
"""

import random
import statistics
import tempfile
import time
from pathlib import Path

import click
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ct_guard.backends import Activation
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import build_query
from ct_guard.records import GradedAnswer, QuestionAnswer
from ct_guard.store import MINI
from ct_guard.tuning import RECIPES, TuningConfig, split_by_question, tune
from ct_guard.tuning.batches import Batch
from ct_guard.tuning.data import RenderedAnswer
from ct_guard.tuning.learners import QueryLearner
from ct_guard.tuning.trainer import backward

from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
BATCH, ANSWER = 2, 16


def small_llama() -> TransformersBackend:
    """2.6 million random weights in 4 layers, behind the embedded tokenizer."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(MINI / "base")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=2048,
    )
    return TransformersBackend(LlamaForCausalLM(config), tokenizer)


def step_seconds(prefix: int, repeats: int) -> dict[str, float]:
    """Median seconds of a step, by what is tuned, taken in turn."""
    backend = small_llama()
    query = build_query("chat_turn", backend.encoder)
    rng = random.Random(0)
    ids = [
        tuple(rng.randrange(10, backend.vocabulary_size) for _ in range(prefix))
        for _ in range(BATCH)
    ]
    rows = [RenderedAnswer(row[:-ANSWER], row[-ANSWER:], at % 2 == 0) for at, row in enumerate(ids)]
    batch = Batch(rows, list(range(BATCH)))
    variants: dict[str, tuple[Activation, float | None]] = {
        "query": ("query", None),
        "all": ("all", 0.0),
        "all, with divergence": ("all", 1.0),
    }
    learners = {}
    for name, (activation, kappa) in variants.items():
        config = TuningConfig(activation=activation, kappa=kappa, targets="all-linear")
        learner = QueryLearner(backend, query, Path(tempfile.gettempdir()) / name, config)
        learners[name] = (learner, torch.optim.AdamW(learner.weights, lr=1e-4), config)
    found: dict[str, list[float]] = {name: [] for name in learners}
    for repeat in range(repeats + 2):
        for name, (learner, optimizer, config) in learners.items():
            start = time.perf_counter()
            optimizer.zero_grad()
            backward(learner, batch, batch, config)
            optimizer.step()
            if repeat >= 2:
                found[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in found.items()}


def graded_sums(count: int) -> list[GradedAnswer]:
    """Five answers to each of a fifth as many sums, about half of them right."""
    rng = random.Random(0)
    rows = []
    for _ in range(count // 5):
        a, b = rng.randrange(1000), rng.randrange(1000)
        for _ in range(5):
            off = rng.choice((0, rng.randrange(1, 20)))
            qa = QuestionAnswer(question=f"What is {a} plus {b}?", answer=str(a + b + off))
            rows.append(GradedAnswer(qa=qa, correct=off == 0))
    return rows


def run_seconds(count: int) -> tuple[float, int]:
    """Seconds of a run on `count` tuning rows, and the steps that it took."""
    parts = split_by_question(graded_sums(count + count // 5), {"tuning": 5, "validation": 1})
    backend = TransformersBackend.load(MINI / "base", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        tuned = tune(
            backend,
            parts["tuning"],
            parts["validation"],
            style="chat_turn",
            folder=Path(folder) / "adapter",
            config=TuningConfig(**RECIPES["small"]),
        )
        return time.perf_counter() - start, tuned.history[-1].step


@click.command(help=__doc__)
@click.option("--prefix", type=click.IntRange(32), default=512, show_default=True)
@click.option("--repeats", type=click.IntRange(7), default=9, show_default=True)
@click.option("--rows", type=click.IntRange(0), default=1000, show_default=True, help="0: no run.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(prefix: int, repeats: int, rows: int, threads: int, results: Path) -> None:
    torch.set_num_threads(threads)
    seconds = step_seconds(prefix, repeats)
    table = markdown(
        [f"a step of {BATCH} rows of {prefix} tokens", "seconds", "times `query`"],
        [
            [name, f"{median:.3f}", f"{median / seconds['query']:.2f}"]
            for name, median in seconds.items()
        ],
    )
    text = (
        "## Tuning\n\n"
        f"`python -m benchmarks.tuning --prefix {prefix} --repeats {repeats} --rows {rows}`:"
        f" medians of {repeats}, taken in turn; {threads} threads, float32, a random Llama of 2.6"
        f" million weights in 4 layers (aim: `all` at least 1.8 times `query`).\n\n{table}"
    )
    if rows:
        took, steps = run_seconds(rows)
        text += (
            f"\nA whole run on {rows:,} graded rows over `mini`'s base, recipe `small`:"
            f" {took:.0f} s, {steps} steps (aim: 600 s for 1,000 rows)."
        )
    if not torch.cuda.is_available():
        text += (
            "\n\nNo GPU was at hand: `python -m benchmarks.large` (`make bench-gpu`) measures"
            " tuning, scoring, and bases in 8 and 4 bits there; none of these speeds has been"
            " measured. (That 8- and 4-bit bases load, score and, in 8 bits, tune is tested on the"
            " CPU.)"
        )
    between_markers(results, "tuning", text)
    click.echo(text)


if __name__ == "__main__":
    main()
