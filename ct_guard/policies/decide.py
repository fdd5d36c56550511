"""The one place where a confidence becomes a decision."""

from typing import Literal

from ct_guard.errors import BackendError
from ct_guard.records import Confidence, Decision

from .base import Policy, Situation, parts
from .gate import ToolGate
from .resample import Resample
from .rules import Annotate

__all__ = ["ABSTAIN_MESSAGE", "OnError", "decide", "may_withhold"]

ABSTAIN_MESSAGE = "I don't know."
"""What is said instead of an answer that is withheld."""

OnError = Literal["pass", "block", "raise"]
"""What happens to an answer that could not be scored: let it through, abstain, or raise."""

_JUDGED = ("ok", "empty", "refusal", "forged")


def decide(
    policy: Policy,
    confidence: Confidence,
    *,
    on_error: OnError = "block",
    situation: Situation | None = None,
) -> Decision:
    """Apply a policy; what was not scored goes by `on_error`, never by a guess.

    Empty answers, refusals and forgeries are judged by the policy, as answers of no worth. Raises
    BackendError with the reason when `on_error` is "raise".
    """
    situation = situation or Situation()
    if situation.ledger is not None and situation.first:
        situation.ledger.enter()
    if confidence.status in _JUDGED:
        return policy.decide(confidence, situation)
    reason = f"not scored ({confidence.status}): {confidence.error or 'see the status'}"
    if on_error == "raise":
        raise BackendError(reason)
    action: Literal["pass", "abstain"] = "pass" if on_error == "pass" else "abstain"
    return Decision(action=action, policy=policy.name, reason=reason)


def may_withhold(policy: Policy, on_error: OnError, *, gated: bool = False) -> bool:
    """Whether an answer that a model gave may not be the one that is delivered: the policy replaces
    it, or it cannot be scored and `on_error` keeps it back. Then its stream has to be held until
    the decision. `gated`: a tool gate replaces nothing, as whoever runs the calls asks it."""
    harmless = (Annotate, Resample, ToolGate) if gated else (Annotate, Resample)
    return on_error != "pass" or any(not isinstance(part, harmless) for part in parts(policy))
