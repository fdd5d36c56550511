"""What an estimator's manifest holds of decisions beside the certified thresholds: promises about
cascades, groups and wrong answers, and what is known of asking a stronger model and of runs of
agents."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from .certificates import Arithmetic, Certificate, Void, promise_key
from .records import Probability, Record
from .runs import RunLayer

__all__ = [
    "AnsweredWrong",
    "CascadeCertificate",
    "Costs",
    "FieldCertificate",
    "GroupCertificates",
    "Handover",
    "HandoverBin",
    "Promise",
    "Stage",
    "Voidable",
    "marked_void",
    "voidable",
    "with_voids",
]

Price = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


class Costs(Record):
    """What an outcome costs, in one unit of any kind."""

    error: Price = 0.0
    """An answer that is let through and is wrong."""
    abstain: Price = 1.0
    """A question that is left without an answer."""
    prices: Annotated[tuple[Price, ...], Field(min_length=1)]
    """A call of each model."""


class Stage(Record):
    """One model of a cascade: its answer counts where its P(correct) reaches the threshold."""

    model: str
    threshold: Probability


class CascadeCertificate(Record):
    """With probability at least 1 - delta over the certification sample, at most alpha of what the
    whole cascade answers is wrong. No `stages`: none passed, and `reason` says why."""

    kind: Literal["cascade"] = "cascade"
    alpha: Probability
    delta: Probability
    models: tuple[str, ...]
    """All that were to choose from, in the order of `costs.prices`."""
    stages: tuple[Stage, ...] = ()
    """Those that are asked, in this order, until an answer counts."""
    costs: Costs
    learnt: Count
    """Rows of the sample that the configurations and their order were learnt on."""
    n: Count
    """Rows that they were tested on: no others count here."""
    answered: Count = 0
    errors: Count = 0
    asked: tuple[Count, ...] = ()
    """Calls of each stage."""
    split_hash: str = ""
    grader_false_pass: Probability = 0.0
    reason: str = ""
    arithmetic: Arithmetic | None = None
    void: Void | None = None
    """None: it stands."""

    @model_validator(mode="after")
    def _counts_fit(self) -> Self:
        if not self.errors <= self.answered <= self.n or len(self.asked) != len(self.stages):
            raise ValueError("a cascade counts errors among its answered rows, and its calls")
        return self

    @property
    def coverage(self) -> float | None:
        """Share of questions that are answered; None where nothing passed."""
        return self.answered / self.n if self.stages and self.n else None

    @property
    def cost(self) -> float | None:
        """Of a question, on average over the `n` rows; None where nothing passed."""
        if not self.stages or not self.n:
            return None
        price = dict(zip(self.models, self.costs.prices, strict=True))
        calls = sum(
            price[stage.model] * asked for stage, asked in zip(self.stages, self.asked, strict=True)
        )
        lost = self.costs.error * self.errors + self.costs.abstain * (self.n - self.answered)
        return (calls + lost) / self.n

    @property
    def key(self) -> str:
        """As that of a certificate."""
        return promise_key(self)

    @property
    def subject(self) -> tuple[object, ...]:
        """What it is about: a new promise replaces those of the same subject."""
        return (self.kind, self.alpha, self.delta)

    @property
    def summary(self) -> str:
        """In one line."""
        claim = (
            f"at most {self.alpha:.3g} wrong among all that a cascade answers, with probability"
            f" {1 - self.delta:.3g}"
        )
        if self.void is not None:
            return _void(self.void)
        if not self.stages:
            return f"no cascade for {claim}: {self.reason}"
        order = ", then ".join(f"{one.model} from {one.threshold:.3f}" for one in self.stages)
        return (
            f"{order}: {claim}; answers {self.coverage:.0%} of {self.n:,} questions,"
            f" {self.errors:,} wrong"
        )


class GroupCertificates(Record):
    """Certificates of the groups that a column divides rows into. With probability at least
    1 - delta **all** of them hold at once, each for its own answers (Bonferroni: each was certified
    at delta by the number of groups that had rows enough)."""

    kind: Literal["groups"] = "groups"
    column: str
    alpha: Probability
    delta: Probability
    correction: Literal["bonferroni"] = "bonferroni"
    certificates: dict[str, Certificate]
    """By value of the column; their own `delta` is the corrected one."""

    @property
    def subject(self) -> tuple[object, ...]:
        return (self.kind, self.column, self.alpha, self.delta)

    @property
    def summary(self) -> str:
        """In one line."""
        thresholds = ", ".join(
            f"{name} {_threshold(one)}" for name, one in self.certificates.items()
        )
        return (
            f"at most {self.alpha:.3g} wrong among the answered of each {self.column}, all at once"
            f" with probability {1 - self.delta:.3g}, at thresholds: {thresholds}"
        )


class AnsweredWrong(Record):
    """P(a question is answered, and wrongly) is at most `alpha`, on average over certification
    samples and one new question: a share of *all* questions. It is no error rate among the
    answered, and holds in expectation, not with a probability 1 - delta."""

    kind: Literal["answered_wrong"] = "answered_wrong"
    alpha: Probability
    threshold: Probability | None
    n: Count
    answered: Count = 0
    errors: Count = 0
    split_hash: str = ""
    grader_false_pass: Probability = 0.0
    reason: str = ""
    arithmetic: Arithmetic | None = None
    void: Void | None = None
    """None: it stands."""

    @property
    def key(self) -> str:
        """As that of a certificate."""
        return promise_key(self)

    @property
    def subject(self) -> tuple[object, ...]:
        return (self.kind, self.alpha)

    @property
    def summary(self) -> str:
        """In one line."""
        claim = f"at most {self.alpha:.3g} of all questions are answered wrongly, on average"
        if self.void is not None:
            return _void(self.void)
        if self.threshold is None:
            return f"no threshold for {claim}: {self.reason}"
        return (
            f"p >= {self.threshold:.3f}: {claim}; {self.errors:,} of {self.n:,} certification rows"
        )


class FieldCertificate(Record):
    """With probability at least 1 - delta over the certification sample, of the fields whose P is
    at least `threshold`, which are filled in without review, at most alpha are wrong. The sample
    is of answers: their fields may go together. `threshold` None: none passed."""

    kind: Literal["fields"] = "fields"
    alpha: Probability
    delta: Probability
    threshold: Probability | None
    n: Count
    """Answers of the sample."""
    fields: Count
    """Fields in them."""
    filled: Count = 0
    errors: Count = 0
    split_hash: str = ""
    grader_false_pass: Probability = 0.0
    reason: str = ""
    arithmetic: Arithmetic | None = None

    @model_validator(mode="after")
    def _counts_fit(self) -> Self:
        if not self.errors <= self.filled <= self.fields:
            raise ValueError("a certificate counts errors among the fields that are filled in")
        return self

    @property
    def coverage(self) -> float | None:
        """Share of the sample's fields that are filled in; None without a threshold."""
        return self.filled / self.fields if self.threshold is not None and self.fields else None

    @property
    def subject(self) -> tuple[object, ...]:
        return (self.kind, self.alpha, self.delta)

    @property
    def summary(self) -> str:
        """In one line."""
        claim = (
            f"at most {self.alpha:.3g} wrong of the fields that are filled in without review, with"
            f" probability {1 - self.delta:.3g}"
        )
        if self.threshold is None:
            return f"no threshold for {claim}: {self.reason}"
        return (
            f"p >= {self.threshold:.3f}: {claim}; fills in {self.coverage:.0%} of {self.fields:,}"
            f" fields, {self.errors:,} wrong"
        )


