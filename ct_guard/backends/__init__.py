"""Where logits come from. Import a backend from its own module: each needs its own libraries."""

import logging

from .base import (
    KV,
    Activation,
    Adapter,
    Asked,
    Asking,
    Backend,
    Capabilities,
    Finish,
    Generation,
    GenerationSettings,
    Item,
    Manner,
    Piece,
    PlainRow,
    ScoreBatch,
    Stream,
    Want,
)
from .selftest import MannerWarning, self_test

__all__ = [
    "KV",
    "Activation",
    "Adapter",
    "Asked",
    "Asking",
    "Backend",
    "Capabilities",
    "Finish",
    "Generation",
    "GenerationSettings",
    "Item",
    "Manner",
    "MannerWarning",
    "Piece",
    "PlainRow",
    "ScoreBatch",
    "Stream",
    "Want",
    "self_test",
]

# PEFT imports bitsandbytes where it is installed, whether anything is in 8 bits or not; it then
# reports optional kernels that are missing and, with each row, how it casts.
_bitsandbytes = logging.getLogger("bitsandbytes")
if _bitsandbytes.level == logging.NOTSET:
    _bitsandbytes.setLevel(logging.ERROR)
