"""Checkpoints that cannot be loaded faithfully are refused in a line that names file and field."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftType
from safetensors.torch import load_file, save_file

from ct_guard.errors import MismatchError
from ct_guard.store import import_checkpoint, load_manifest
from ct_guard.store.tensors import read_tensors, to_float32
from tests.lookalikes import make_adapter, make_classifier


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "mine", base="some/base", calibrated=True)


def refused(folder: Path, match: str) -> None:
    with pytest.raises(MismatchError, match=match) as caught:
        import_checkpoint(folder, folder.parent / "cache")
    assert "\n" not in str(caught.value)
    assert not (folder.parent / "cache").exists()


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"task_type": "SEQ_CLS"}, "task_type is 'SEQ_CLS'"),
        ({"query_format": "bool"}, "query_format is 'bool'"),
        ({"use_dora": True}, "use_dora is True.*DoRA"),
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save is \['lm_head'\]"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base model"),
        ({"something_new": 3}, "something_new is 3"),
        ({"alora_invocation_tokens": [1, 2]}, r"alora_invocation_tokens is \[1, 2\]"),
        ({"r": "16"}, "r: "),
        ({"r": 0}, "r: "),
        ({"lora_alpha": {}}, "lora_alpha: "),
        ({"lora_dropout": 2.0}, "lora_dropout: "),
        ({"rank_pattern": {"q": "x"}}, "rank_pattern: "),
        ({"target_modules": 3}, "target_modules: "),
        ({"target_modules": "(q+)+x"}, "target_modules: .*without end"),
        ({"target_modules": ".*.*.*.*.*.*x"}, "target_modules: .*over 4 repetitions"),
        ({"base_model_name_or_path": ["some/base"]}, "base_model_name_or_path: "),
    ],
)
def test_configs_of_anything_but_a_plain_lora(
    folder: Path, changes: dict[str, Any], match: str
) -> None:
    edit(folder, **changes)
    refused(folder, match)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_config_that_cannot_be_read(folder: Path, content: str) -> None:
    (folder / "adapter_config.json").write_text(content)
    refused(folder, r"adapter_config\.json")


def test_a_config_without_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    refused(folder, r"has no adapter_model\.safetensors")


def test_damaged_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"not tensors")
    refused(folder, "is damaged")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("base_model.model.model.layers.0.mlp.weight", "no part of a plain LoRA"),
        ("base_model.model.score.modules_to_save.weight", "no part of a plain LoRA"),
        ("base_model.model.model.layers.1.self_attn.o_proj.lora_A.weight", "do not fit each other"),
    ],
)
def test_tensors_that_no_plain_lora_has(folder: Path, name: str, match: str) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({**load_file(path), name: torch.zeros(4, 4)}, path)
    refused(folder, match)


class Bomb:
    """What a pickle may hold: a call that is made when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize(
    "name",
    ["adapter_model.bin", "classifier_model.bin", "temperature_model.pt",
     "query_temperature_head.bin"],
)  # fmt: skip
@pytest.mark.parametrize(
    "writer", [torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb))]
)
def test_nothing_in_a_pickle_is_executed(
    folder: Path, tmp_path: Path, name: str, writer: Any
) -> None:
    if name == "adapter_model.bin":
        (folder / "adapter_model.safetensors").unlink()
    writer({"0.weight": Bomb(tmp_path / "mark")}, folder / name)
    refused(folder, f"{name} is damaged or holds more than tensors")
    assert not (tmp_path / "mark").exists()


def test_a_pickle_of_other_things_than_tensors(folder: Path) -> None:
    torch.save({"log_temperature": 0.5}, folder / "temperature_model.pt")
    refused(folder, "tensors by name and nothing else")


@pytest.mark.parametrize(
    "state",
    [{}, {"log_temperature": torch.zeros(2)}, {"log_temperature": torch.tensor(torch.nan)},
     {"log_temperature": torch.tensor(0.0), "bias": torch.tensor(0.0)}],
)  # fmt: skip
def test_a_temperature_that_is_no_number(folder: Path, state: dict[str, Any]) -> None:
    torch.save(state, folder / "query_temperature_head.bin")
    refused(folder, "log_temperature")


def test_a_head_that_does_not_fit(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "mine")
    state = torch.load(folder / "classifier_model.bin", weights_only=True)
    state["2.weight"] = state["2.weight"][:, :-1]
    torch.save(state, folder / "classifier_model.bin")
    refused(folder, r"classifier_model\.bin.*do not fit")


def test_what_was_found_and_what_is_assumed_is_kept(folder: Path, tmp_path: Path) -> None:
    manifest = load_manifest(import_checkpoint(folder, tmp_path / "cache"))
    assert manifest.found == {
        "adapter": "CALIBRATED_LORA, rank 4, from adapter_config.json",
        "base": "some/base, from adapter_config.json",
        "query": "roman_choice, from adapter_config.json",
    }
    assert set(manifest.assumed) == {
        "activation", "boundary", "calibrator", "context style", "labels",
    }  # fmt: skip


def test_a_base_beside_the_checkpoint_is_found_from_the_cache(folder: Path) -> None:
    edit(folder, base_model_name_or_path="../base")
    manifest = load_manifest(import_checkpoint(folder, folder.parent / "cache"))
    assert Path(manifest.base.id) == folder.parent / "base"


def test_the_config_that_is_written_is_one_that_peft_reads(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftConfig

    made = import_checkpoint(folder, tmp_path / "cache")
    config = PeftConfig.from_pretrained(str(made / "adapter"))
    assert isinstance(config, LoraConfig)
    assert (config.r, config.lora_alpha, config.peft_type) == (4, 32, PeftType.LORA)
    assert set(config.target_modules or ()) == {"q_proj", "v_proj"}


def test_a_tensor_that_claims_more_than_its_file_holds_is_never_copied_out(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    huge = torch.zeros(1).expand(1 << 40, 4)
    torch.save({"a.lora_A.weight": huge.T, "a.lora_B.weight": huge}, folder / "adapter_model.bin")
    refused(folder, "not stored whole")


def test_parameters_with_gradients_are_tensors_like_others(tmp_path: Path) -> None:
    path = tmp_path / "temperature_head.bin"
    torch.save({"log_temperature": torch.nn.Parameter(torch.zeros(1))}, path)
    assert to_float32(read_tensors(path))["log_temperature"].tolist() == [0.0]
