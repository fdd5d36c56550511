"""What to do at a confidence: pass, abstain, retry, escalate, ask a person."""

from .decide import OnError, decide
from .load import default_policy, load_policy
from .rules import Annotate, Certified, Escalate, Policy, Situation, Threshold

__all__ = [
    "Annotate",
    "Certified",
    "Escalate",
    "OnError",
    "Policy",
    "Situation",
    "Threshold",
    "decide",
    "default_policy",
    "load_policy",
]
