"""What to do at a confidence: pass, abstain, retry, escalate, ask a person."""

from .base import Policy, Situation, Turn, parts
from .budget import Budget, ledger_for
from .decide import OnError, decide
from .gate import OnMissing, ToolGate
from .ledger import Ledger
from .load import default_policy, load_policy
from .require import Require
from .rules import (
    MOST_RETRIES,
    Annotate,
    Certified,
    Escalate,
    OnVoid,
    Retry,
    Review,
    Threshold,
)

__all__ = [
    "MOST_RETRIES",
    "Annotate",
    "Budget",
    "Certified",
    "Escalate",
    "Ledger",
    "OnError",
    "OnMissing",
    "OnVoid",
    "Policy",
    "Require",
    "Retry",
    "Review",
    "Situation",
    "Threshold",
    "ToolGate",
    "Turn",
    "decide",
    "default_policy",
    "ledger_for",
    "load_policy",
    "parts",
]
