"""A certified threshold: what it promises, of which rows and in which arithmetic."""

import hashlib
from typing import Annotated

from pydantic import Field, model_validator

from .records import Probability, Record

__all__ = ["Arithmetic", "Certificate", "Sample", "Void", "promise_key"]


class Arithmetic(Record):
    """What logits were computed in: another backend or number format moves them."""

    backend: str
    format: str
    """What the base's weights are kept in: `bfloat16`, `Q4_1`…"""
    noise: float | None = Field(default=None, ge=0)
    """In logits: 95% of scores move by less when a row is read in other company. None: not
    measured."""

    def __str__(self) -> str:
        if self.backend == "none":
            return "ct-guard alone, without a base model"
        noise = "" if self.noise is None else f", noise {self.noise:.2g} logits"
        return f"{self.backend} in {self.format}{noise}"

    def same_as(self, other: "Arithmetic") -> bool:
        """Whether it is the same backend in the same format; noise is found anew at every load."""
        return (self.backend, self.format) == (other.backend, other.format)


class Sample(Record):
    """The certification sample, as far as a monitor compares later answers with it."""

    scores: tuple[Annotated[int, Field(ge=0)], ...]
    """How many P(correct) fell into each bin of `risk.BIN_EDGES`."""
    models: dict[str, int] = {}
    """Rows by answering model; none where no row named one."""
    statuses: dict[str, int] = {}
    """Rows of the file by status, also those without a probability."""


class Void(Record):
    """Since when, and why, a certificate promises nothing any more."""

    at: str
    """ISO 8601, UTC."""
    reason: str


def promise_key(promise: Record) -> str:
    """12 hex digits that identify a promise by all that it says, whatever became of it."""
    text = promise.model_dump_json(exclude={"void", "sample"}, exclude_defaults=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Certificate(Record):
    """With probability at least 1 - delta over the certification sample, the error rate among
    answers with p >= `threshold` is at most alpha. `threshold` None: no threshold passed."""

    alpha: Probability
    delta: Probability
    threshold: Probability | None
    n: int = Field(ge=0)
    """Rows of the certification sample."""
    answered: int = Field(ge=0)
    errors: int = Field(ge=0)
    split_hash: str = ""
    grader_false_pass: Probability = 0.0
    """Share of wrong answers that the grader calls correct: among the graded rows, alpha times one
    less this share is what had to hold."""
    reason: str = ""
    arithmetic: Arithmetic | None = None
    """What the logits of the certification sample were computed in; None: not recorded."""
    sample: Sample | None = None
    """What a monitor compares with; None: not kept, as by certificates of older versions."""
    reused: int = Field(default=0, ge=0)
    """Rows whose outcomes a test or an attempt to certify had used before: the promise does not
    allow for that."""
    group: str = ""
    """Of a promise by group: the value of its column, whose rows alone this one is about."""
    void: Void | None = None
    """None: it stands."""

    @property
    def key(self) -> str:
        """12 hex digits that identify the promise, whatever became of it."""
        return promise_key(self)

    @model_validator(mode="after")
    def _counts_fit(self) -> "Certificate":
        if not self.errors <= self.answered <= self.n:
            raise ValueError("a certificate counts errors among its answered rows, and these in n")
        return self

    @property
    def coverage(self) -> float | None:
        """Share of the certification sample that is answered; None without a threshold."""
        return self.answered / self.n if self.threshold is not None and self.n else None
