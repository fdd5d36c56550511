"""What a guarded chain and a guard over pairs have in common: who judges, and what is delivered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from ct_guard.guard import Guard
from ct_guard.records import Assessment

from .assess import Case
from .delivery import Delivery, may_replace
from .outputs import Selector, with_answer
from .per_call import Guards, policy_in
from .record import ConfidenceRecord

__all__ = ["Guarded", "Guarding"]


class Guarded(TypedDict):
    """An answer with its confidence: a plain dict, so that LCEL's own tools apply, as
    `pick("output")`, `assign(…)` and a prompt's variables."""

    input: Any
    """What was asked, as it was given."""
    output: Any
    """What is answered, in the form that the chain gave it."""
    confidence: ConfidenceRecord
    """P(correct) and what was decided on it."""


@dataclass(frozen=True)
class Guarding:
    """A guard, how what it decides is delivered, and under which keys question and answer lie."""

    guards: Guards
    delivery: Delivery
    hold_stream: bool | None = None
    input_key: str = "input"
    output_key: str = "output"

    @property
    def guard(self) -> Guard:
        """The guard with the policy that counts where a call sets none."""
        return self.guards.guard

    @property
    def output_type(self) -> Any:
        """The type of what is delivered."""
        return Guarded if self.output_key == "output" else dict[str, Any]

    def guard_for(self, config: RunnableConfig) -> Guard:
        """The guard with the policy that a call's config or context sets, if it does.

        Raises PolicyError for a policy that makes no sense.
        """
        return self.guards.under(policy_in(config))

    def holds(self, config: RunnableConfig) -> bool:
        """Whether nobody may hear of an answer before it is decided on."""
        if self.hold_stream is not None:
            return self.hold_stream
        return may_replace(self.guard_for(config))

    def guarded(
        self,
        pair: Mapping[str, Any],
        assessment: Assessment,
        case: Case,
        *,
        answer: Selector | None = None,
        heard: BaseMessage | None = None,
        **tried: Any,
    ) -> Guarded:
        """The pair with its confidence; `tried` says what the answer took."""
        output = pair[self.output_key]
        said, record = self.delivery.deliver(case.answer, assessment, case.messages, **tried)
        replaced = assessment.action == "abstain"
        made = {
            **pair,
            self.output_key: with_answer(
                output, said, replaced=replaced, answer=answer, heard=heard
            ),
            "confidence": record,
        }
        return cast(Guarded, made)
