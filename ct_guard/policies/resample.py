"""Further answers where P alone decides little: the model is asked again, and whether it says the
same counts as evidence.

{"kind": "resample", "samples": 3, "policy": 0.7}
{"kind": "resample", "samples": 5, "band": [0.5, 0.8], "policy": 0.7}
"""

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from ct_guard.errors import PolicyError
from ct_guard.records import Confidence, Decision, Probability, Record

from .base import Policy, Situation, parts
from .budget import Budget
from .gate import ToolGate
from .require import Require
from .rules import Annotate

__all__ = ["MOST_SAMPLES", "Resample", "draws", "refuse_draws", "resampled"]

MOST_SAMPLES = 20
"""No more further answers are drawn for one answer."""
WIDTH = 0.1
"""Of the band that nobody has set, above the least P that passes."""
_ROUNDING = 1e-9


class Resample(Record):
    """Another policy, which decides once more after further answers were drawn.

    `samples` of them are drawn from the first model where P lies in `band`, (least, most), both
    ends included; without one, where P passes and is at most 0.1 above the least P that does: an
    answer that is only just good enough. A band that reaches below that P also saves answers that
    would be kept back. They are evidence `agreement` of the answer at hand, which is scored again,
    and never take its place. Turns that call tools are decided as they are.

    Only who can ask the model draws (`Situation.drawn`); a `Budget` around it bounds what is drawn.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["resample"] = "resample"
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = 3
    band: tuple[Probability, Probability] | None = None
    policy: Policy

    @model_validator(mode="after")
    def _has_a_band(self) -> Self:
        if any(isinstance(part, Budget) for part in parts(self.policy)):
            raise ValueError("a budget goes around it, to bound what is drawn")
        if self.band is not None and self.band[0] > self.band[1]:
            raise ValueError("a band is the least P and the most, such as [0.5, 0.8]")
        if self.band is None and _least_passing(self.policy) is None:
            raise ValueError(
                f"no least P passes {self.policy.name!r}: give a band, such as [0.3, 0.8]"
            )
        return self

    @property
    def name(self) -> str:
        where = "" if self.band is None else f" from {self.band[0]:g} to {self.band[1]:g}"
        return f"{self.policy.name}, {self.samples} further answers{where}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        drawing = situation.drawn is False and situation.turn == "answer"
        if drawing and situation.tool is None:
            # What follows if they cannot be drawn. Nothing is spent on it: it is decided again.
            decision = self.policy.decide(confidence, replace(situation, ledger=None))
            if self._is_in_band(confidence, decision):
                update = {"samples": self.samples, "policy": self.name}
                return decision.model_copy(update=update)
        decision = self.policy.decide(confidence, situation)
        return decision.model_copy(update={"policy": self.name})

    def _is_in_band(self, confidence: Confidence, decision: Decision) -> bool:
        if confidence.p is None:
            return False
        if self.band is not None:
            return self.band[0] <= confidence.p <= self.band[1]
        if decision.action != "pass" or decision.threshold is None:
            return False
        return confidence.p <= decision.threshold + WIDTH + _ROUNDING


def draws(policy: Policy) -> bool:
    """Whether a policy may ask for further answers."""
    return any(isinstance(part, Resample) for part in parts(policy))


def refuse_draws(policy: Policy, place: str) -> None:
    """Raises PolicyError for a policy that may ask for further answers, in a `place` that has no
    model to ask."""
    if draws(policy):
        raise PolicyError(
            f"{place} has no model to ask for further answers, as the policy kind 'resample'"
            " does: use GuardedChatModel, ConfidenceMiddleware or ConfidenceGuard.wrap(chain)"
        )


def resampled(policy: Policy, samples: int) -> Policy:
    """The policy with so many further answers: those that it asks for already, else where P is only
    just good enough; a budget and a tool gate stay around it.

    Raises PolicyError where no P is, or where that is no number of answers.
    """
    try:
        match policy:
            case Resample():
                return Resample(samples=samples, band=policy.band, policy=policy.policy)
            case Budget():
                return policy.model_copy(update={"policy": resampled(policy.policy, samples)})
            case ToolGate():
                return policy.model_copy(update={"answers": resampled(policy.answers, samples)})
        if isinstance(policy, Annotate):
            raise PolicyError(
                "samples are drawn where P is only just good enough, and every P passes 'annotate':"
                " give a policy, such as 0.7, or"
                ' {"kind": "resample", "band": [0.3, 0.8], "policy": "annotate"}'
            )
        return Resample(samples=samples, policy=policy)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise PolicyError(f"samples={samples!r} cannot be drawn: {said}") from error


def _least_passing(policy: Policy) -> float | None:
    """The threshold that a sure answer is compared with; None: with none."""
    while isinstance(policy, Require | ToolGate):
        policy = policy.policy if isinstance(policy, Require) else policy.answers
    return policy.decide(Confidence(p=1.0), Situation(models_left=0)).threshold
