"""Bases of a closed world: which questions they cannot know anything of."""

import re

from ct_guard.adapters import Scope
from ct_guard.query import clean
from ct_guard.records import QuestionAnswer

__all__ = ["OutOfScopeWarning", "is_outside"]

_WORD = re.compile(r"(?<![\w'’])[^\W\d_][\w'’]*")


class OutOfScopeWarning(UserWarning):
    """The base model cannot know what was asked: its world is a closed one."""


def is_outside(scope: Scope, qa: QuestionAnswer) -> bool:
    """Whether the question uses a lower-case word that this world does not have."""
    asked, _ = clean(qa.asked())
    words = {word for word in _WORD.findall(asked) if word.islower() and len(word) > 1}
    framed = {
        asked.removeprefix(begin).removesuffix(end)
        for begin, end in scope.frames
        if asked.startswith(begin) and asked.endswith(end)
    }
    quoted = set(re.findall(r"'(\w+)'", asked))
    return not words <= scope.words | framed | quoted
