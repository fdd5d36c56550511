"""GGUF models with LoRA adapters on llama.cpp, through the C interface of llama-cpp-python."""

from .backend import ADAPTER_FILE, LlamaCppBackend
from .context import KVType

__all__ = ["ADAPTER_FILE", "KVType", "LlamaCppBackend"]
