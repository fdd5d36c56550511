"""A base is loaded whole, or refused in one line that names what does not fit."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ct_guard.backends import GenerationSettings
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import BackendError

Weights = dict[str, torch.Tensor]
Variant = Callable[..., Path]


@pytest.fixture
def variant(tiny_base: Path, tmp_path: Path) -> Variant:
    """`variant(weights=…, config={…}, tokens=[…])`: a copy of the tiny base with changes."""

    def make(
        weights: Callable[[Weights], Weights | None] | None = None,
        config: dict[str, Any] | None = None,
        tokens: list[dict[str, Any]] | None = None,
        special: dict[str, str] | None = None,
    ) -> Path:
        folder = tmp_path / "variant"
        shutil.copytree(tiny_base, folder)
        if weights is not None:
            held = load_file(folder / "model.safetensors")
            changed = weights(held)
            file = folder / "model.safetensors"
            save_file(held if changed is None else changed, file, metadata={"format": "pt"})
        for name, values in (("config.json", config), ("tokenizer_config.json", special)):
            if values:
                path = folder / name
                path.write_text(json.dumps(json.loads(path.read_text()) | values))
        if tokens:
            path = folder / "tokenizer.json"
            data = json.loads(path.read_text())
            data["added_tokens"] += tokens
            path.write_text(json.dumps(data))
        return folder

    return make


def rows_of(folder: Path) -> int:
    rows: int = json.loads((folder / "config.json").read_text())["vocab_size"]
    return rows


def added(token: int, text: str, *, special: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": text, "special": special, **plain}


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda held: {prefix + name: weight for name, weight in held.items()}


def dropped(name: str) -> Callable[[Weights], Weights]:
    return lambda held: {key: weight for key, weight in held.items() if key != name}


def replaced(name: str, weight: torch.Tensor) -> Callable[[Weights], Weights]:
    return lambda held: {**held, name: weight}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": prefixed("_orig_mod.")}, "lacks the weight 'lm_head.weight'"),
        ({"weights": dropped("lm_head.weight")}, "lacks the weight 'lm_head.weight'"),
        ({"config": {"num_hidden_layers": 3}}, "lacks the weight 'model.layers.2"),
        ({"config": {"num_hidden_layers": 1}}, "no place for the checkpoint's weight 'model.layer"),
        ({"config": {"attention_bias": True}}, "lacks the weight 'model.layers.0.self_attn"),
        (
            {"weights": replaced("model.layers.0.self_attn.q_proj.bias", torch.ones(48))},
            "no place for the checkpoint's weight 'model.layers.0.self_attn.q_proj.bias'",
        ),
        ({"config": {"intermediate_size": 95}}, "another shape than the model's"),
        ({"config": {"vocab_size": 64}}, "another shape than the model's"),
        ({"config": {"tie_word_embeddings": True}}, "ties the output matrix to the embeddings"),
        ({"config": {"rope_parameters": {"rope_type": "spiral"}}}, "configuration cannot be read"),
        ({"config": {"hidden_act": "unheard_of"}}, "configuration cannot be read"),
        ({"config": {"num_attention_heads": 0}}, "configuration cannot be read"),
        ({"config": {"pad_token_id": 5000}}, "configuration cannot be read"),
        ({"config": {"num_hidden_layers": "two"}}, "configuration cannot be read"),
        ({"config": {"model_type": "unheard_of"}}, "unheard_of"),
        ({"config": {"is_causal": False}}, "both directions"),
        ({"config": {"rms_norm_eps": 1e9}}, "rms_norm_eps 1000000000"),
        ({"config": {"rms_norm_eps": math.nan}}, "rms_norm_eps nan"),
        ({"config": {"rope_parameters": {"rope_type": "default", "rope_theta": math.inf}}}, "inf"),
        (
            {"config": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": -1}}},
            "factor -1",
        ),
        ({"config": {"model_type": "gemma"}}, "LlamaForCausalLM is a model of the type .*llama"),
        (
            {"weights": replaced("model.norm.weight", torch.ones(48, dtype=torch.int8))},
            r"'model.norm.weight' is stored in whole numbers \(I8\)",
        ),
        (
            {
                "weights": replaced("model.norm.weight", torch.ones(48, dtype=torch.int8)),
                "config": {"quantization_config": {"quant_method": "unheard_of"}},
            },
            r"'model.norm.weight' is stored in whole numbers \(I8\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    changes: dict[str, Any], said: str, variant: Variant, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BackendError, match=said) as refused:
        TransformersBackend.load(variant(**changes), device="cpu")
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().err == ""


WHOLE, FIRST, SECOND = "model.safetensors", "1.safetensors", "2.safetensors"


def sharded(folder: Path, *places: str, repeated: str | None = None) -> Path:
    """The folder with its weights in shards by these names, and one of them in all."""
    held = load_file(folder / WHOLE)
    (folder / WHOLE).unlink()
    names = sorted(held)
    weight_map = {name: places[at % len(places)] for at, name in enumerate(names)}
    for number, place in enumerate(places):
        kept = [name for name in names if weight_map[name] == place or name == repeated]
        (folder / place).parent.mkdir(exist_ok=True)
        save_file({name: held[name] * (number + 1) for name in kept}, folder / place)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / f"{WHOLE}.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("place", ["../elsewhere.safetensors", "below/1.safetensors"])
def test_weights_that_no_hash_covers_are_refused(place: str, variant: Variant) -> None:
    folder = sharded(variant(), FIRST, place)
    with pytest.raises(BackendError, match=f"'{place}', which is none beside it"):
        TransformersBackend.load(folder, device="cpu")


def test_a_weight_in_two_shards_is_refused(variant: Variant) -> None:
    folder = sharded(variant(), FIRST, SECOND, repeated="lm_head.weight")
    with pytest.raises(BackendError, match=r"'lm_head.weight' stands in 1.* and in 2"):
        TransformersBackend.load(folder, device="cpu")


def test_a_missing_shard_is_named(variant: Variant) -> None:
    folder = sharded(variant(), FIRST, SECOND)
    (folder / SECOND).unlink()
    with pytest.raises(BackendError, match=SECOND):
        TransformersBackend.load(folder, device="cpu")


def test_an_adapter_beside_a_base_is_refused(variant: Variant, tiny_adapter: Path) -> None:
    folder = variant()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(tiny_adapter / name, folder / name)
    with pytest.raises(BackendError, match="is an adapter's: give the base"):
        TransformersBackend.load(folder, device="cpu")


@pytest.mark.parametrize("files", [[], ["a.gguf", "b.gguf"], ["m-00001-of-00002.gguf", "b.txt"]])
def test_a_directory_without_one_model_is_none(files: list[str], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(BackendError, match=r"config.json|magic|cannot use") as refused:
        TransformersBackend.load(tmp_path, device="cpu")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("exported", [False, True])
def test_an_adapter_is_no_base(exported: bool, tiny_adapter: Path, tmp_path: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(tiny_adapter / name, tmp_path / name)
    if exported:
        (tmp_path / "adapter.gguf").write_bytes(b"GGUF")
    with pytest.raises(BackendError, match="is an adapter's: give the base"):
        TransformersBackend.load(tmp_path, device="cpu")


def without_head(held: Weights) -> Weights:
    return {name: weight for name, weight in held.items() if name != "lm_head.weight"}


def with_frequencies(held: Weights) -> Weights:
    return {**held, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(6)}


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": with_frequencies},
        {"weights": without_head, "config": {"tie_word_embeddings": True}},
    ],
    ids=["buffers of old checkpoints", "a tied output matrix"],
)
def test_what_follows_from_the_rest_may_be_there_or_not(
    changes: dict[str, Any], variant: Variant
) -> None:
    TransformersBackend.load(variant(**changes), device="cpu").close()


def test_a_copy_of_the_embeddings_under_a_tie_is_no_other_matrix(variant: Variant) -> None:
    def same(held: Weights) -> Weights:
        return {**held, "lm_head.weight": held["model.embed_tokens.weight"].clone()}

    folder = variant(weights=same, config={"tie_word_embeddings": True})
    TransformersBackend.load(folder, device="cpu").close()


def test_a_word_without_an_embedding_is_refused(variant: Variant, tiny_base: Path) -> None:
    word = added(rows_of(tiny_base), "Zqxjcorp", special=False)
    with pytest.raises(BackendError, match=r"the token 'Zqxjcorp' with the id \d+.*embeddings"):
        TransformersBackend.load(variant(tokens=[word]), device="cpu")


def test_padding_without_an_embedding_is_done_with_another_token(
    variant: Variant, tiny_base: Path
) -> None:
    pad = added(rows_of(tiny_base), "[PAD]", special=True)
    backend = TransformersBackend.load(
        variant(tokens=[pad], special={"pad_token": "[PAD]"}), device="cpu"
    )
    prompts = [
        tuple(backend.encoder.encode("Question:")),
        tuple(backend.encoder.encode("Question: What?")),
    ]
    assert len(backend.generate(prompts, GenerationSettings(max_tokens=4))) == 2


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no such directory or file"):
        TransformersBackend.load(tmp_path / "missing", device="cpu")
