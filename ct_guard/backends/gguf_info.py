"""What a GGUF base model says of itself, and the keys that ct-guard adds to such files."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .gguf_header import Field, TensorInfo

__all__ = [
    "BASE_FINGERPRINT",
    "FINGERPRINT",
    "INVOCATION_TOKENS",
    "LABEL_IDS",
    "NORMALIZER",
    "GGUFInfo",
]

FINGERPRINT = "ct_guard.fingerprint"
"""Key of a base: the fingerprint of the Hugging Face directory that it was converted from."""
BASE_FINGERPRINT = "ct_guard.base_fingerprint"
"""Key of an adapter: the fingerprint of the base that it belongs to."""
NORMALIZER = "ct_guard.normalizer"
"""Key of a base: the Unicode form (NFC, NFKC…) to bring texts into before llama.cpp encodes them,
which it does not do itself."""
LABEL_IDS = "ct_guard.label_ids"
"""Key of a base: ids of the query's labels, (no, yes), as the original tokenizer has them."""
INVOCATION_TOKENS = "adapter.alora.invocation_tokens"

_SPECIAL = {
    "bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding",
    "sep_token": "seperator", "mask_token": "mask",
}  # fmt: skip
"""Names in chat templates, and in the file, which spells one of them so."""


@dataclass(frozen=True)
class GGUFInfo:
    """A base file that passed: what a backend needs to know of it before loading."""

    path: Path
    architecture: str
    fields: Mapping[str, Field]
    tensors: Mapping[str, TensorInfo]

    @property
    def fingerprint(self) -> str:
        """Of the directory it was converted from; "" when it was not converted by ct-guard."""
        return str(self.get(FINGERPRINT, ""))

    @property
    def vocabulary_size(self) -> int:
        return len(self.get("tokenizer.ggml.tokens", ()))

    @property
    def context_length(self) -> int:
        """Tokens that the model was trained to read."""
        return int(self.own("context_length"))

    @property
    def layers(self) -> int:
        return int(self.own("block_count"))

    @property
    def heads(self) -> int:
        return _most(self.own("attention.head_count"))

    @property
    def kv_heads(self) -> int:
        return _most(self.own("attention.head_count_kv", self.heads))

    @property
    def head_size(self) -> int:
        return int(self.own("attention.key_length", self.own("embedding_length") // self.heads))

    @property
    def format(self) -> str:
        """The number format that most of the weights' bytes are in: `Q4_1`, `F16`…"""
        sizes: Counter[str] = Counter()
        for tensor in self.tensors.values():
            sizes[tensor.type.name] += tensor.size
        return sizes.most_common(1)[0][0] if sizes else "none"

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.size for tensor in self.tensors.values())

    @property
    def chat_template(self) -> str | None:
        text = self.get("tokenizer.chat_template")
        return None if text is None else str(text)

    @property
    def special_tokens(self) -> dict[str, str]:
        """Texts of the special tokens, by their names in chat templates."""
        tokens = self.get("tokenizer.ggml.tokens")
        ids = {name: self.get(f"tokenizer.ggml.{key}_token_id") for name, key in _SPECIAL.items()}
        return {name: str(tokens[at]) for name, at in ids.items() if at is not None}

    def get(self, key: str, default: Any = None) -> Any:
        """A key's value, or the default."""
        field = self.fields.get(key)
        return default if field is None else field.value

    def own(self, key: str, default: Any = None) -> Any:
        """The value of one of the architecture's own keys."""
        return self.get(f"{self.architecture}.{key}", default)


def _most(value: Any) -> int:
    """Some architectures have a number for each layer."""
    return int(value) if isinstance(value, int) else int(max(value, default=0))
