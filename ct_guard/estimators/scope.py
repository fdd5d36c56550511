"""Bases of a closed world: which questions they cannot know anything of."""

import re
import warnings

from ct_guard.query import clean
from ct_guard.records import QuestionAnswer
from ct_guard.store import Scope

__all__ = ["OutOfScopeWarning", "is_outside", "warn_outside"]

_WORD = re.compile(r"(?<![\w'’])[^\W\d_][\w'’]*")


class OutOfScopeWarning(UserWarning):
    """The base model cannot know what was asked: its world is a closed one."""


def is_outside(scope: Scope | None, qa: QuestionAnswer) -> bool:
    """Whether the question uses a lower-case word that this world does not have; an open world
    (None) has all."""
    if scope is None:
        return False
    asked, _ = clean(qa.asked())
    words = {word for word in _WORD.findall(asked) if word.islower() and len(word) > 1}
    framed = {
        asked.removeprefix(begin).removesuffix(end)
        for begin, end in scope.frames
        if asked.startswith(begin) and asked.endswith(end)
    }
    quoted = set(re.findall(r"'(\w+)'", asked))
    return not words <= scope.words | framed | quoted


def warn_outside(name: str, scope: Scope | None) -> None:
    """An OutOfScopeWarning of the estimator of this name, at its caller's caller."""
    world = "" if scope is None else f" ({scope.description})"
    warnings.warn(
        f"{name} knows only its own world{world}; its figures for other questions mean nothing",
        OutOfScopeWarning,
        stacklevel=4,
    )
