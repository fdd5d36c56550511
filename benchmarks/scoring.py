"""How far is scoring from the bare forward? Rows a second, side by side in one run.

    python -m benchmarks.scoring [FILE] [--estimator mini] [--rows 2000] [--repeats 5]
    python -m benchmarks.scoring FILE --base smol --dtype bfloat16 --rows 1000 --repeats 3

For the same token ids (context + answer + query), the same order by length and the same batch size:

* `plain`: one forward of the base model a batch, logits at the last position, nothing else;
* `score`: the estimator's backend call: base pass, adapter on the query, log-probabilities,
  contexts shared between answers to one question.

`--base` takes the zero-shot query over a base, in the `--dtype` asked for. Tokenising is excluded
from both. Without FILE, rows of the miniature world are made up.
"""

import random
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch

from ct_guard import QuestionAnswer, load_estimator
from ct_guard.backends import Item
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.estimators import TextMethod
from ct_guard.files import open_rows, question_answer


def made_up(count: int) -> list[QuestionAnswer]:
    rng = random.Random(0)
    rows = []
    for _ in range(count // 5):
        a, b = rng.randrange(1000), rng.randrange(1000)
        for _ in range(5):
            answer = str(a + b + rng.randrange(3))
            rows.append(QuestionAnswer(question=f"What is {a} plus {b}?", answer=answer))
    return rows


def read(path: Path, count: int) -> list[QuestionAnswer]:
    rows: list[QuestionAnswer] = []
    for row in open_rows(path):
        item = question_answer(row)
        if isinstance(item, QuestionAnswer) and item.answer.strip():
            rows.append(item)
        if len(rows) == count:
            break
    return rows


def plain_forward(
    backend: TransformersBackend, items: list[Item], query: tuple[int, ...], batch_size: int
) -> None:
    """One forward a batch over the same ids, as one would write it by hand."""
    sequences = [(*item.context, *item.answer, *query) for item in items]  # type: ignore[misc]
    order = sorted(range(len(sequences)), key=lambda at: len(sequences[at]))
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = [sequences[at] for at in order[start : start + batch_size]]
            width = max(map(len, batch))
            ids = torch.zeros((len(batch), width), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, sequence in enumerate(batch):
                ids[row, width - len(sequence) :] = torch.tensor(sequence)
                mask[row, width - len(sequence) :] = 1
            device = backend.model.device
            backend.model(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                position_ids=(mask.cumsum(1) - 1).clamp(min=0).to(device),
                logits_to_keep=1,
                use_cache=False,
            )


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@click.command(help=__doc__)
@click.argument("source", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--estimator", default="mini", show_default=True)
@click.option("--base", default=None, help="Ask the zero-shot query of this base instead.")
@click.option("--dtype", default="auto", show_default=True)
@click.option("--rows", default=2000, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(
    source: Path | None,
    estimator: str,
    base: str | None,
    dtype: str,
    rows: int,
    repeats: int,
    batch_size: int,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    named = "zero-shot" if base is not None else estimator
    loaded = load_estimator(named, base=base, dtype=dtype, batch_size=batch_size)
    backend = loaded.engine
    if not isinstance(backend, TransformersBackend):
        raise click.UsageError("this benchmark needs the transformers backend")
    answers = read(source, rows) if source is not None else made_up(rows)
    rendered = [loaded.render(qa) for qa in answers]
    items = [Item(made.context, made.answer) for made in rendered]
    query, method = loaded.asked, loaded.method
    if isinstance(method, TextMethod):
        raise click.UsageError("this benchmark needs a method that reads the query")
    wants = method.wants

    def score() -> None:
        for start in range(0, len(items), 1024):
            backend.score(items[start : start + 1024], query, loaded.adapter, wants)

    def plain() -> None:
        for start in range(0, len(items), 1024):
            plain_forward(backend, items[start : start + 1024], query.ids, batch_size)

    plain()
    score()
    times = [(seconds(plain), seconds(score)) for _ in range(repeats)]
    plain_time = statistics.median(first for first, _ in times)
    score_time = statistics.median(second for _, second in times)
    ratio = statistics.median(first / second for first, second in times)
    tokens = sum(len(made.context) + len(made.answer) + len(query.ids) for made in rendered)
    print(f"rows {len(items)}, tokens {tokens}, batch {batch_size}, threads {threads}")
    print(
        f"plain forward {len(items) / plain_time:8.1f} rows/s {tokens / plain_time:10.0f} tokens/s"
    )
    print(
        f"score         {len(items) / score_time:8.1f} rows/s {tokens / score_time:10.0f} tokens/s"
    )
    print(f"score / plain {ratio:.2f} (median of {repeats} pairs; 1.00 = as fast)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"computed by {loaded.arithmetic}; peak memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
