"""A probe's head: a small MLP that reads P(correct) off the hidden state of an answer's last token.

Source: Kapoor et al. 2024, section 4: Linear(d,256)-ReLU-Linear(256,128)-ReLU-Linear(128,64)-ReLU-
Linear(64,2). The sizes are read from the tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import ManifestError, MismatchError, MissingExtraError

__all__ = ["PROBE", "PROBE_SIZES", "ProbeHead", "dump_probe", "load_probe"]

PROBE = "probe.safetensors"
"""What the file is called in an estimator's directory."""

PROBE_SIZES = (256, 128, 64, 2)
"""Outputs of the layers of the reference's head."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ProbeHead:
    """Linear layers with ReLU between them. The last one has two outputs, (no, yes)."""

    weights: tuple[Floats, ...]
    """Of each layer, [outputs, inputs]."""
    biases: tuple[Floats, ...]
    """Of each layer, [outputs]."""

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[np.generic]]) -> "ProbeHead":
        """From tensors named as in the state of a torch `Sequential`: `0.weight`, `0.bias`,
        `2.weight`… in the order of their numbers. Raises MismatchError where they make no head."""
        layers = sorted({name.partition(".")[0] for name in tensors}, key=_number)
        expected = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
        if not layers or set(tensors) != expected:
            wrong = sorted(set(tensors) ^ expected)
            raise MismatchError(
                "a probe's head has tensors '0.weight', '0.bias', '2.weight'…; wrong or missing:"
                f" {', '.join(wrong) or 'all'}"
            )
        with np.errstate(over="ignore"):  # what overflows is infinite, which `_check` refuses
            head = cls(
                tuple(np.asarray(tensors[f"{layer}.weight"], np.float32) for layer in layers),
                tuple(np.asarray(tensors[f"{layer}.bias"], np.float32) for layer in layers),
            )
        head._check()
        return head

    @property
    def inputs(self) -> int:
        """Size d of the hidden states that it reads."""
        return int(self.weights[0].shape[1])

    def tensors(self) -> dict[str, Floats]:
        """As `of` reads them; the numbers leave room for the activations between the layers."""
        named = {}
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            named[f"{2 * at}.weight"], named[f"{2 * at}.bias"] = weight, bias
        return named

    def logits(self, hidden: Floats) -> Floats:
        """Label logits [B, 2], (no, yes), of hidden states [B, d], in float32."""
        values = np.asarray(hidden, np.float32)
        last = len(self.weights) - 1
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = values @ weight.T + bias
            if at < last:
                values = np.maximum(values, 0)
        return values

    def _check(self) -> None:
        size: int | None = None
        for weight, bias in zip(self.weights, self.biases, strict=True):
            if (
                weight.ndim != 2
                or bias.shape != weight.shape[:1]
                or weight.shape[1] != (size or weight.shape[1])
            ):
                shapes = ", ".join(str(weight.shape) for weight in self.weights)
                raise MismatchError(f"the layers of this probe's head do not fit: {shapes}")
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise MismatchError("this probe's head holds NaN or infinite weights: train again")
            size = int(weight.shape[0])
        if size != 2:
            raise MismatchError(f"a probe's head ends in 2 outputs (no, yes), this one in {size}")


def load_probe(path: Path) -> ProbeHead:
    """The head in a safetensors file. Raises ManifestError, in one line, where it holds none."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ModuleNotFoundError as error:
        raise MissingExtraError("a probe", "torch") from error
    try:
        return ProbeHead.of(load_file(path))
    except (SafetensorError, OSError, TypeError, ValueError, KeyError, MismatchError) as error:
        raise ManifestError(f"{path} holds no head of a probe: {error}") from error


def dump_probe(head: ProbeHead) -> bytes:
    """The file's content, for `save_estimator(files={PROBE: …})`."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(value) for name, value in head.tensors().items()}
    return bytes(save(tensors))


def _number(text: str) -> tuple[bool, int]:
    return (False, int(text)) if text.isdecimal() and len(text) < 10 else (True, 0)
