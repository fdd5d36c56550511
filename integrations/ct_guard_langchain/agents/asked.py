"""What a person was asked. A run may be resumed under another policy than it was paused under, and
what they decide counts all the same, but for nothing else than what they were shown: so LangGraph
keeps the question where it keeps the answers that a task has had."""

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
    """Of the calls in their message; none: it is about an answer."""
    reasons: list[str]
    """Why each of them, or the answer."""
    allowed: list[ReviewChoice]


def asked_before(about: str) -> Question | None:
    """The question for which this task was paused, to be asked again right after: its answer is
    there. `about` tells it from others in the task."""
    pad: Any = _settings().get(_SCRATCHPAD)
    for at, kept in enumerate(() if pad is None else pad.resume):
        if isinstance(kept, Mapping) and kept.get(_ABOUT) == about:
            _pass(pad, at)  # it has the place of an answer
            return cast("Question", kept)
    return None


def asking(about: str, question: Question) -> Question:
    """The question, which is kept; to be asked right after. An answer that is there already is to
    another question, as of an agent inside a tool, and is dropped: that one is asked again."""
    settings = _settings()
    pad: Any = settings.get(_SCRATCHPAD)
    if pad is not None:
        _pass(pad, len(pad.resume))
        pad.get_null_resume(True)
        pad.resume.append({_ABOUT: about, **question})
        settings[_SEND]([(_RESUME, pad.resume)])
    return question


def _pass(pad: Any, at: int) -> None:
    """Take the places of a task's answers up to this one."""
    while pad.interrupt_counter() < at:
        pass


def _settings() -> Mapping[str, Any]:
    return ensure_config().get("configurable") or {}
