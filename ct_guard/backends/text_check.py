"""Whether texts survive a tokenizer and a model: what is lost of them, no score can follow from."""

import string
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import SelfTestError
from ct_guard.query import Encoder

__all__ = ["check_text", "tells_apart"]

_PLAIN = string.ascii_letters + string.digits + string.punctuation


def tells_apart(logits: NDArray[np.floating[Any]]) -> bool:
    """Whether a model reads anything, by its logits behind different texts, [texts, tokens]: one
    with weights of zero says the same behind all."""
    return bool(np.ptp(logits, axis=0).any())


def check_text(encoder: Encoder, text: str) -> None:
    """Raises SelfTestError unless the ids of `text` say that text, and those of plain characters
    these characters."""
    if encoder.decode(encoder.encode(text)).strip() != text:
        raise SelfTestError("token ids of a plain text do not decode to that text")
    lost = set(_PLAIN) - set(encoder.decode(encoder.encode(_PLAIN)))
    if lost:
        raise SelfTestError(
            f"the tokenizer loses characters ({''.join(sorted(lost))[:20]}): answers that differ in"
            " them would be read alike"
        )
