"""What a policy is, and what it is told of an answer besides its confidence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from ct_guard.promises import Voidable
from ct_guard.records import Confidence, Decision, Record
from ct_guard.runs import RunTurn

from .ledger import Ledger

__all__ = ["Policy", "Situation", "Turn", "keeps_last", "parts"]

Turn = Literal["answer", "tool_call"]
"""What a model said: an answer for the user, or calls of tools."""


@dataclass(frozen=True)
class Situation:
    """What was tried for an answer, and what can still be done about it. The default is that of
    files: a first answer, whose retries and escalations the caller carries out."""

    models_left: int | None = None
    """Stronger models that can still be asked. None: the caller routes escalations itself."""
    model_index: int = 0
    """Whose answer it is: 0 the first model, then the stronger ones in their order."""
    retries: int = 0
    """How often this model was asked again."""
    exhausted: bool = False
    """Nothing more may be tried: the answer is the last word."""
    turn: Turn = "answer"
    tool: str | None = None
    """Set where one call of a tool is decided on, and not an answer."""
    drawn: bool | None = None
    """Whether further answers of the model were drawn, for a policy that wants some. None: whoever
    asks can draw none."""
    ledger: Ledger | None = None
    """What was spent on earlier calls; None: nothing is known of them."""
    run: tuple[RunTurn, ...] | None = None
    """The turns of an agent's run, the one at hand included; None: it is of none."""
    why_void: Callable[[Voidable], str] | None = None
    """Says why a promise has become void since it was loaded; empty where it stands. None:
    nobody looks."""

    @property
    def may_escalate(self) -> bool:
        return not self.exhausted and self.models_left != 0

    def void(self, promise: Voidable) -> str:
        """Why a promise is void, as it was loaded or by now; empty where it stands."""
        if promise.void is not None:
            return f"{promise.void.reason} (since {promise.void.at})"
        return "" if self.why_void is None else self.why_void(promise)

    @property
    def first(self) -> bool:
        """Whether this is the first that a policy hears of a call."""
        again = self.model_index or self.retries or self.tool or self.drawn
        return not again and (self.drawn is False or not self.exhausted)


@runtime_checkable
class Policy(Protocol):
    """A rule. It sees only answers that were scored, are empty, or decline (then p is None)."""

    @property
    def name(self) -> str:
        """Short and stable: it stands in records and output rows."""
        ...

    def decide(self, confidence: Confidence, situation: Situation) -> Decision: ...


def parts(policy: Policy) -> Iterator[Policy]:
    """A policy, then those that it is combined of, outermost first."""
    yield policy
    if isinstance(policy, Record):
        for _, value in policy:
            if isinstance(value, Policy):
                yield from parts(value)


def keeps_last(policy: Policy) -> bool:
    """Whether the answer of the last model that was asked counts, instead of the one with the best
    p: where a part of the policy says `keep` "last"."""
    return any(getattr(part, "keep", None) == "last" for part in parts(policy))
