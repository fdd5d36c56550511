"""What a method is: one entry for each way of making a score, and everything that differs by it.

Whoever needs to know whether a method has an adapter, is tuned, or reads a base model at all asks
here: the manifest, the commands, tuning and loading. Its code is a module of the same name in
`estimators.methods`; what is trained for it, a learner in `tuning.learners`.

| evidence | what a score goes by |
|---|---|
| `query` | the base model's answer to the uncertainty query |
| `likelihood` | the base model's log-probabilities of the answer's tokens |
| `hidden` | the base model's hidden state at the answer's last token |
| `replies` | what the base model generates when it is asked in text |
| `question` | the question's text |
| `row` | what else is known of an answer: other answers, what its author states, columns |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["METHODS", "Evidence", "MethodSpec", "baselines", "tuned"]

Evidence = Literal["query", "likelihood", "hidden", "replies", "question", "row"]

OF_BASE: frozenset[Evidence] = frozenset({"query", "likelihood", "hidden", "replies"})


@dataclass(frozen=True)
class MethodSpec:
    """One method. What is False or None does not exist in its estimators."""

    name: str
    evidence: frozenset[Evidence]
    baseline: bool = False
    """Whether it needs no tuning: `ct-guard baseline` makes it."""
    learner: str | None = None
    """What `ct-guard tune` trains for it, a name in `tuning.learners`; None: it is not tuned."""
    adapter: bool = False
    """Whether the base model is read through a LoRA."""
    head: bool = False
    """Whether a small network reads the hidden state."""
    layer: bool = False
    """Whether a logistic layer reads the evidence, fitted on rows of its own."""
    prior: Literal["none", "may", "must"] = "none"
    """Whether a question prior belongs to it."""
    fitted: bool = False
    """Whether fitted evidence belongs to it (`ct_guard.evidence`): `ct-guard calibrate --evidence`
    makes it."""

    @property
    def has_base(self) -> bool:
        """Whether a base model is read; without one neither torch nor llama.cpp is needed."""
        return not OF_BASE.isdisjoint(self.evidence)

    @property
    def measures_ood(self) -> bool:
        """Whether its score is read from what the base model computes of an answer, so that answers
        can be compared by it."""
        return not self.evidence.isdisjoint({"query", "likelihood", "hidden"})

    @property
    def by_name(self) -> bool:
        """Whether its name and a base make it: a baseline without a directory of its own."""
        return self.baseline and self.has_base

    @property
    def both_orders(self) -> bool:
        """Whether the query may also be asked with its labels exchanged, and averaged: where
        nothing else is read."""
        return self.evidence == {"query"}

    @property
    def acts_on_answers(self) -> bool:
        """Whether its LoRA must act on all tokens, since the hidden state of an answer is read
        through it."""
        return self.adapter and self.head


def _spec(name: str, *evidence: Evidence, **facts: bool | str) -> MethodSpec:
    return MethodSpec(name, frozenset(evidence), **facts)  # type: ignore[arg-type]


METHODS: Mapping[str, MethodSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            _spec("query", "query", learner="query", adapter=True),
            _spec("zero-shot", "query", baseline=True),
            _spec("likelihood", "likelihood", baseline=True),
            _spec("perplexity", "likelihood", baseline=True),
            _spec(
                "hybrid", "query", "likelihood",
                learner="query", adapter=True, layer=True, prior="may",
            ),
            _spec("probe", "hidden", learner="probe", head=True),
            _spec("lora_probe", "hidden", learner="lora_probe", adapter=True, head=True),
            _spec("verbalized", "replies", baseline=True),
            _spec("sampling", "replies", baseline=True),
            _spec("question_prior", "question", baseline=True, prior="must"),
            _spec("evidence", "row", fitted=True),
        )
    }
)  # fmt: skip
"""By name, in the order in which they are listed to users."""


def tuned() -> tuple[str, ...]:
    """Names of the methods that `ct-guard tune` makes."""
    return tuple(name for name, spec in METHODS.items() if spec.learner is not None)


def baselines(*, by_name: bool = False) -> tuple[str, ...]:
    """Names of the methods that need no tuning; `by_name`: those that need nothing but a base."""
    return tuple(
        name for name, spec in METHODS.items() if (spec.by_name if by_name else spec.baseline)
    )
