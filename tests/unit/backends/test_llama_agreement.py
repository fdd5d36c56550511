"""llama.cpp and transformers compute the same from the same weights."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import ct_guard
from ct_guard.backends import (
    KV,
    Activation,
    Adapter,
    Backend,
    GenerationSettings,
    Item,
    ScoreBatch,
    Want,
)
from ct_guard.backends.fingerprint import fingerprint
from ct_guard.backends.llama_cpp import KVType, LlamaCppBackend
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.estimators import load_estimator
from ct_guard.export import ADAPTER_FILE, export_adapter, export_base
from ct_guard.export.architecture import read_architecture
from ct_guard.export.weights import Weights
from ct_guard.query import ContextStyle, Query, build_query
from ct_guard.records import QuestionAnswer
from tests.present import present

WANTED: frozenset[Want] = frozenset({"labels", "answer_logprobs"})
EVERYTHING: frozenset[Want] = WANTED | {"hidden"}
MINI = Path(ct_guard.__file__).parent / "mini"
CHECKPOINT = os.environ.get("CT_GUARD_LLAMA_CHECKPOINT", "")
TOLERANCES: dict[KVType, float] = {"f32": 1e-4, "f16": 5e-3}
QUESTIONS = ("What is 57 plus 43?", "What is 8 minus 8?", "Reverse stone.")
ANSWERS = (" 100", " It is 102.", " I think that it is 0, but I am not at all certain of it.")


def items(encoder: Backend) -> list[Item]:
    """Three answers to each of three questions: contexts are shared."""
    start = encoder.encoder.start_ids
    return [
        Item(
            (*start, *encoder.encoder.encode(f"Question: {question}\nAnswer:")),
            tuple(encoder.encoder.encode(answer)),
        )
        for question in QUESTIONS
        for answer in ANSWERS
    ]


def margins(batch: ScoreBatch) -> NDArray[np.float32]:
    assert batch.label_logits is not None
    return batch.label_logits[:, 1] - batch.label_logits[:, 0]


def assert_agree(one: ScoreBatch, other: ScoreBatch, tolerance: float) -> None:
    """In a cache of 16 bits, log-probabilities of unlikely tokens are off by a share of
    themselves."""
    np.testing.assert_allclose(margins(one), margins(other), atol=tolerance, rtol=0)
    assert one.answer_logprobs is not None
    assert other.answer_logprobs is not None
    share = 0.0 if tolerance == TOLERANCES["f32"] else tolerance
    for row, theirs in zip(one.answer_logprobs, other.answer_logprobs, strict=True):
        np.testing.assert_allclose(row, theirs, atol=tolerance, rtol=share)


def both_ways(
    ours: Backend, theirs: Backend, query: Query, adapter: Adapter | None, tolerance: float
) -> None:
    """With contexts read once for their answers, and each item cold and alone."""
    rows = items(theirs)
    expected = theirs.score(rows, query, adapter, WANTED)
    shared = ours.score(rows, query, adapter, WANTED)
    assert (shared.cached_tokens > 0).any()
    assert_agree(shared, expected, tolerance)
    for number, row in enumerate(rows):
        alone = ours.score([row], query, adapter, WANTED)
        assert alone.cached_tokens.tolist() == [0]
        assert float(margins(alone)[0]) == pytest.approx(
            float(margins(expected)[number]), abs=tolerance
        )


# --- the tiny model ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tiny_gguf: Path) -> Iterator[LlamaCppBackend]:
    backend = LlamaCppBackend.load(tiny_gguf, kv_type="f32", threads=1)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def tiny_reference(tiny_base: Path) -> Iterator[TransformersBackend]:
    backend = TransformersBackend.load(tiny_base, device="cpu")
    yield backend
    backend.close()


@pytest.mark.parametrize("activation", [None, "query", "all"])
def test_labels_and_log_probabilities(
    tiny: LlamaCppBackend,
    tiny_reference: TransformersBackend,
    tiny_adapter: Path,
    activation: Activation | None,
) -> None:
    adapter = None
    if activation is not None:
        adapter = Adapter(f"on-{activation}", tiny_adapter, activation)
    both_ways(tiny, tiny_reference, build_query("raw", tiny.encoder), adapter, TOLERANCES["f32"])


def test_hidden_states(tiny: LlamaCppBackend, tiny_reference: TransformersBackend) -> None:
    query = build_query("raw", tiny.encoder)
    rows = [*items(tiny), Item(items(tiny)[0].context, (100,))]  # one is a single token
    ours, theirs = (b.score(rows, query, None, EVERYTHING) for b in (tiny, tiny_reference))
    np.testing.assert_allclose(present(ours.hidden), present(theirs.hidden), atol=1e-4)
    assert_agree(ours, theirs, TOLERANCES["f32"])


def test_generation_and_scores_behind_it(
    tiny: LlamaCppBackend, tiny_reference: TransformersBackend, tiny_adapter: Path
) -> None:
    query, prompt = build_query("raw", tiny.encoder), items(tiny)[0].context
    assert not isinstance(prompt, KV)
    adapter = Adapter("on-query", tiny_adapter, "query")
    ours, theirs = (
        b.generate([prompt], GenerationSettings(max_tokens=24))[0] for b in (tiny, tiny_reference)
    )
    assert ours.ids == theirs.ids
    np.testing.assert_allclose(ours.logprobs, theirs.logprobs, atol=1e-4)
    assert ours.kv is not None
    assert theirs.kv is not None
    warm = tiny.score([Item(ours.kv, ())], query, adapter, WANTED)
    assert_agree(warm, tiny_reference.score([Item(theirs.kv, ())], query, adapter, WANTED), 1e-4)
    tiny.release(ours.kv)


def test_the_same_base_has_the_same_fingerprint(
    tiny: LlamaCppBackend, tiny_reference: TransformersBackend
) -> None:
    assert tiny.fingerprint == tiny_reference.fingerprint != ""


# --- trained models ------------------------------------------------------------------------------


def compare(
    base: Path, style: ContextStyle, labels: tuple[int, int] | None, kv_type: KVType, folder: Path
) -> None:
    """Without an adapter, and with a random one that acts on the query or on all tokens."""
    adapter = random_adapter(base, folder / "adapter")
    export_base(base, folder / "model.gguf", kind="f32")
    ours = LlamaCppBackend.load(folder, kv_type=kv_type, threads=1)
    theirs = TransformersBackend.load(base, device="cpu")
    query = build_query(style, theirs.encoder, labels)
    activations: tuple[Activation, ...] = ("query", "all")
    for used in (None, *(Adapter(f"on-{where}", adapter, where) for where in activations)):
        both_ways(ours, theirs, query, used, TOLERANCES[kv_type])
    ours.close()
    theirs.close()


def random_adapter(base: Path, folder: Path) -> Path:
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


@pytest.mark.parametrize("kv_type", ["f32", "f16"])
def test_mini(kv_type: KVType, tmp_path: Path) -> None:
    compare(MINI / "base", "chat_turn", None, kv_type, tmp_path)


@pytest.mark.skipif(
    not CHECKPOINT, reason="needs a small Llama checkpoint, named by CT_GUARD_LLAMA_CHECKPOINT"
)
@pytest.mark.parametrize("kv_type", ["f32", "f16"])
def test_a_trained_checkpoint(kv_type: KVType, tmp_path: Path) -> None:
    compare(Path(CHECKPOINT), "raw", (100, 101), kv_type, tmp_path)


@pytest.mark.parametrize("kv_type", ["f32", "f16"])
@pytest.mark.parametrize("name", ["mini", "mini:query", "mini:likelihood"])
def test_mini_as_shipped_gives_the_same_logits(name: str, kv_type: KVType) -> None:
    asked = [
        QuestionAnswer(question=question, answer=answer)
        for question in QUESTIONS
        for answer in ("100", "It is 102.", "0")
    ]
    ours = load_estimator(name, backend="llama_cpp", threads=1, kv_type=kv_type)
    theirs = load_estimator(name)
    tolerance = TOLERANCES[kv_type]
    share = tolerance if kv_type == "f16" and name == "mini:likelihood" else 0.0  # `assert_agree`
    for one, other in zip(ours.score(asked), theirs.score(asked), strict=True):
        assert one.status == other.status == "ok"
        assert one.logit == pytest.approx(other.logit, abs=tolerance, rel=share)
    ours.close()
    theirs.close()
