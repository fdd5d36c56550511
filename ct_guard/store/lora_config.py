"""An adapter's `adapter_config.json`: what it says, and what cannot be loaded."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ct_guard.backends.safe_patterns import check_pattern
from ct_guard.errors import MismatchError
from ct_guard.files.untrusted_json import JsonError, parse_json, read_json

__all__ = ["LORA_CONFIG", "in_order", "plain_lora", "read_lora_config"]

LORA_CONFIG = "adapter_config.json"

INVOCATION = "alora_invocation_tokens"
"""Field of an adapter that acts on the query alone: the query's ids. Whoever does not know of such
adapters (a server, say) refuses it; without the field it would act on all tokens there, and be
wrong without a word."""

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


Pattern = Annotated[
    str, Field(max_length=1000), AfterValidator(partial(check_pattern, most_repetitions=4))
]
"""PEFT takes these for regular expressions, and matches them with the names of all modules."""
MOST = 10_000
Names = Annotated[list[Pattern], Field(max_length=MOST)]
Scale = Annotated[float, Field(gt=0)]
"""An alpha of 0 is nothing to PEFT, and 1 to llama.cpp."""


class _Values(BaseModel):
    """Types and ranges of `KEPT`, as PEFT computes with them."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, strict=True)

    alpha_pattern: Annotated[dict[Pattern, Scale], Field(max_length=MOST)] | None = None
    base_model_name_or_path: str | None = None
    bias: str = "none"
    fan_in_fan_out: bool | None = None
    layers_pattern: Names | Pattern | None = None
    layers_to_transform: list[int] | int | None = None
    lora_alpha: Scale = 8
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    r: Annotated[int, Field(ge=1, le=1 << 16)] | None = None
    rank_pattern: Annotated[dict[Pattern, int], Field(max_length=MOST)] | None = None
    revision: str | None = None
    target_modules: Names | Pattern | None = None
    use_rslora: bool | None = None


def read_lora_config(folder: Path, *, on_query: bool = False) -> dict[str, Any]:
    """The config as it stands. `on_query` is an adapter's that acts on the query alone, and may say
    so. Raises MismatchError, in one line that names the field, for anything but a plain LoRA of a
    causal language model with the query of this package."""
    path = folder / LORA_CONFIG
    try:
        config = read_json(path)
    except JsonError as error:
        raise MismatchError(f"{path} cannot be read ({error}): fetch the adapter again") from error
    for field, known in (
        ("peft_type", PEFT_TYPES),
        ("task_type", TASK_TYPES),
        ("query_format", QUERY_FORMATS),
    ):
        if config.get(field) not in known:
            wanted = ", ".join(str(value) for value in known if value is not None)
            raise MismatchError(
                f"{path}: {field} is {_shown(config.get(field))} and must be one of {wanted}: only"
                " a plain LoRA of a causal language model can be loaded; make one with 'ct-guard"
                " tune'"
            )
    if str(config.get("init_lora_weights")).lower().startswith(CHANGES_THE_BASE):
        raise MismatchError(
            f"{path}: init_lora_weights {_shown(config['init_lora_weights'])} changes the base"
            " model: convert the adapter to a plain LoRA with PEFT first"
        )
    for field, value in config.items():
        said = field in KEPT or field in WITHOUT_EFFECT or (on_query and field == INVOCATION)
        if value and not said:
            raise MismatchError(
                f"{path}: {_shown(field)[1:-1]} is {_shown(value)}, and only a plain LoRA can be"
                " loaded (no DoRA, no modules_to_save): merge what it adds into the base model, or"
                " tune again"
            )
    if config.get("bias", "none") != "none":
        raise MismatchError(
            f"{path}: bias is {_shown(config['bias'])} and must be 'none': tune again"
        )
    try:
        _Values.model_validate(config)
    except ValidationError as error:
        last = error.errors()[-1]
        raise MismatchError(f"{path}: {last['loc'][0]}: {last['msg']}: tune again") from error
    return config


def in_order(config: bytes, invocation: Sequence[int] = ()) -> bytes:
    """The same config with its names in alphabetical order, and `invocation`, the query's ids, for
    an adapter that acts on the query alone. PEFT keeps names in a set, whose order changes from one
    process to the next, and a hash of the file would with it."""
    data = parse_json(config)
    if invocation:
        data[INVOCATION] = list(invocation)
    for field in ("target_modules", "exclude_modules", "modules_to_save"):
        if isinstance(data.get(field), list):
            data[field] = sorted(data[field])
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def _shown(value: Any) -> str:
    return repr(value)[:60]


def plain_lora(config: Mapping[str, Any]) -> bytes:
    """The content of a config that PEFT itself reads."""
    kept = {field: config[field] for field in KEPT if config.get(field) is not None}
    data = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": True, **kept}
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()
