"""What the middleware keeps in an agent's state."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, cast

from langchain.agents.middleware.types import AgentState, OmitFromInput, PrivateStateAttr
from langchain_core.messages import AIMessage, AnyMessage
from typing_extensions import TypedDict

from ct_guard.records import Action, ReviewChoice

from ..record import CallScore, ConfidenceRecord

__all__ = ["VERDICTS", "ConfidenceState", "Verdict", "last_ai", "verdict_on", "verdicts_in"]

VERDICTS = "ct_guard_verdicts"


class Verdict(TypedDict):
    """What one middleware decided on the latest AI message: plain JSON."""

    message_id: str | None
    action: Action
    allowed: list[ReviewChoice]
    """What a person may do, with the action `human`."""
    reason: str
    calls: list[CallScore]
    """The score of each tool call, by its position."""
    reviewed: list[str]
    """Digests of the tool calls that a person let run."""


def _latest(old: Any, new: Any) -> Any:
    """Several middlewares write in one step; the outermost writes last."""
    return new


def _merged(old: Mapping[str, Verdict] | None, new: Mapping[str, Verdict]) -> dict[str, Verdict]:
    return {**(old or {}), **new}


class ConfidenceState(AgentState[Any]):
    """An agent's state with the record of its latest AI message. Callers cannot set either key."""

    ct_guard: NotRequired[Annotated[ConfidenceRecord | None, OmitFromInput, _latest]]
    ct_guard_verdicts: NotRequired[Annotated[dict[str, Verdict], PrivateStateAttr, _merged]]
    """By the name of the middleware."""


def last_ai(messages: Sequence[AnyMessage]) -> AIMessage | None:
    """The latest AI message."""
    return next((said for said in reversed(messages) if isinstance(said, AIMessage)), None)


def verdicts_in(state: object) -> dict[str, Verdict]:
    """The verdicts in an agent's state, a mapping or an object, by the middleware's name."""
    found = state.get(VERDICTS) if isinstance(state, Mapping) else getattr(state, VERDICTS, None)
    return cast("dict[str, Verdict]", found or {})


def verdict_on(message: AIMessage | None, state: object, name: str) -> Verdict | None:
    """The verdict of the middleware `name` on this very message; None for one that it never saw."""
    verdict = verdicts_in(state).get(name)
    if verdict is None or message is None or verdict["message_id"] != message.id:
        return None
    return verdict
