"""What GGUF cannot express is refused by name, and leaves nothing behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, LlamaConfig

from ct_guard.errors import BackendError, ExportError, OutputExistsError
from ct_guard.export import export_adapter, export_base
from ct_guard.export.architecture import read_architecture
from ct_guard.export.weights import Weights
from tests.unit.export.conftest import MakeAdapter, MakeModel


@pytest.fixture
def base(make_model: MakeModel) -> Path:
    return make_model(LlamaConfig)


def export(adapter: Path, base: Path, target: Path) -> None:
    export_adapter(
        adapter,
        target,
        architecture=read_architecture(base),
        base=Weights.of(base),
        base_fingerprint="",
    )


def configured(folder: Path, **changes: Any) -> Path:
    """The directory with another configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning")  # peft warns of some of them too
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias 'all'"),
        ({"lora_bias": True}, "lora_bias"),
        ({"lora_alpha": 0}, "lora_alpha 0"),
        ({"target_modules": ["embed_tokens"]}, "lora_embedding_A"),
    ],
)
def test_adapters_that_are_more_than_lora(
    options: dict[str, Any], said: str, base: Path, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    adapter = make_adapter(base, **options)
    with pytest.raises(ExportError, match=said):
        export(adapter, base, tmp_path / "adapter.gguf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_adapter_of_tied_embeddings(
    make_model: MakeModel, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    base = make_model(LlamaConfig, tie_word_embeddings=True)
    adapter = make_adapter(base, target_modules=["lm_head"])
    with pytest.raises(ExportError, match=r"lm_head\.lora_A"):
        export(adapter, base, tmp_path / "adapter.gguf")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_adapter_of_the_output_matrix(
    base: Path, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    export(make_adapter(base, target_modules=["lm_head"]), base, tmp_path / "adapter.gguf")
    assert b"output.weight.lora_a" in (tmp_path / "adapter.gguf").read_bytes()


def change_adapter(
    base: Path,
    make_adapter: MakeAdapter,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
) -> Path:
    """A copy of a plain adapter whose tensors `change` has changed in place."""
    copy = tmp_path / "changed"
    shutil.copytree(make_adapter(base), copy)
    tensors = load_file(copy / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, copy / "adapter_model.safetensors")
    return copy


OUTPUT = "base_model.model.lm_head.base_layer.weight"
FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update({"rotated": torch.ones(2, 2)}), "'rotated'"),
        (lambda t: t.update({OUTPUT: torch.ones(2, 2)}), r"lm_head\.base_layer"),
        (lambda t: t.update({FIRST: torch.ones(4, 7)}), "4, 7"),
        (lambda t: t.update({FIRST: torch.ones(3, 64)}), "shape"),
        (lambda t: t.update({FIRST: torch.full((4, 64), torch.nan)}), "not finite"),
        (lambda t: t.pop(FIRST), "lacks one"),
    ],
)
def test_tensors_that_do_not_fit(
    change: Callable[[dict[str, Any]], object],
    said: str,
    base: Path,
    make_adapter: MakeAdapter,
    tmp_path: Path,
) -> None:
    adapter = change_adapter(base, make_adapter, tmp_path, change)
    with pytest.raises(ExportError, match=said):
        export(adapter, base, tmp_path / "adapter.gguf")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architectures": ["PhiForCausalLM"]}, "PhiForCausalLM"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4,
                              "original_max_position_embeddings": 64}}, "rope_type 'yarn'"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised"),
    ],
)  # fmt: skip
def test_architectures_that_are_not_exported(
    changes: dict[str, Any], said: str, make_model: MakeModel, tmp_path: Path
) -> None:
    folder = configured(make_model(LlamaConfig), **changes)
    with pytest.raises(ExportError, match=said):
        export_base(folder, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_model(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(GPT2Config)
    with pytest.raises(ExportError, match=r"GPT2LMHeadModel.*convert_hf_to_gguf"):
        export_base(folder, tmp_path / "model.gguf")


def with_tensor(folder: Path, name: str, values: Any) -> Path:
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = values
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("model.layers.0.secret.weight", torch.ones(2, 2), r"model\.layers\.0\.secret\.weight"),
        ("model.norm.weight", torch.full((64,), torch.inf), "not finite"),
        ("model.layers.0.mlp.up_proj.weight", torch.full((96, 64), 1e6), "`kind` f32"),
        ("model.layers.0.mlp.up_proj.weight", torch.ones((96, 64)).to(torch.int8), "I8"),
        ("model.layers.0.mlp.up_proj.weight", torch.ones((96, 60)), "shape"),
    ],
)
def test_tensors_that_cannot_be_expressed(
    name: str, values: Any, said: str, make_model: MakeModel, tmp_path: Path
) -> None:
    folder = with_tensor(make_model(LlamaConfig), name, values)
    with pytest.raises((ExportError, BackendError), match=said):
        export_base(folder, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_without_overwrite(base: Path, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("mine")
    with pytest.raises(OutputExistsError, match="`overwrite`"):
        export_base(base, tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_text() == "mine"
    export_base(base, tmp_path / "model.gguf", overwrite=True)
    assert (tmp_path / "model.gguf").stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


def test_only_safetensors_are_read(base: Path, tmp_path: Path) -> None:
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(ExportError, match=r"no model\.safetensors"):
        export_base(base, tmp_path / "model.gguf")
