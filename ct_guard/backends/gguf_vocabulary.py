"""The tokenizer inside a GGUF file: its arrays agree, and llama.cpp can index all of them."""

from collections.abc import Mapping

import numpy as np
from gguf.constants import GGUFValueType

from .gguf_header import Field, InvalidGGUF

__all__ = ["check_vocabulary"]

_PREFIX = "tokenizer.ggml."
_TOKEN_TYPES = 6
_SPECIAL = (
    "bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask",
    "fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep",
)  # fmt: skip
"""`seperator` is how the format spells it."""
_FLAGS = ("add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix")


def check_vocabulary(fields: Mapping[str, Field]) -> None:
    """Raise InvalidGGUF unless tokens are distinct texts, every parallel array is as long, special
    ids are among them, and SentencePiece has all its bytes."""
    model = fields.get(_PREFIX + "model")
    if model is None or model.value in ("none", "no_vocab"):
        raise InvalidGGUF("it has no tokenizer (tokenizer.ggml.model)")
    field = fields.get(_PREFIX + "tokens")
    if field is None or field.items != GGUFValueType.STRING or not field.value:
        raise InvalidGGUF("tokenizer.ggml.tokens is missing or holds no texts")
    tokens: list[str] = [token or f"[EMPTY_{at}]" for at, token in enumerate(field.value)]
    distinct = set(tokens)
    if len(distinct) != len(tokens):
        raise InvalidGGUF("tokenizer.ggml.tokens holds a token twice")
    _check_parallel(fields, len(tokens))
    for name in _SPECIAL:
        special = fields.get(f"{_PREFIX}{name}_token_id")
        if special is not None and (
            special.type != GGUFValueType.UINT32 or special.value >= len(tokens)
        ):
            raise InvalidGGUF(
                f"{_PREFIX}{name}_token_id is {special.value!r}, no id below {len(tokens)}"
            )
    for name in _FLAGS:
        flag = fields.get(_PREFIX + name)
        if flag is not None and flag.type != GGUFValueType.BOOL:
            raise InvalidGGUF(f"{_PREFIX}{name} must be true or false")
    if model.value == "llama" and not {f"<0x{byte:02X}>" for byte in range(256)} <= distinct:
        raise InvalidGGUF("its SentencePiece vocabulary lacks some of the 256 byte tokens")
    if model.value == "gpt2":
        merges = fields.get(_PREFIX + "merges")
        if merges is None or merges.items != GGUFValueType.STRING:
            raise InvalidGGUF("tokenizer.ggml.merges is missing or holds no texts")


def _check_parallel(fields: Mapping[str, Field], count: int) -> None:
    scores, types = fields.get(_PREFIX + "scores"), fields.get(_PREFIX + "token_type")
    if scores is not None and (
        scores.items != GGUFValueType.FLOAT32
        or len(scores.value) != count
        or not np.isfinite(scores.value).all()
    ):
        raise InvalidGGUF(f"tokenizer.ggml.scores must be {count} finite numbers")
    if types is not None and (
        types.items != GGUFValueType.INT32
        or len(types.value) != count
        or not ((types.value >= 0) & (types.value <= _TOKEN_TYPES)).all()
    ):
        raise InvalidGGUF(f"tokenizer.ggml.token_type must be {count} types of 0 to {_TOKEN_TYPES}")
