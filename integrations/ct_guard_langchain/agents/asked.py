"""What a person was asked about calls of tools. A run may be resumed under another policy than it
was paused under, and what they decide counts all the same: so LangGraph keeps the question where it
keeps the answers that a task has had."""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.runnables import ensure_config
from typing_extensions import TypedDict

from ct_guard.records import ReviewChoice

__all__ = ["Question", "asked_before", "asking"]

_SCRATCHPAD, _SEND, _RESUME = "__pregel_scratchpad", "__pregel_send", "__resume__"
"""LangGraph's keys for what a task was answered so far, and for what outlasts its interrupt."""

_ABOUT = "ct_guard_asked"


class Question(TypedDict):
    """What a person is asked, plain JSON."""

    places: list[int]
    """Of the calls in their message."""
    reasons: list[str]
    """Why each of them."""
    allowed: list[ReviewChoice]


def asked_before(about: str) -> Question | None:
    """The question for which this task was paused, to be asked again right after: its answer is
    there. `about` tells it from others in the task."""
    pad: Any = _settings().get(_SCRATCHPAD)
    for kept in () if pad is None else pad.resume:
        if isinstance(kept, Mapping) and kept.get(_ABOUT) == about:
            pad.interrupt_counter()  # it has the place of an answer
            return cast("Question", kept)
    return None


def asking(about: str, question: Question) -> Question:
    """The question, which is kept; to be asked right after."""
    settings = _settings()
    pad = settings.get(_SCRATCHPAD)
    if pad is not None and pad.interrupt_counter() == len(pad.resume):
        pad.resume.append({_ABOUT: about, **question})
        settings[_SEND]([(_RESUME, pad.resume)])
    return question


def _settings() -> Mapping[str, Any]:
    return ensure_config().get("configurable") or {}
