"""Whether the answer that is judged is the only one in a chain's output."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from itertools import takewhile
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from ct_guard.errors import UsageError

from .envelopes import is_answer, is_graph_output, last_answer, message_of, plain_text
from .hearing import ModelCall
from .outputs import ANSWERS, ECHOED, is_question
from .sayings import Saying, canonical, leaves_of

__all__ = ["check_sole"]

_Path = tuple[Any, ...]


def check_sole(
    output: Any,
    answer: BaseMessage,
    *,
    gated: bool,
    given: Any = None,
    call: ModelCall | None = None,
    calls: Sequence[ModelCall] = (),
) -> None:
    """`answer` is judged of an output, and was said in `call`. Where it also holds what other
    `calls` were heard to say, or something else under another key by which chains are known to
    answer, that is a UsageError if it is `gated`, so that an answer may be withheld, and a warning
    if not. What was `given` to the chain may stand in it anywhere."""
    if is_graph_output(output):
        output = output.value
    if not isinstance(output, Mapping | list | tuple):
        return
    said = Saying(call.answer) if call is not None else None
    others = [Saying(each.answer) for each in calls if each is not call]
    look = _Look(answer.text.strip(), said, others, frozenset(leaves_of(given)))
    if is_answer(output) or look.is_judged(output):
        return
    found = [*dict.fromkeys([*look.known(output), *look.within(output)])]
    if not found:
        return
    problem = _several(look.place(output), found)
    if gated:
        raise UsageError(problem)
    warnings.warn(problem, UserWarning, stacklevel=2)


@dataclass(frozen=True)
class _Look:
    judged: str
    said: Saying | None
    others: Sequence[Saying]
    given: frozenset[str]

    def is_judged(self, value: Any) -> bool:
        text = _text(value)
        if text is not None and text == self.judged:
            return True
        if text is None and canonical(value) == self.judged:
            return True
        return self.said is not None and self.said.repeats(value)

    def known(self, output: Any) -> Iterator[_Path]:
        """Keys by which chains are known to answer, with another answer than the one judged."""
        if not isinstance(output, Mapping) or not any(self._echoes(output, key) for key in output):
            return
        texts = (key for key in ANSWERS if _text(output.get(key)) and not self._echoes(output, key))
        yield from ((key,) for key in texts if not self._is_of_the_judged(output[key]))

    def within(self, value: Any, path: _Path = ()) -> Iterator[_Path]:
        """Where other models' answers stand."""
        if self.is_judged(value) or _text(value) in self.given:
            return
        if path and any(other.stands_in(value) for other in self.others):
            yield path
            return
        for name, inside in _parts(value, *path[-1:]):
            yield from self.within(inside, (*path, name))

    def place(self, output: Any) -> Any:
        """The key of the answer that is judged, where it has one."""
        if not isinstance(output, Mapping):
            return None
        keys = sorted(output, key=lambda key: key in ECHOED)
        return next((key for key in keys if _text(output[key]) == self.judged), None)

    def _is_of_the_judged(self, value: Any) -> bool:
        """Whether it is judged: as it is, or as a part of the message that is judged whole."""
        whole = self.said is not None and self.said.text == self.judged
        return _text(value) == self.judged or (whole and self.is_judged(value))

    def _echoes(self, output: Mapping[Any, Any], key: Any) -> bool:
        return key in ECHOED or _text(output.get(key)) in self.given


def _parts(value: Any, name: Any = None) -> list[tuple[Any, Any]]:
    """What may be an answer in a value of this name: of a conversation the last one."""
    if _text(value) is not None:
        return []
    if is_dataclass(value) and not isinstance(value, type):
        value = vars(value)
    if isinstance(value, BaseModel | Mapping):
        parts = dict(value).items()
        return [(key, each) for key, each in parts if key not in ECHOED and not is_question(key)]
    if isinstance(value, set | frozenset):
        value = list(value)
    if not isinstance(value, list | tuple):
        return []
    turns = (isinstance(each, BaseMessage) and not is_answer(each) for each in value)
    if name == "messages" or any(turns):
        at = last_answer(value)
        return [] if at is None else [(at, value[at])]
    return list(enumerate(value))


def _text(value: Any) -> str | None:
    if isinstance(value, Mapping | tuple) and is_answer(value):
        return plain_text(message_of(value))
    return plain_text(value)


def _several(judged: Any, found: Sequence[_Path]) -> str:
    others = [_name(path) for path in found]
    names = dict.fromkeys([judged, *others] if isinstance(judged, str) else others)
    how = repr(judged) if isinstance(judged, str) else "lambda output: …"
    return (
        f"the chain's output holds several answers, under {' and '.join(map(repr, names))}, and one"
        f" is judged: say which, as in guard.wrap(chain, answer={how}); the others are then"
        " delivered unjudged"
    )


def _name(path: _Path) -> str:
    """The keys to a part; of lists as a whole."""
    keys = [str(step) for step in takewhile(lambda step: not isinstance(step, int), path)]
    return ".".join(keys) or str(path[0])
