"""The LoRAs of one Hugging Face model: PEFT holds them side by side, at most one is on."""

import copy
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ct_guard.errors import BackendError, MismatchError, UsageError

from .base import Adapter
from .checkpoint import check_floats
from .pretrained import quiet

__all__ = ["WEIGHTS", "LoraAdapters"]

WEIGHTS = "adapter_model.safetensors"
_MISFITS = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ArithmeticError,
    SafetensorError,
)  # fmt: skip
"""What PEFT raises over an adapter that it does not expect."""


class LoraAdapters:
    """Loads, creates, saves and switches; whoever calls holds the lock of the model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._peft: PeftModel | None = None
        self._paths: dict[str, Path] = {}
        self._layers: list[BaseTunerLayer] = []
        """Those that hold LoRAs: to switch, PEFT itself would look for them in the whole model."""

    def add(self, adapter: Adapter) -> None:
        """Load an adapter's weights (safetensors) beside those already there.

        Raises:
            MismatchError: there are none, or they do not fit this model.
            UsageError: another adapter has the name.
        """
        if self._paths.get(adapter.name) == adapter.path:
            return
        if adapter.name in self._paths:
            raise UsageError(f"another adapter named {adapter.name!r} is loaded already")
        if not (adapter.path / WEIGHTS).is_file():
            raise MismatchError(f"no {WEIGHTS} in {adapter.path}")
        try:
            with quiet():
                self._load(adapter)
        except _MISFITS as error:
            self._forget(adapter.name)
            first = " ".join(str(error).split())[:200]
            raise MismatchError(
                f"the adapter {adapter.path} does not fit this base model: {first}"
            ) from error
        self._paths[adapter.name] = adapter.path
        self._settle()

    def _load(self, adapter: Adapter) -> None:
        path = str(adapter.path)
        config: Any = PeftConfig.from_pretrained(path)
        check_floats(adapter.path / WEIGHTS)
        config.inference_mode = True
        config.alora_invocation_tokens = None  # whoever scores says where it acts
        if self._peft is None:
            self._peft = PeftModel(self._model, config, adapter_name=adapter.name)
        else:
            self._peft.add_adapter(adapter.name, config)
        loaded = self._peft.load_adapter(path, adapter_name=adapter.name)
        for kind, keys in (
            ("lacks", loaded.missing_keys),
            ("has no place for", loaded.unexpected_keys),
        ):
            if keys:
                raise ValueError(f"it {kind} {keys[0]}")

    def _forget(self, name: str) -> None:
        """Take an adapter that could not be loaded out of the model again."""
        if self._peft is None:
            return
        if name in self._peft.peft_config:
            self._peft.delete_adapter(name)
        self._settle()

    def _settle(self) -> None:
        """After another LoRA came or went: all are off, and nothing drops out."""
        self._model.eval()
        self._tuner.disable_adapter_layers()
        self._layers = [one for one in self._model.modules() if isinstance(one, BaseTunerLayer)]

    def create(self, adapter: Adapter, config: LoraConfig) -> list[torch.nn.Parameter]:
        """Put a fresh LoRA into the model, to be trained, in place of one of the same name; returns
        its weights."""
        if adapter.name in self._paths:
            del self._paths[adapter.name]
            self._forget(adapter.name)
        with warnings.catch_warnings():
            # of layers that keep their weights transposed, as GPT-2's: PEFT sets what it warns of
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")
            if self._peft is None:
                self._peft = PeftModel(self._model, config, adapter_name=adapter.name)
            else:
                self._peft.add_adapter(adapter.name, config)
        self._paths[adapter.name] = adapter.path
        self._settle()
        return [
            weight for name, weight in self._model.named_parameters() if f".{adapter.name}." in name
        ]

    def save(self, adapter: Adapter) -> None:
        """Write the adapter's current weights to its path, as safetensors; a file there stays whole
        until the new one is. Raises BackendError where it cannot be written."""
        tensors = {
            key: value.contiguous().cpu()
            for key, value in get_peft_model_state_dict(
                self._peft, adapter_name=adapter.name
            ).items()
        }
        try:
            adapter.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".saving-", dir=adapter.path) as building:
                self._config_of(adapter).save_pretrained(building)
                save_file(tensors, Path(building) / WEIGHTS)
                for path in Path(building).iterdir():
                    path.replace(adapter.path / path.name)
        except (OSError, SafetensorError) as error:  # a full disk, say
            why = getattr(error, "strerror", None) or error
            raise BackendError(f"{adapter.path}: cannot be written: {why}: make room") from error

    def reload(self, adapter: Adapter) -> None:
        """Take the adapter's weights back from its path."""
        tensors = load_file(adapter.path / WEIGHTS)
        set_peft_model_state_dict(self._peft, tensors, adapter_name=adapter.name)
        self._tuner.disable_adapter_layers()

    @contextmanager
    def on(self, name: str | None, *, training: bool = False) -> Iterator[None]:
        """The named adapter on inside, every adapter off outside; None leaves all off. `training`
        turns on its dropout and gradients."""
        if name is None:
            yield
            return
        if name not in self._paths:
            raise UsageError(f"no adapter {name!r} is loaded")
        for layer in self._layers:
            layer.set_adapter(name, inference_mode=not training)
            layer.enable_adapters(True)
        if training:
            self._model.train()
        try:
            yield
        finally:
            if training:
                self._model.eval()
            for layer in self._layers:
                layer.enable_adapters(False)

    @property
    def _tuner(self) -> Any:
        if self._peft is None:
            raise UsageError("no adapter is loaded")
        return self._peft.base_model

    def _config_of(self, adapter: Adapter) -> Any:
        config = copy.copy(self._tuner.peft_config[adapter.name])
        config.inference_mode = True
        return config
