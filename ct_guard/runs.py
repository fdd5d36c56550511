"""Runs of agents: what is known of one as it goes, and how likely it is to succeed."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from .records import LogisticLayer, Probability, Record

__all__ = ["RUN_FEATURES", "RunLayer", "RunTurn", "run_features"]

RUN_FEATURES = (
    "log_count", "least", "mean", "last", "retried", "answered", "together", "together_answered",
)  # fmt: skip
"""Of all confidences of a run so far, answers' and calls': the logarithm of how many there are, the
least, the mean and the last one as logits, the share of turns in which a model was asked again, and
whether the last turn answers (1), so that nothing more can go wrong, or calls tools (0). `together`
is the logit of their product, which is P(success) where all must be right, each on its own, and
nothing is to come; as long as something is, it tells less, so that it counts once more (else 0)
where the last turn answers."""

_EDGE = 1e-4
"""P(correct) is taken to be this far from 0 and 1, so that its logit is finite."""


class RunTurn(Record):
    """One turn of a run, as it was left to the agent."""

    turn: Literal["answer", "tool_call"] = "answer"
    p: tuple[Probability | None, ...]
    """P(correct) of the answer, or of each call in order, 0 for an empty answer or a refusal; None
    where it was not measured."""
    retries: Annotated[int, Field(ge=0)] = 0
    """How often a model was asked beyond the first time, further answers for evidence left out."""


class RunLayer(Record):
    """P(a run succeeds), read after any of its turns: a logistic layer over what the confidences of
    the turns and calls so far come to. Of runs like those that it was fitted on, by one estimator
    under one calibration."""

    kind: Literal["run"] = "run"
    layer: LogisticLayer
    n: Annotated[int, Field(ge=0)]
    """Labelled runs."""
    succeeded: Annotated[int, Field(ge=0)]
    log_loss: Annotated[float, Field(ge=0)]
    """Of whole runs that were held out, in nats."""
    base_rate: Annotated[float, Field(ge=0)]
    """Log loss of the share of runs that succeeded."""

    @field_validator("layer")
    @classmethod
    def _reads_runs(cls, layer: LogisticLayer) -> LogisticLayer:
        if layer.features != RUN_FEATURES:
            raise ValueError(f"a layer over runs reads {', '.join(RUN_FEATURES)}")
        return layer

    def p(self, turns: Sequence[RunTurn]) -> float | None:
        """P(success); None where no turn has a score."""
        features = run_features(turns)
        if features is None:
            return None
        return 1 / (1 + math.exp(-min(max(self.layer.logit(features), -700.0), 700.0)))

    @property
    def subject(self) -> tuple[object, ...]:
        return (self.kind,)

    @property
    def summary(self) -> str:
        """In one line."""
        return (
            f"P(an agent's run succeeds), from {self.n:,} runs of which {self.succeeded:,} did;"
            f" log loss {self.log_loss:.3f} on held-out runs, {self.base_rate:.3f} by their share"
        )


def run_features(turns: Sequence[RunTurn]) -> tuple[float, ...] | None:
    """What the layer reads of a run, in the order of `RUN_FEATURES`; None where no turn has a
    score."""
    logits = [_logit(p) for turn in turns for p in turn.p if p is not None]
    if not logits:
        return None
    retried = sum(turn.retries > 0 for turn in turns) / len(turns)
    mean = sum(logits) / len(logits)
    answered = float(turns[-1].turn == "answer")
    together = _logit(math.prod(p for turn in turns for p in turn.p if p is not None))
    return (
        math.log(len(logits)), min(logits), mean, logits[-1], retried, answered, together,
        together * answered,
    )  # fmt: skip


def _logit(p: float) -> float:
    p = min(max(p, _EDGE), 1 - _EDGE)
    return math.log(p / (1 - p))
