"""A base in the shape of a 7B model on a GPU: what do tuning and scoring cost?

    python -m benchmarks.large [--device cuda] [--shape 7b] [--rows 1000] [--tokens 300]

Random weights will do for speed; they are written once to a temporary directory (14 GB for 7b).

* tune: one pass of the tuning loop over `rows` graded rows of `tokens` tokens, activation `query`
  (aim: under 3 minutes for 1,000 rows of 300 tokens in bfloat16);
* score: the backend's call beside one bare forward a batch over the same ids, at batch 32 (aim: at
  least 0.9 of its tokens a second);
* 8 and 4 bits: the same base loaded so (extra `quant`), and scoring.

Without a GPU it says so; `--device cpu --shape tiny` tries the command itself. The table is written
into benchmarks/RESULTS.md where a GPU was measured.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ct_guard.backends import Item, Want
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import Query, build_query, render
from ct_guard.records import GradedAnswer, QuestionAnswer
from ct_guard.store import MINI
from ct_guard.tuning import TuningConfig, tune

from .scoring import plain_forward, seconds
from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
SHAPES = {
    "7b": LlamaConfig(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
        num_attention_heads=32, max_position_embeddings=2048,
    ),
    "tiny": LlamaConfig(
        vocab_size=2000, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=2048,
    ),
}  # fmt: skip
BATCH = 32
WANTS: frozenset[Want] = frozenset({"labels", "answer_logprobs"})


def random_base(shape: str, folder: Path, device: str) -> None:
    """A Llama of this shape with random weights, in bfloat16, behind the embedded tokenizer."""
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(SHAPES[shape])
    model.bfloat16().save_pretrained(folder)
    AutoTokenizer.from_pretrained(MINI / "base").save_pretrained(folder)


def graded_rows(count: int, tokens: int) -> list[GradedAnswer]:
    """Questions of about `tokens` tokens with their answer: every digit is one."""
    rng = random.Random(0)
    rows = []
    for _ in range(count):
        number = "".join(rng.choice("123456789") for _ in range(tokens - 16))
        qa = QuestionAnswer(question=f"What is {number} plus 1?", answer=str(rng.randrange(1000)))
        rows.append(GradedAnswer(qa=qa, correct=rng.random() < 0.5))
    return rows


def items_of(
    backend: TransformersBackend, rows: Sequence[GradedAnswer], query: Query
) -> list[Item]:
    made = [
        render(row.qa, style="raw", encoder=backend.encoder, query=query, budget=backend.max_tokens)
        for row in rows
    ]
    return [Item(one.context, one.answer) for one in made]


def tuning_seconds(backend: TransformersBackend, rows: Sequence[GradedAnswer]) -> float:
    """One pass over the rows; the validation rows of the loop are a tenth as many."""
    steps = -(-len(rows) // BATCH)
    config = TuningConfig(
        steps=steps, batch_size=BATCH, warmup=2, evaluate_every=steps, targets="all-linear"
    )
    validation = graded_rows(max(20, len(rows) // 10), 40)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "adapter"
        return seconds(
            lambda: tune(backend, rows, validation, style="raw", folder=target, config=config)
        )


def scoring_speed(backend: TransformersBackend, items: list[Item], repeats: int) -> list[str]:
    """Tokens a second of scoring, and its ratio to the bare forward in turn."""
    query = build_query("raw", backend.encoder)
    tokens = sum(len(item.context) + len(item.answer) + len(query.ids) for item in items)  # type: ignore[arg-type, misc]

    def score() -> None:
        backend.score(items, query, None, WANTS)

    def plain() -> None:
        plain_forward(backend, items, query.ids, BATCH)

    plain()
    score()
    times = [(seconds(plain), seconds(score)) for _ in range(repeats)]
    ratio = statistics.median(first / second for first, second in times)
    speed = tokens / statistics.median(second for _, second in times)
    return [f"{speed:,.0f}", f"{ratio:.2f}"]


@click.command(help=__doc__)
@click.option("--device", default="cuda", show_default=True)
@click.option("--shape", type=click.Choice(list(SHAPES)), default="7b", show_default=True)
@click.option("--rows", default=1000, show_default=True)
@click.option("--tokens", type=click.IntRange(40), default=300, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(device: str, shape: str, rows: int, tokens: int, repeats: int, results: Path) -> None:
    on_gpu = device != "cpu"
    if on_gpu and not torch.cuda.is_available():
        raise click.ClickException("no GPU is at hand: nothing was measured")
    dtype = "bfloat16" if on_gpu else "float32"
    graded = graded_rows(rows, tokens)
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        random_base(shape, base, device)
        table = []
        for quantization in (None, "8bit", "4bit") if on_gpu else (None,):
            start = time.perf_counter()
            backend = TransformersBackend.load(
                base, device=device, dtype=dtype, batch_size=BATCH, quantization=quantization
            )
            loaded = time.perf_counter() - start
            tuned = f"{tuning_seconds(backend, graded):.0f} s" if quantization is None else "-"
            items = items_of(backend, graded[:512], build_query("raw", backend.encoder))
            speed = scoring_speed(backend, items, repeats)
            table.append([quantization or dtype, f"{loaded:.0f} s", tuned, *speed])
            backend.close()
    where = torch.cuda.get_device_name(device) if on_gpu else "CPU"
    columns = ["base", "to load", f"{rows:,} rows tuned", "scored tokens/s", "to bare forward"]
    text = (
        "## A large base on a GPU\n\n"
        f"`python -m benchmarks.large --shape {shape} --rows {rows} --tokens {tokens}`: {where};"
        f" rows of {tokens} tokens, batch {BATCH}.\n\n{markdown(columns, table)}"
    )
    if on_gpu:
        between_markers(results, "large", text)
    click.echo(text)


if __name__ == "__main__":
    main()
