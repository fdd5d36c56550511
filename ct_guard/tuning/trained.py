"""What a method trains, made and saved: a LoRA, and a head over hidden states."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.helpers import disable_input_dtype_casting
from peft.tuners.lora import LoraLayer
from torch import nn

from ct_guard.backends import Adapter
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import BackendError, TuningError
from ct_guard.files.replacing import replacing
from ct_guard.store import PROBE, PROBE_SIZES, ProbeHead, dump_probe

from .config import TuningConfig
from .writing import writing

__all__ = [
    "Dropout",
    "adapter_in",
    "create_lora",
    "fresh_head",
    "lora_in_its_format",
    "save_head",
    "save_lora",
    "served_head",
]

_LEAST_64, _LEAST_16 = -(2**63), -(2**15)
"""The least integers of 64 and of 16 bits."""


def adapter_in(folder: Path, config: TuningConfig) -> Adapter:
    """The LoRA in that folder, whether it is written yet or not."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return Adapter(f"tuned-{name}", folder, config.activation)


def create_lora(
    backend: TransformersBackend, adapter: Adapter, config: TuningConfig
) -> list[nn.Parameter]:
    """Add a fresh LoRA to the base; returns its weights. Raises TuningError where the base has no
    such layers."""
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets)
        if isinstance(config.targets, tuple)
        else config.targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    backend.checkpoint_gradients(config.gradient_checkpointing)
    try:
        weights = backend.create_adapter(adapter, lora)
    except ValueError as error:
        first = str(error).strip().splitlines()[0]
        raise TuningError(
            f"this LoRA does not fit the base model ({first}): name linear layers that it has, or"
            " 'all-linear', as targets"
        ) from error
    if backend.device == "cpu" and config.dropout:
        dropout = Dropout(config.dropout).train(backend.model.training)
        for part in backend.model.modules():
            if isinstance(part, LoraLayer) and adapter.name in part.lora_dropout:
                part.lora_dropout[adapter.name] = dropout
    return weights


class Dropout(nn.Module):
    """Dropout that draws 16 random bits for a number. On a CPU torch's own draws 64 one by one, for
    every input of every layer: a quarter of a step of tuning in bfloat16."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return inputs
        count = inputs.numel()
        drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(_LEAST_64, None)
        drawn = drawn.view(torch.int16)[:count].view(inputs.shape)
        kept = torch.ge(drawn, _LEAST_16 + int(self.p * 2**16), out=torch.empty_like(inputs))
        return inputs * kept.mul_(1 / (1 - self.p))


@contextmanager
def lora_in_its_format(model: Any) -> Iterator[None]:
    """Inside, while it is trained, the LoRA of a base in bfloat16 on a CPU multiplies in bfloat16,
    too. Its weights are in float32, and PEFT would copy all that a layer reads into that format."""
    here = model.training and model.device.type == "cpu" and model.dtype == torch.bfloat16
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=here),
        disable_input_dtype_casting(model, active=here),
    ):
        yield


def save_lora(backend: TransformersBackend, adapter: Adapter) -> None:
    """Raises TuningError where its folder cannot be written."""
    try:
        backend.save_adapter(adapter)
    except BackendError as error:  # it names the folder, and says to make room
        raise TuningError(f"{error}; the same command with `resume` goes on") from error


def fresh_head(backend: TransformersBackend) -> nn.Sequential:
    """The reference's MLP, fresh, in float32."""
    size = int(backend.model.config.get_text_config(decoder=True).hidden_size)
    layers: list[nn.Module] = []
    for outputs in PROBE_SIZES:
        layers += [nn.Linear(size, outputs), nn.ReLU()]
        size = outputs
    return nn.Sequential(*layers[:-1]).to(backend.device)


def served_head(head: nn.Sequential) -> ProbeHead:
    """The head as it serves, without torch."""
    return ProbeHead.of({name: w.cpu().numpy() for name, w in head.state_dict().items()})


def save_head(head: nn.Sequential, folder: Path) -> ProbeHead:
    """Write it into the folder; returns it as it serves. Raises TuningError where it cannot be
    written."""
    served = served_head(head)
    with writing(folder / PROBE):
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / PROBE) as building:
            building.write_bytes(dump_probe(served))
    return served