class HandoverBin(Record):
    """What became of the next model's answers where the model before was about so sure."""

    low: Probability
    """The least P(correct) of the model before; the next bin begins where this one ends."""
    rows: Count
    right: Count
    """Of the next model's answers."""
    shift: float
    """In logits, how much less (below 0) the next model is right than its own P(correct) says."""
    reached: Annotated[tuple[Probability, ...], Field(min_length=1)]
    """P(correct) of the next model's answers: quantiles in even steps."""


class Handover(Record):
    """How often each model is right where the one before it is unsure, from graded answers of all
    to the same questions: what asking a stronger model is worth."""

    kind: Literal["handover"] = "handover"
    models: Annotated[tuple[str, ...], Field(min_length=2)]
    """In the order in which they are asked."""
    steps: tuple[Annotated[tuple[HandoverBin, ...], Field(min_length=1)], ...]
    """From each model to the next: bins by P(correct), from 0 upwards."""
    highest: tuple[Probability, ...]
    """The highest P(correct) of each model's answers."""
    n: Count
    split_hash: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if len(self.steps) != len(self.models) - 1 or len(self.highest) != len(self.models):
            raise ValueError("a handover has a step between each two models")
        for step in self.steps:
            lows = [one.low for one in step]
            if lows[0] != 0 or sorted(set(lows)) != lows:
                raise ValueError("the bins of a handover begin at 0 and rise")
        return self

    @property
    def subject(self) -> tuple[object, ...]:
        return (self.kind, self.models)

    @property
    def summary(self) -> str:
        """In one line."""
        return (
            f"how often {', then '.join(self.models[1:])} is right where the model before is"
            f" unsure, from {self.n:,} questions"
        )


Voidable = Certificate | CascadeCertificate | AnsweredWrong
"""What outcomes can contradict: each is one claim, with a `key` and perhaps `void`."""

Promise = Annotated[
    CascadeCertificate | GroupCertificates | AnsweredWrong | FieldCertificate | Handover | RunLayer,
    Field(discriminator="kind"),
]


def _void(void: Void) -> str:
    return f"{void.reason} (since {void.at})"


def _threshold(certificate: Certificate) -> str:
    if certificate.void is not None:
        return "void"
    return "none" if certificate.threshold is None else f"{certificate.threshold:.3f}"


Voided = TypeVar("Voided", Certificate, CascadeCertificate, AnsweredWrong)


def marked_void(promise: Voided, voids: Mapping[str, Void]) -> Voided:
    """The same, void where its `key` is among `voids`; what was void before stays as it was."""
    if promise.void is not None or promise.key not in voids:
        return promise
    return promise.model_copy(update={"void": voids[promise.key]})


def voidable(known: Iterable[Certificate | Promise]) -> list[Voidable]:
    """All that outcomes can contradict among these; of certificates by group, each."""
    found: list[Voidable] = []
    for one in known:
        if isinstance(one, GroupCertificates):
            found += one.certificates.values()
        elif isinstance(one, Voidable):
            found.append(one)
    return found


def with_voids(promise: Promise, voids: Mapping[str, Void]) -> Promise:
    """The same, with what became void of it, by `key`; what was void before stays as it was."""
    if isinstance(promise, GroupCertificates):
        marked = {name: marked_void(one, voids) for name, one in promise.certificates.items()}
        return promise.model_copy(update={"certificates": marked})
    if isinstance(promise, CascadeCertificate):
        return marked_void(promise, voids)
    return marked_void(promise, voids) if isinstance(promise, AnsweredWrong) else promise
