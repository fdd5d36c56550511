"""What an estimator promises, as claims that outcomes can contradict: of some answers, at most so
many are wrong."""

from collections.abc import Iterable
from dataclasses import dataclass

from ct_guard.certificates import Certificate
from ct_guard.promises import (
    AnsweredWrong,
    CascadeCertificate,
    GroupCertificates,
    Promise,
    Voidable,
)
from ct_guard.risk import answered_wrong_limit

from .book import Labelled, Within

__all__ = ["Claim", "claims_of"]


@dataclass(frozen=True)
class Claim:
    """One promise, as outcomes are held against it."""

    promise: Voidable
    within: Within | None = None
    """The column and the value of it whose rows alone it is about."""

    @property
    def key(self) -> str:
        return self.promise.key

    @property
    def alpha(self) -> float:
        """The rate of errors, among the answers that it is about, that is tested.

        A promise that holds on average over samples says less of the one sample that its threshold
        was found on: there the rate that nine in ten such samples stay below is tested.
        """
        if isinstance(self.promise, AnsweredWrong):
            return answered_wrong_limit(self.promise)
        return self.promise.alpha

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        if isinstance(self.promise, Certificate):
            return "certificate"
        return "cascade" if isinstance(self.promise, CascadeCertificate) else "promise"

    @property
    def subject(self) -> str:
        """For what, as it follows its kind in a sentence."""
        if isinstance(self.promise, AnsweredWrong):
            return f"for at most {self.promise.alpha:.3g} answered wrongly"
        within = "" if self.within is None else f"within {self.within.column}={self.within.value} "
        return f"{within}for alpha={self.promise.alpha:g}"

    @property
    def about(self) -> str:
        """The answers that count, in words."""
        if isinstance(self.promise, CascadeCertificate):
            stages = ", ".join(
                f"{one.model} from {one.threshold:.4f}" for one in self.promise.stages
            )
            return f"answers of the cascade ({stages})"
        if isinstance(self.promise, AnsweredWrong):
            return "answers"
        of = "" if self.within is None else f"{self.within.column}={self.within.value} and "
        return f"answers with {of}p >= {self.promise.threshold or 0.0:.4f}"

    @property
    def error(self) -> str:
        """What of them is an error."""
        if isinstance(self.promise, AnsweredWrong):
            return f"given (p >= {self.promise.threshold or 0.0:.4f}) and wrong"
        return "wrong"

    @property
    def floors(self) -> dict[str | None, float]:
        """The least P(correct) of the answers that count, by answering model; None: of any."""
        if isinstance(self.promise, CascadeCertificate):
            return {stage.model: stage.threshold for stage in self.promise.stages}
        if isinstance(self.promise, AnsweredWrong):
            return {None: 0.0}
        return {None: self.promise.threshold or 0.0}

    def counts(self, row: Labelled) -> bool:
        """Whether it is about this answer."""
        floor = self.floors.get(row.model, self.floors.get(None))
        return floor is not None and row.p >= floor

    def is_error(self, row: Labelled) -> bool:
        """Of an answer that counts, whether it is one too many."""
        if isinstance(self.promise, AnsweredWrong):
            return not row.correct and row.p >= (self.promise.threshold or 0.0)
        return not row.correct


def claims_of(known: Iterable[Certificate | Promise]) -> tuple[Claim, ...]:
    """All that promise anything that outcomes could contradict."""
    found: list[Claim] = []
    for one in known:
        if isinstance(one, GroupCertificates):
            found += [
                Claim(each, Within(one.column, value)) for value, each in one.certificates.items()
            ]
        elif isinstance(one, Voidable):
            found.append(Claim(one))
    return tuple(claim for claim in found if _promises(claim.promise))


def _promises(promise: Voidable) -> bool:
    if isinstance(promise, CascadeCertificate):
        return bool(promise.stages) and 0.0 < promise.alpha < 1.0
    return promise.threshold is not None and 0.0 < promise.alpha < 1.0
