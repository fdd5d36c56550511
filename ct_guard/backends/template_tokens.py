"""Which tokens belong to the chat template, flagged "special" or not; no user text becomes them."""

import re
from collections.abc import Callable, Collection, Iterable

from ct_guard.errors import MismatchError
from ct_guard.records import Message

from .segments import PLAIN_TEXT_IS_SPECIAL

__all__ = ["added_markup", "apart_from", "rendered_probes", "vocabulary_markup"]

_MARKUP = re.compile(r"\s*[<\[{].*\w.*[>\]}]\s*", re.DOTALL)
_PROBES = (
    (Message(role="system", content="s"), Message(role="user", content="u")),
    (Message(role="user", content="u"), Message(role="assistant", content="a")),
    (Message(role="user", content="u"),),
)


def rendered_probes(render: Callable[[tuple[Message, ...], bool], str]) -> str:
    """What a chat template writes around a few short conversations; "" where it has none. `render`
    is told whether a generation prompt is wanted."""
    written = []
    for turns in _PROBES:
        try:
            written += [render(turns, True), render(turns, False)]
        except MismatchError:  # of a conversation that the template does not know
            continue
    return "\n".join(written)


def added_markup(tokens: Iterable[str], template: str) -> set[str]:
    """Of the tokens that a tokenizer finds in any text before all others: those that stand in the
    template, in its source or in what it writes. Words and white space mark nothing."""
    return {
        token
        for token in tokens
        if token in template and any(map(str.isalnum, token)) and not token.strip().isalnum()
    }


def vocabulary_markup(tokens: Iterable[str], written: str) -> set[str]:
    """Of the ordinary tokens of a vocabulary: those that the template writes and that look like its
    marks, as `[INST]` does."""
    return {token for token in tokens if len(token) > 2 and token in written and _is_mark(token)}


def _is_mark(token: str) -> bool:
    return _MARKUP.fullmatch(token) is not None


def apart_from(
    marks: Collection[str],
    encode: Callable[[str], list[int]],
    is_marked: Callable[[list[int]], bool],
) -> Callable[[str], list[int]]:
    """`encode` for user text. Where its ids would hold one of the template's tokens, the text is
    taken apart within each of `marks` and its pieces are encoded alone.

    Raises MismatchError where even that makes such a token.
    """
    pattern = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or r"(?!)")

    def encode_apart(text: str) -> list[int]:
        ids = encode(text)
        if is_marked(ids):
            ids = [one for piece in _pieces(text, pattern) for one in encode(piece)]
            if is_marked(ids):
                raise MismatchError(PLAIN_TEXT_IS_SPECIAL)
        return ids

    return encode_apart


def _pieces(text: str, marks: re.Pattern[str]) -> list[str]:
    """The text, cut behind the first character of every mark."""
    cuts = [0]
    while found := marks.search(text, cuts[-1]):
        cuts.append(found.start() + 1)
    return [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True) if a < b]
