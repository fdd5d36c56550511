"""Llama 3's long contexts: how much slower each pair of a head turns."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["llama3_factors", "llama3_parameters"]

_PUBLISHED = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
"""What every Llama 3.1 to 3.3 has. GGUF keeps none of it, but the factors that follow."""
_ORIGINAL = tuple(1 << power for power in range(5, 18))
"""Lengths that a model may have been trained on before; theirs is 8,192."""


def llama3_factors(rope: Mapping[str, Any], size: int) -> NDArray[np.float32]:
    """What the frequencies of a head of `size` numbers are divided by, one factor a pair.

    Source: `_compute_llama3_parameters` of transformers' modeling_rope_utils.
    """
    base = float(rope["rope_theta"])
    wavelengths = 2 * math.pi * base ** (np.arange(0, size, 2, dtype=np.float64) / size)
    factor, low, high = (
        float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor")
    )
    original = float(rope["original_max_position_embeddings"])
    smooth = np.clip((original / wavelengths - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - smooth) / factor + smooth)).astype(np.float32)


def llama3_parameters(theta: float, factors: NDArray[np.float32]) -> dict[str, Any] | None:
    """Parameters that give these factors; None where no Llama's do."""
    rope = {"rope_type": "llama3", "rope_theta": theta, "factor": float(factors.max())}
    for original in _ORIGINAL:
        tried = {**rope, **_PUBLISHED, "original_max_position_embeddings": original}
        if np.allclose(llama3_factors(tried, 2 * len(factors)), factors, rtol=1e-4):
            return tried
    return None
