"""An adapter's `adapter_config.json`: what it says, and what cannot be loaded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ct_guard.errors import MismatchError

__all__ = ["LORA_CONFIG", "plain_lora", "read_lora_config"]

LORA_CONFIG = "adapter_config.json"

PEFT_TYPES = ("LORA", "CALIBRATED_LORA")
TASK_TYPES = ("CAUSAL_LM", "CALIBRATED_CAUSAL_LM", None)
QUERY_FORMATS = ("roman_choice", None)

KEPT = (
    "alpha_pattern", "base_model_name_or_path", "bias", "fan_in_fan_out", "layers_pattern",
    "layers_to_transform", "lora_alpha", "lora_dropout", "r", "rank_pattern", "revision",
    "target_modules", "use_rslora",
)  # fmt: skip
"""What a plain LoRA is made of."""

WITHOUT_EFFECT = (
    "auto_mapping", "inference_mode", "init_lora_weights", "megatron_core", "peft_type",
    "peft_version", "qalora_group_size", "query_format", "runtime_config", "task_type",
    "use_temperature",
)  # fmt: skip
"""What says nothing of how the loaded weights are used. Temperatures have a file of their own."""

CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq")
"""Ways to begin that put a part of the base model's weights into the adapter."""


def read_lora_config(folder: Path) -> dict[str, Any]:
    """The config as it stands. Raises MismatchError, in one line that names the field, for anything
    but a plain LoRA of a causal language model with the query of this package."""
    path = folder / LORA_CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MismatchError(f"{path} cannot be read ({error}): fetch the adapter again") from error
    if not isinstance(config, dict):
        raise MismatchError(f"{path} must hold one JSON object: fetch the adapter again")
    for field, known in (
        ("peft_type", PEFT_TYPES),
        ("task_type", TASK_TYPES),
        ("query_format", QUERY_FORMATS),
    ):
        if config.get(field) not in known:
            wanted = ", ".join(str(value) for value in known if value is not None)
            raise MismatchError(
                f"{path}: {field} is {config.get(field)!r} and must be one of {wanted}: only"
                " a plain LoRA of a causal language model can be loaded; make one with 'ct-guard"
                " tune'"
            )
    if str(config.get("init_lora_weights")).lower().startswith(CHANGES_THE_BASE):
        raise MismatchError(
            f"{path}: init_lora_weights {config['init_lora_weights']!r} changes the base model:"
            " convert the adapter to a plain LoRA with PEFT first"
        )
    for field, value in config.items():
        if value and field not in KEPT and field not in WITHOUT_EFFECT:
            raise MismatchError(
                f"{path}: {field} is {value!r}, and only a plain LoRA can be loaded (no DoRA, no"
                " modules_to_save): merge what it adds into the base model, or tune again"
            )
    if config.get("bias", "none") != "none":
        raise MismatchError(f"{path}: bias is {config['bias']!r} and must be 'none': tune again")
    return config


def plain_lora(config: Mapping[str, Any]) -> bytes:
    """The content of a config that PEFT itself reads."""
    kept = {field: config[field] for field in KEPT if config.get(field) is not None}
    data = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": True, **kept}
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()
