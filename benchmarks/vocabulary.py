"""What a large vocabulary costs in memory: the peak above a loaded model, while answers of 1,000
tokens get their log-probabilities over 152,000 entries.

    python -m benchmarks.vocabulary [--rows 8] [--tokens 1000]

A Qwen2 of one layer with random weights. The peak is the kernel's, of the whole process (Linux);
logits of all those tokens would take 4.9 GB in float32. Aim: 512 MB.
"""

import re
from pathlib import Path

import click
import numpy as np
import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from ct_guard.backends import Item
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import build_query
from ct_guard.store import MINI

from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
VOCABULARY = 152_000
SELF = Path("/proc/self")


def megabytes(name: str) -> float:
    """VmRSS or VmHWM of this process."""
    found = re.search(rf"{name}:\s+(\d+) kB", (SELF / "status").read_text())
    if found is None:
        raise RuntimeError(f"this system does not say {name}")
    return int(found[1]) / 1e3


def peak_above(backend: TransformersBackend, rows: int, tokens: int) -> float:
    rng = np.random.default_rng(0)
    items = [
        Item((5, 6, 7), tuple(int(one) for one in rng.integers(10, VOCABULARY, tokens)))
        for _ in range(rows)
    ]
    query = build_query("chat_turn", backend.encoder)
    wants = frozenset(("labels", "answer_logprobs"))
    backend.score([Item(items[0].context, items[0].answer[:16])], query, None, wants)  # type: ignore[arg-type]
    before = megabytes("VmRSS")
    (SELF / "clear_refs").write_text("5")  # the peak begins anew
    backend.score(items, query, None, wants)  # type: ignore[arg-type]
    return megabytes("VmHWM") - before


@click.command(help=__doc__)
@click.option("--rows", default=8, show_default=True)
@click.option("--tokens", default=1000, show_default=True)
def main(rows: int, tokens: int) -> None:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=896,
        intermediate_size=1024,
        num_hidden_layers=1,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    table = []
    for dtype in (torch.float32, torch.bfloat16):
        tokenizer = AutoTokenizer.from_pretrained(MINI / "base")
        model = Qwen2ForCausalLM(config).to(dtype)  # type: ignore[arg-type]
        backend = TransformersBackend(model, tokenizer)
        name = str(dtype).removeprefix("torch.")
        table += [
            [name, str(count), f"{peak_above(backend, count, tokens):,.0f} MB"]
            for count in (1, rows)
        ]
        backend.close()
    text = (
        "## A large vocabulary\n\n"
        f"`python -m benchmarks.vocabulary --rows {rows} --tokens {tokens}`: the process's peak"
        f" above the loaded model, answers of {tokens:,} tokens, {VOCABULARY:,} entries (aim: 512"
        " MB a row).\n\n" + markdown(["format", "answers at once", "peak above the model"], table)
    )
    between_markers(RESULTS, "vocabulary", text)
    click.echo(text)


if __name__ == "__main__":
    main()
