"""What to do at a confidence: pass, abstain, retry, escalate, ask a person."""

from .base import Policy, Situation, Turn, keeps_last, parts
from .budget import Budget, ledger_for
from .cost import Cost, PricedModel
from .decide import ABSTAIN_MESSAGE, OnError, decide, may_withhold
from .fields import FieldRule, Fields
from .gate import OnMissing, ToolGate
from .known import Known
from .ledger import Ledger
from .load import default_policy, load_policy
from .promised import BelowAnsweredWrong, Cascade
from .require import Require
from .resample import MOST_SAMPLES, Resample, draws, refuse_draws, resampled
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
from .run import Run

__all__ = [
    "ABSTAIN_MESSAGE",
    "MOST_RETRIES",
    "MOST_SAMPLES",
    "Annotate",
    "BelowAnsweredWrong",
    "Budget",
    "Cascade",
    "Certified",
    "Cost",
    "Escalate",
    "FieldRule",
    "Fields",
    "Known",
    "Ledger",
    "OnError",
    "OnMissing",
    "OnVoid",
    "Policy",
    "PricedModel",
    "Require",
    "Resample",
    "Retry",
    "Review",
    "Run",
    "Situation",
    "Threshold",
    "ToolGate",
    "Turn",
    "decide",
    "default_policy",
    "draws",
    "keeps_last",
    "ledger_for",
    "load_policy",
    "may_withhold",
    "parts",
    "refuse_draws",
    "resampled",
]
