"""From Hugging Face and PEFT directories to GGUF files, with the `gguf` package alone."""

from .adapter import export_adapter
from .base import BASE_FILE, export_base
from .estimator import ADAPTER_FILE, Exported, export_estimator
from .writing import WeightType

__all__ = [
    "ADAPTER_FILE",
    "BASE_FILE",
    "Exported",
    "WeightType",
    "export_adapter",
    "export_base",
    "export_estimator",
]
