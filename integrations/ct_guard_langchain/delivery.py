"""How an answer reaches its reader: as it is with its record, or withheld."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import CodeType, FunctionType
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata

from ct_guard.errors import LowConfidenceError, UsageError
from ct_guard.guard import Guard
from ct_guard.policies import (
    ABSTAIN_MESSAGE,
    Annotate,
    BelowAnsweredWrong,
    Budget,
    Cascade,
    Certified,
    Cost,
    Escalate,
    Fields,
    Policy,
    Require,
    Resample,
    Retry,
    Run,
    Threshold,
    ToolGate,
    may_withhold,
    parts,
)
from ct_guard.records import Assessment

from .fields import dropped_in, without_fields
from .messages import text_of, turn_of
from .provided import harmless
from .record import ConfidenceRecord, attach, make_record, own_record

__all__ = [
    "ABSTAIN_MESSAGE",
    "AbstainMessage",
    "Delivered",
    "Delivery",
    "is_silent",
    "is_withheld",
    "may_ask_person",
    "may_replace",
    "replace_answer",
    "silent",
    "withheld_error",
]

AbstainMessage = str | Callable[..., str]
"""A text, or a function of the record, or of the record and the conversation, which returns one."""

Redact = Callable[[str], str]


class Delivered(NamedTuple):
    """A message on its way to its reader, and the record that it carries."""

    message: BaseMessage
    record: ConfidenceRecord


@dataclass(frozen=True)
class Delivery:
    """What stands in for an answer that is withheld, and what is kept of it.

    Raises UsageError for an abstain message that is neither text nor a function.
    """

    abstain_message: AbstainMessage = ABSTAIN_MESSAGE
    keep_original: bool = False
    """Whether the record keeps the text of an answer that was replaced."""
    redact: Redact | None = None
    """Applied to every text that is kept."""
    _own: str = field(default_factory=lambda: uuid4().hex, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        said = self.abstain_message
        if not isinstance(said, str) and not callable(said):
            raise UsageError(
                f"an abstain message is a text or a function that returns one, not {said!r}"
            )
        if self.redact is not None and not callable(self.redact):
            raise UsageError(f"redact is a function from text to text, not {self.redact!r}")

    def deliver(
        self,
        message: BaseMessage,
        assessment: Assessment,
        messages: Sequence[BaseMessage] = (),
        *,
        attempts: int = 1,
        model_index: int = 0,
        error: str | None = None,
        discarded_usage: UsageMetadata | None = None,
        schemas: Collection[str] = (),
        samples: int | None = None,
        cost: float | None = None,
    ) -> Delivered:
        """The message with its record, and the record; replaced where the decision is to abstain,
        unless it stands for a withheld answer already."""
        turn, already = turn_of(message, schemas), own_record(message)
        record = make_record(
            assessment,
            attempts=attempts,
            model_index=model_index,
            error=error,
            turn=turn,
            discarded_usage=discarded_usage,
            calls=message.tool_calls if isinstance(message, AIMessage) else (),
            samples=samples,
            cost=cost,
        )
        if assessment.action != "abstain":
            kept = without_fields(message, dropped_in(record), schemas)
            return Delivered(attach(kept, record), record)
        record.pop("calls", None)  # also a digest tells something of what is withheld
        record.pop("fields", None)
        if already is not None and is_withheld(message):
            if "original" in already:
                record["original"] = already["original"]
            return Delivered(attach(message, record), record)
        record["original"] = self.kept(_said(message, schemas))
        said = replace_answer(message, self.says(record, messages))
        return Delivered(attach(said, record), record)

    def kept(self, text: str) -> str | None:
        """A text that was replaced, as it may be kept; None: not at all."""
        if not self.keep_original:
            return None
        return text if self.redact is None else self.redact(text)

    def says(self, record: ConfidenceRecord, messages: Sequence[BaseMessage]) -> str:
        """What is said instead of an answer. Raises UsageError where that is no text."""
        if isinstance(self.abstain_message, str):
            return self.abstain_message
        given = (record, messages)[: _arity(self.abstain_message)]
        said = self.abstain_message(*given)
        if not isinstance(said, str):
            kind = type(said).__name__
            raise UsageError(f"the abstain message must be a text; its function gave a {kind}")
        return said

    @property
    def identity(self) -> dict[str, Any]:
        """What tells two of them apart, for caches and traces."""
        said = self.abstain_message
        return {
            "abstain_message": said if isinstance(said, str) else self._known_by(said),
            "keep_original": self.keep_original,
            "redact": None if self.redact is None else self._known_by(self.redact),
        }

    def _known_by(self, function: Callable[..., Any]) -> str:
        """A function by its name and code; one that goes by more than these is this very one."""
        named = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
        if not isinstance(function, FunctionType) or function.__closure__ or function.__defaults__:
            return f"{named} {self._own}"
        return f"{named} {sha256(repr(_told(function.__code__)).encode()).hexdigest()}"


def is_withheld(message: BaseMessage) -> bool:
    """Whether a guard has replaced this message already."""
    record = own_record(message)
    return record is not None and record["action"] == "abstain" and "original" in record


def replace_answer(message: BaseMessage, text: str) -> BaseMessage:
    """A copy that says `text` and nothing else: no tool calls, and nothing of a provider's that
    could hold the old words. Id, usage and who answered stay."""
    update: dict[str, Any] = {
        "content": text,
        "additional_kwargs": {},
        "response_metadata": harmless(message.response_metadata),
    }
    if isinstance(message, AIMessage):
        update |= {"tool_calls": [], "invalid_tool_calls": []}
    if isinstance(message, AIMessageChunk):
        update["tool_call_chunks"] = []
    if isinstance(message, ToolMessage):
        update["artifact"] = None
    return message.model_copy(update=update)


def withheld_error(record: Mapping[str, Any] | None) -> LowConfidenceError:
    """What is raised, or given as a parsing error, where an answer was to be an object."""
    about: Mapping[str, Any] = record or {}
    p = about.get("p")
    return LowConfidenceError(
        f"the answer was withheld by the policy {about.get('policy')!r}"
        f" ({'no p' if p is None else f'p {p:.3f}'}, status {about.get('status')}):"
        " ask with include_raw=True to see its record"
    )


def silent(message: BaseMessage) -> BaseMessage:
    """A copy that says nothing, for whoever counts tokens."""
    return replace_answer(message, "")


def is_silent(message: BaseMessage) -> bool:
    """Whether a message says nothing and calls nothing."""
    return not message.content and not getattr(message, "tool_calls", None)


def may_replace(guard: Guard, *, gated: bool = False) -> bool:
    """Whether an answer that a model gave may not be the one that is delivered, so that its stream
    has to be held until the decision. `gated`: whoever runs the calls of tools asks the gate."""
    return may_withhold(guard.policy, guard.on_error, gated=gated)


def may_ask_person(policy: Policy, *, about_calls: bool = True) -> bool:
    """Whether a person may have to decide on an answer or, as a tool gate wants it, on a call."""
    asked = (part for part in parts(policy) if about_calls or not isinstance(part, ToolGate))
    return any(map(_asks_person, asked))


def _asks_person(part: Policy) -> bool:
    match part:
        case Annotate() | Budget() | Cost() | Resample():
            return False
        case Fields():
            below = {part.below, *(rule.below for rule in part.rules.values())}
            return not below.isdisjoint(("review", "retry"))  # a retry that fails is reviewed
        case Threshold() | Certified() | Cascade() | BelowAnsweredWrong() | ToolGate():
            return part.below == "human"
        case Escalate() | Retry() | Require():
            return part.otherwise == "human"
        case Run():
            return part.asks
    return True  # a review, and a policy of the user's own


def _arity(function: Callable[..., str]) -> int:
    """How many of two arguments a function takes."""
    try:
        signature = inspect.signature(function)
        signature.bind(None, None)
    except TypeError:
        return 1 if signature.parameters else 0
    except ValueError:  # a builtin that does not say
        return 1
    return 2


def _told(code: CodeType) -> tuple[object, ...]:
    """What a function does, alike in every process."""
    constants = (_told(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    return (code.co_code, code.co_names, code.co_varnames, *constants)


def _said(message: BaseMessage, schemas: Collection[str]) -> str:
    try:
        return text_of(message, schemas)
    except UsageError:
        return str(message.text)
