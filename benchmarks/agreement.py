"""The largest difference in logits between llama.cpp and transformers, on the same weights."""

import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from ct_guard.backends import Activation, Adapter, Backend, GenerationSettings, Item, Want
from ct_guard.backends.fingerprint import fingerprint
from ct_guard.backends.llama_cpp import ADAPTER_FILE, KVType, LlamaCppBackend
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.export import BASE_FILE, export_adapter, export_base
from ct_guard.export.architecture import read_architecture
from ct_guard.export.weights import Weights
from ct_guard.query import ContextStyle, Query, build_query

__all__ = ["worst_difference"]

LABELS: frozenset[Want] = frozenset({"labels"})
QUESTIONS = ("What is 57 plus 43?", "What is 8 minus 8?", "Reverse the letters of 'stone'.")
ANSWERS = (" 100", " It is 102.", " I think that it is 0, but I am not at all certain of it.")
ACTIVATIONS: tuple[Activation, ...] = ("query", "all")


def worst_difference(
    base: Path, style: ContextStyle, labels: tuple[int, int] | None, kv_type: KVType, threads: int
) -> float:
    """Over three answers to each of three questions and a generated one; without an adapter and
    with a random one of either activation; each answer cold, with its context shared, and behind a
    live cache. The base is exported in F32."""
    theirs = TransformersBackend.load(base, device="cpu")
    query = build_query(style, theirs.encoder, labels)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        export_base(base, folder / BASE_FILE, kind="f32")
        lora = _random_adapter(base, folder / "adapter")
        ours = LlamaCppBackend.load(folder, kv_type=kv_type, threads=threads)
        try:
            adapters = [Adapter(f"on-{where}", lora, where) for where in ACTIVATIONS]
            return max(_difference(ours, theirs, query, used) for used in (None, *adapters))
        finally:
            ours.close()
            theirs.close()


def _difference(ours: Backend, theirs: Backend, query: Query, adapter: Adapter | None) -> float:
    rows = [
        Item(_context(theirs, question), tuple(theirs.encoder.encode(answer)))
        for question, answer in product(QUESTIONS, ANSWERS)
    ]
    made = ours.generate([_context(theirs, QUESTIONS[0])], GenerationSettings(max_tokens=12))[0].kv
    if made is None:
        raise RuntimeError("a single prompt keeps its cache")
    rows.append(Item(made.ids[: made.answer_start], made.ids[made.answer_start :]))
    expected = _margins(theirs, rows, query, adapter)
    shared = _margins(ours, rows, query, adapter)
    cold = np.concatenate([_margins(ours, [row], query, adapter) for row in rows])
    live = _margins(ours, [Item(made, ())], query, adapter)
    ours.release(made)
    found = np.concatenate([shared - expected, cold - expected, live - expected[-1:]])
    return float(np.abs(found).max())


def _context(backend: Backend, question: str) -> tuple[int, ...]:
    return (*backend.encoder.start_ids, *backend.encoder.encode(f"Question: {question}\nAnswer:"))


def _margins(
    backend: Backend, rows: list[Item], query: Query, adapter: Adapter | None
) -> NDArray[np.float32]:
    logits = backend.score(rows, query, adapter, LABELS).label_logits
    if logits is None:
        raise RuntimeError("labels were wanted")
    return logits[:, 1] - logits[:, 0]


def _random_adapter(base: Path, folder: Path) -> Path:
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "k_proj", "o_proj"])
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.02)
    adapted.save_pretrained(str(folder))
    export_adapter(
        folder,
        folder / ADAPTER_FILE,
        architecture=read_architecture(base),
        base=Weights.of(base),
        base_fingerprint=fingerprint(base),
    )
    return folder
