"""A LoRA that starts where a linear probe ends.

With a thousand graded answers, gradient steps from nothing often find nothing in a small base; a
logistic regression on its hidden states does. Probing first and tuning from there is known to help
elsewhere too (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features", LP-FT). The probe
becomes rank one of the LoRA that writes to the last position's hidden state last of all, so that it
is served like any other adapter.

With x [in] what that layer reads at the query's last token, z the base's margin, and g the gradient
of z by what the layer writes, the LoRA adds  scaling (g . b) (a . x)  to z. The direction b is
g / (scaling |g|^2), and a is fitted so that  z + a . x  is the log-odds of a right answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import expit  # type: ignore[import-untyped]

__all__ = ["Read", "Watching", "fit_weights", "last_writer", "set_start", "stacked"]

FloatArray = NDArray[np.float64]

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Of the quadratic penalty on inputs of spread 1; the validation rows choose."""
RIDGE = 0.01
"""Of the least-squares fit, as a share of the inputs' mean square: it only has to undo what x says
well."""


@dataclass
class Read:
    """Of n rows: what the layer reads [n, in], the base's margins yes - no [n], and the mean
    gradient of the margin by what the layer writes [out]."""

    inputs: FloatArray
    margins: FloatArray
    gradient: FloatArray


def last_writer(model: Any, name: str, run: Callable[[], object]) -> Any | None:
    """The layer that adds to the hidden state last of all, the last of its size to `run`; None
    where it has no LoRA of that `name`."""
    size = int(model.config.get_text_config(decoder=True).hidden_size)
    order: list[torch.nn.Module] = []
    hooks = [
        layer.register_forward_hook(lambda layer, *rest: order.append(layer))
        for layer in model.modules()
        if size in (getattr(layer, "out_features", None), getattr(layer, "nf", None))
    ]  # a linear layer, whatever a library calls its outputs; a LoRA's wrapper ends after it
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    last = order[-1] if order else None
    return last if name in getattr(last, "lora_B", ()) else None


class Watching:
    """A context in which the latest pass through the layer is kept: its inputs [B, in] at the last
    position, and zeros `added` [B, out] to what it wrote there, to take gradients by."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self._layer = layer
        self.inputs = torch.empty(0)
        self.added = torch.empty(0)

    def __enter__(self) -> "Watching":
        def keep(
            layer: torch.nn.Module, args: tuple[torch.Tensor, ...], wrote: torch.Tensor
        ) -> torch.Tensor:
            self.inputs = args[0][:, -1].detach().double().cpu()
            self.added = torch.zeros_like(wrote[:, -1], requires_grad=True)
            return torch.cat([wrote[:, :-1], (wrote[:, -1] + self.added)[:, None]], dim=1)

        self._hook = self._layer.register_forward_hook(keep)
        return self

    def __exit__(self, *error: object) -> None:
        self._hook.remove()


def fit_weights(
    read: Read, correct: NDArray[np.bool_], held_out: Read, held_out_correct: NDArray[np.bool_]
) -> FloatArray:
    """Weights a [in] for which  margin + a . x  is the log-odds of a right answer: logistic
    regression with a quadratic penalty, whose strength the held-out rows choose by log loss.

    The base's own margin says little before tuning, and is mostly linear in x: what x says of it
    is taken out first, so that the penalty weighs only what is learnt. A LoRA has no intercept, and
    neither has the fit: inputs keep their level, from which a constant costs little.
    """
    spread = read.inputs.std(0)
    spread = np.maximum(spread, 0.01 * np.median(spread) + 1e-12)
    scaled = read.inputs / spread
    _, lengths, axes = np.linalg.svd(scaled, full_matrices=False)
    axes = axes[lengths > 1e-3 * np.sqrt(len(scaled))]  # a thousandth of one input's spread
    known, held_known = scaled @ axes.T, held_out.inputs / spread @ axes.T  # [n, k], k <= n
    ridge = RIDGE * len(known) * np.eye(known.shape[1])
    undo = np.linalg.solve(known.T @ known + ridge, known.T @ read.margins)
    left, held_left = read.margins - known @ undo, held_out.margins - held_known @ undo
    signs, held_signs = (np.where(labels, 1.0, -1.0) for labels in (correct, held_out_correct))
    best = (np.inf, np.zeros(known.shape[1]))
    for strength in STRENGTHS:

        def loss(weights: FloatArray, strength: float = strength) -> tuple[float, FloatArray]:
            margins = signs * (left + known @ weights)
            pull = -signs * expit(-margins) / len(signs)
            value = float(np.logaddexp(0, -margins).mean())
            value += 0.5 * strength * float(weights @ weights)
            return value, known.T @ pull + strength * weights

        found = minimize(loss, best[1], jac=True, method="L-BFGS-B").x
        held = held_signs * (held_left + held_known @ found)
        best = min(best, (float(np.logaddexp(0, -held).mean()), found), key=_first)
    return np.asarray(axes.T @ (best[1] - undo) / spread)


def _first(pair: tuple[float, FloatArray]) -> float:
    return pair[0]


@torch.no_grad()
def set_start(layer: Any, name: str, weights: FloatArray, gradient: FloatArray) -> None:
    """Make rank one of the layer's LoRA add  weights . x  to the margin; the other ranks add
    nothing yet, as in any fresh LoRA."""
    into, out = layer.lora_A[name].weight, layer.lora_B[name].weight
    usual = 1 / np.sqrt(3 * into.shape[1])  # the root mean square of a fresh row of A
    size = np.sqrt(np.mean(weights**2))
    if not size:
        return
    scale = usual / size
    write = gradient / (layer.scaling[name] * scale * (gradient @ gradient))
    into[0] = torch.from_numpy(weights * scale).to(into)
    out[:, 0] = torch.from_numpy(write).to(out)


def stacked(parts: Sequence[tuple[list[int], Read]]) -> Read:
    """One reading of all rows, from readings of some with their places."""
    order = np.argsort(np.concatenate([places for places, _ in parts]))
    reads = [read for _, read in parts]
    counts = [len(read.margins) for read in reads]
    return Read(
        np.concatenate([read.inputs for read in reads])[order],
        np.concatenate([read.margins for read in reads])[order],
        np.average([read.gradient for read in reads], axis=0, weights=counts),
    )
