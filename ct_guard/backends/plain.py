"""Rows read as plainly as a Hugging Face model can: alone, whole, by its own forward, unpadded.

What scoring does for speed is left out. Slow, and what the start-up check compares with.
"""

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from ct_guard.errors import SelfTestError

from .base import PlainRow
from .forward import CACHE, Decoder

__all__ = ["read_plainly"]

ROUNDINGS = 4
"""Of a logit in the model's own numbers: the product, its scale, the soft cap's two steps."""


class Engine(Protocol):
    """What is needed of the backend."""

    @property
    def model(self) -> Any: ...

    @property
    def decoder(self) -> Decoder: ...

    def adapted(self, name: str | None) -> AbstractContextManager[None]: ...


def read_plainly(backend: Engine, row: PlainRow, tokens: Sequence[int]) -> NDArray[np.float32]:
    """See `Backend.read_plainly`. Where the adapter acts on a part of the row, its parts are read
    one after the other.

    Raises SelfTestError where the output layer, read in float32, and the model's own logits differ
    by more than the rounding of these.
    """
    model = backend.model
    takes = inspect.signature(model.forward).parameters
    stops = sorted({0, row.acts.start, row.acts.stop, len(row.ids)})
    parts = [slice(*ends) for ends in pairwise(stops)]
    cache = DynamicCache(config=model.config) if len(parts) > 1 else None
    positions = torch.arange(len(row.ids), device=model.device)
    if row.jump is not None:
        positions[row.jump :] += 1
    given: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(
        lambda layer, inputs: given.append(inputs[0])
    )
    behind = len(row.beside)
    try:
        for part in parts:
            ids = row.ids[part] if part is not parts[-1] else (*row.ids[part], *row.beside)
            on = row.adapter is not None and part.start in row.acts
            with backend.adapted(row.adapter.name if row.adapter is not None and on else None):
                output = model(
                    input_ids=torch.tensor([ids], device=model.device),
                    use_cache=cache is not None,
                    **({CACHE: cache} if cache is not None else {}),
                    **(_jumping(positions[None, part]) if row.jump is not None else {}),
                    **({"logits_to_keep": 1 + behind} if "logits_to_keep" in takes else {}),
                )
    finally:
        hook.remove()
    head, hidden = backend.decoder.head, given[-1][0, -1 - behind]
    found = head.logits(hidden, tokens)
    own = output.logits[0, -1 - behind, list(tokens)].float()
    rounding = ROUNDINGS * torch.finfo(output.logits.dtype).eps * head.magnitude(hidden, tokens)
    if not bool(((found - own).abs() <= rounding).all()):
        raise SelfTestError(
            f"the output layer of this {type(model).__name__} cannot be read on its own: its logits"
            f" differ from the model's by {float((found - own).abs().max()):.3g}"
        )
    return np.asarray(found.cpu().numpy(), np.float32)


def _jumping(positions: torch.Tensor) -> dict[str, torch.Tensor]:
    """Without a mask, transformers takes a jump for the start of another, packed sequence."""
    return {"position_ids": positions, "attention_mask": torch.ones_like(positions)}
