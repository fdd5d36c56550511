"""ct-guard: how likely an LLM's answer is to be correct, and what to do about it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ct_guard.errors import CtGuardError
    from ct_guard.estimators import Estimator, load_estimator
    from ct_guard.guard import Guard
    from ct_guard.policies import load_policy
    from ct_guard.records import (
        Assessment,
        Confidence,
        Decision,
        GradedAnswer,
        Message,
        QuestionAnswer,
    )

_EXPORTS = {
    "Assessment": "ct_guard.records",
    "Confidence": "ct_guard.records",
    "CtGuardError": "ct_guard.errors",
    "Decision": "ct_guard.records",
    "Estimator": "ct_guard.estimators",
    "GradedAnswer": "ct_guard.records",
    "Guard": "ct_guard.guard",
    "Message": "ct_guard.records",
    "QuestionAnswer": "ct_guard.records",
    "load_estimator": "ct_guard.estimators",
    "load_policy": "ct_guard.policies",
}

__all__ = [
    "Assessment",
    "Confidence",
    "CtGuardError",
    "Decision",
    "Estimator",
    "GradedAnswer",
    "Guard",
    "Message",
    "QuestionAnswer",
    "load_estimator",
    "load_policy",
]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use: importing ct_guard loads no library."""
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
