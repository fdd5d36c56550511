"""The one place where a confidence becomes a decision."""

from typing import Literal

from ct_guard.errors import BackendError
from ct_guard.records import Confidence, Decision

from .base import Policy, Situation

__all__ = ["OnError", "decide"]

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
