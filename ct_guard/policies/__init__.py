"""What to do at a confidence: pass, abstain, retry, escalate, ask a person."""

from .base import Policy, Situation, Turn, parts
from .budget import Budget, ledger_for
from .decide import OnError, decide
from .gate import OnMissing, ToolGate
from .ledger import Ledger
from .load import default_policy, load_policy
from .require import Require
from .resample import MOST_SAMPLES, Resample, draws, refuse_draws, resampled
from .rules import MOST_RETRIES, Annotate, Certified, Escalate, Retry, Review, Threshold

__all__ = [
    "MOST_RETRIES",
    "MOST_SAMPLES",
    "Annotate",
    "Budget",
    "Certified",
    "Escalate",
    "Ledger",
    "OnError",
    "OnMissing",
    "Policy",
    "Require",
    "Resample",
    "Retry",
    "Review",
    "Situation",
    "Threshold",
    "ToolGate",
    "Turn",
    "decide",
    "default_policy",
    "draws",
    "ledger_for",
    "load_policy",
    "parts",
    "refuse_draws",
    "resampled",
]
