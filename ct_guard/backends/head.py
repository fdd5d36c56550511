"""The output layer of a Hugging Face model, read in float32 where a number is wanted.

A 16-bit model's own logits lie on a grid: between 16 and 32, bfloat16 knows every eighth. Two
labels are two dot products of the last hidden state with two rows of the output layer; as such they
need neither the grid nor logits of the whole vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

__all__ = ["Head"]

CHUNK_BYTES = 64 * 2**20
"""About what one piece of a vocabulary's logits takes, and what its float32 weights take."""


@dataclass(frozen=True)
class Head:
    """logits = cap * tanh(scale * (W h + b) / cap), W being the output layer and h the hidden state
    behind the final norm; most architectures have neither scale nor cap nor b."""

    layer: Any
    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, model: Any) -> "Head":
        """The output layer of a causal language model, with its architecture's scale (Cohere,
        Granite, MPT) and soft cap (Gemma)."""
        config = model.config.get_text_config(decoder=True)
        scale = getattr(config, "logit_scale", None)
        if not isinstance(scale, int | float):  # MPT's may be None
            scale = 1.0
        if divisor := getattr(config, "logits_scaling", None):
            scale = 1.0 / divisor
        cap = getattr(config, "final_logit_softcapping", None)
        return cls(model.get_output_embeddings(), float(scale), cap)

    def logits(self, hidden: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        """Float32 [..., len(ids)] of `hidden` [..., d]. Gradients flow."""
        if not self._plain:
            index = torch.tensor(ids, device=hidden.device)
            return self._finished(self.layer(hidden).float())[..., index]
        index = torch.tensor(ids, device=self.layer.weight.device)
        return self._finished(self._piece(hidden.float(), index))

    def every(self, hidden: torch.Tensor) -> torch.Tensor:
        """Float32 [..., V] of `hidden` [..., d], in the model's own arithmetic. Gradients flow."""
        return self._finished(self.layer(hidden).float())

    def logprobs(self, hidden: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        """Float32 [T]: natural-log probability of each of the T `ids` behind `hidden` [T, d]. The
        vocabulary is summed over in pieces, so that its size does not decide the memory."""
        if not self._plain:
            logits = self.every(hidden)
            index = torch.tensor(ids, device=logits.device)
            return logits.log_softmax(-1).gather(1, index[:, None])[:, 0]
        hidden = hidden.float()
        size = self.layer.weight.shape[0]
        step = max(1, CHUNK_BYTES // (4 * max(len(ids), hidden.shape[1])))
        total = torch.full((len(ids),), -torch.inf, device=hidden.device)
        for start in range(0, size, step):
            piece = self._finished(self._piece(hidden, slice(start, start + step)))
            total = torch.logaddexp(total, piece.logsumexp(-1))
        chosen = torch.tensor(ids, device=self.layer.weight.device)
        weight = self.layer.weight[chosen].float()
        own = (hidden * weight).sum(-1)
        if self.layer.bias is not None:
            own = own + self.layer.bias[chosen].float()
        return self._finished(own) - total

    def magnitude(self, hidden: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        """What the rounding of these logits is relative to: the largest sum of |W| |h|, scaled."""
        if not self._plain:
            return torch.as_tensor(self.every(hidden).abs().max())
        weight = self.layer.weight[torch.tensor(ids, device=self.layer.weight.device)]
        sums: torch.Tensor = weight.float().abs() @ hidden.float().abs()
        return sums.max() * abs(self.scale)

    @property
    def _plain(self) -> bool:
        """Whether its rows can be read one by one: not under a LoRA of its own, nor quantised."""
        return isinstance(self.layer, nn.Linear) and self.layer.weight.is_floating_point()

    def _piece(self, hidden: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        bias = None if self.layer.bias is None else self.layer.bias[rows].float()
        return nn.functional.linear(hidden, self.layer.weight[rows].float(), bias)

    def _finished(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits * self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)
