"""Expressions that are not worked out, where a number was to be: 2^{10} - 1, 7!, 3x + 7."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from .arithmetic import OPERATIONS, PREFIXES, Token, worked_out
from .numbers import Number

__all__ = ["Expression", "expression_around"]

_REACH = 120
"""Characters on either side of a number within which its expression stands."""
_KINDS = {
    "plus": "+", "minus": "-", "\u2212": "-", "\u2013": "-", "times": "*", "multiplied by": "*",
    "\\times": "*", "\\cdot": "*", "\u00d7": "*", "\u00b7": "*", "\u2217": "*",
    "divided by": "/", "\\div": "/", "\u00f7": "/", "**": "^", "modulo": "mod", "\\bmod": "mod",
    "\\mod": "mod", "\\choose": "choose", "\\sqrt": "root", "sqrt": "root", "\u221a": "root",
    "\\binom": "binom", "\\dbinom": "binom", "\\tbinom": "binom", "\\frac": "frac",
    "\\dfrac": "frac", "\\tfrac": "frac", "{": "(", "}": ")", "[": "(", "]": ")",
}  # fmt: skip
"""Of what is written in another way than the kind's own name."""
_TOKEN = re.compile(
    r"[ \u00a0\u2009]+|\\[a-zA-Z]+"
    r"|\b(?:plus|minus|times|multiplied by|divided by|modulo|mod|choose|sqrt)\b"
    r"|\*\*|[-+*/^!(){}\[\]\u00d7\u00b7\u00f7\u2212\u2013\u2217\u221a]"
    r"|(?<![^\W\d_])[^\W\d_](?![^\W\d_'\u2019])|[0-9]+(?:\.[0-9]+)?"
)
_SPACED_ALIKE = frozenset({"+", "-", "*", "/", "**", "\u2212", "\u2013"})
"""Signs that are an operation only with a gap on both sides or on none: else one of a number, of a
list, or of bold print."""
_BRACKETS = frozenset({"\\left", "\\right"})
_WORD = re.compile(r"\\?[^\W\d_]{2,}")
_SPELLED = frozenset(
    ("plus", "minus", "times", "multiplied", "divided", "by", "mod", "modulo", "choose", "sqrt")
)
_VARIABLES = frozenset("xyznNmkt")
"""Letters that a dash or a slash may stand behind and be an operation; of A - 7, f/2 it is none."""
_LOUD = re.compile(r"!['\"\u201d*]*(?:\s|\Z)")
_UNIT = re.compile(
    r"[ \u00a0\u2009][^\W\d_]{1,3}(?:\^\{?[-\u2212]?[1-4]\}?|/[^\W\d_]{1,3}(?![^\W\d_]))+"
)
"""Of several signs, behind a number: m^2, m/s."""
_SIZE = re.compile(r"(?<=[0-9])\s?x\s?(?=[0-9])")


@dataclass(frozen=True)
class Expression:
    """Numbers that make another one."""

    start: int
    end: int
    value: Decimal | None
    """What it comes to; None where that depends on a letter, or is beyond reach."""
    written: str
    """Its numbers and operations in one spelling; empty where it has others."""
    has_letters: bool
    reading: Literal["sure", "either", "loud"]
    """`either`: it may be something else, as 5-7 a span and 5 x 7 a size; `loud`: it is most likely
    a number and an exclamation mark."""


def expression_around(text: str, number: Number, numbers: Sequence[Number]) -> Expression | None:
    """The expression that one of the numbers of a text is a part of; None where it stands alone, in
    words, or in a date or a quotient."""
    if not any(map(str.isdecimal, text[number.start : number.end])):
        return None
    is_bare = _is_bare(text)
    run = _trimmed(text, _run_around(text, number, numbers), is_bare)
    operations = [one.kind for one in run if one.kind in OPERATIONS | PREFIXES or one.kind == "!"]
    digits = [one for one in run if one.kind == "number"]
    if not operations or (len(run) == len(digits) + len(operations) and _is_chain(operations)):
        return None
    value = worked_out(run)
    is_span = operations == ["-"] and not _is_minus(text, digits)
    is_size = any(one.kind == "*" and text[one.start] == "x" for one in run)
    reading: Literal["sure", "either", "loud"] = "sure"
    if operations == ["!"] and not is_bare and _LOUD.match(text, run[-1].start):
        reading = "loud"
    elif value is None or is_span or is_size or operations == ["!"]:
        reading = "either"
    return Expression(
        start=run[0].start,
        end=run[-1].end,
        value=None if is_span else value,
        written=_written(run) if value is not None else "",
        has_letters=any(one.kind == "letter" for one in run),
        reading=reading,
    )


def _written(run: Sequence[Token]) -> str:
    return " ".join(one.kind if one.value is None else f"{one.value.normalize()}" for one in run)


def _is_chain(operations: Sequence[str]) -> bool:
    return set(operations) == {"/"} or (len(operations) > 1 and set(operations) == {"-"})


def _is_minus(text: str, numbers: Sequence[Token]) -> bool:
    """Of 10^5 - 10^3: nobody counts down by powers."""
    values = [abs(one.value) for one in numbers if one.value is not None]
    return len(values) == 2 and values[0] > values[1] and "^" in text[: numbers[-1].end]


def _is_bare(text: str) -> bool:
    """Whether a text is short, and has no words but for operations."""
    words = (word[0].lower() for word in _WORD.finditer(text[: _REACH + 1]))
    return len(text) <= _REACH and all(one[0] == "\\" or one in _SPELLED for one in words)


def _run_around(text: str, number: Number, numbers: Sequence[Number]) -> list[Token]:
    """The unbroken row of tokens that a number stands in."""
    starts = {one.start: one for one in numbers}
    at, stop = max(0, number.start - _REACH), min(len(text), number.end + _REACH)
    run = [Token("cut", at, at)] if at else []
    while at < stop:
        read: list[Token] | None = None
        end = at + 1
        if at in starts:
            end = starts[at].end
            if unit := _UNIT.match(text, end):
                end = unit.end()
            read = _of_number(text, starts[at], run)
        elif found := _TOKEN.match(text, at):
            end = found.end()
            read = _of_sign(text, found)
        if read is None or not _goes_on(run, read):
            if at > number.start:
                break
            run = []
        run += read or []
        at = end
    return [*run, Token("cut", at, at)] if stop <= at < len(text) else run


def _of_number(text: str, one: Number, run: Sequence[Token]) -> list[Token]:
    """A number, whose sign is an operation behind another operand."""
    sign = text[one.start]
    is_operation = (
        sign in "+-\u2212\u2013"
        and bool(run)
        and _is_operand(run[-1])
        and (_is_spaced_alike(text, one.start, one.start + 1) or run[-1].kind == ")")
    )
    if not is_operation:
        return [Token("number", one.start, one.end, one.value)]
    value = None if one.value is None else abs(one.value)
    return [
        Token("+" if sign == "+" else "-", one.start, one.start + 1),
        Token("number", one.start + 1, one.end, value),
    ]


def _of_sign(text: str, found: re.Match[str]) -> list[Token] | None:
    """None for what ends a row."""
    written, start, end = found[0], found.start(), found.end()
    if written.isspace() or written in _BRACKETS:
        return []
    if written in _SPACED_ALIKE and not _is_spaced_alike(text, start, end):
        return None
    if written[0].isdecimal():
        return [Token("number", start, end, Decimal(written))]
    kind = _KINDS.get(written, written)
    if written == "x" and (_SIZE.match(text, start) or _SIZE.match(text, start - 1)):
        kind = "*"
    is_known = kind in OPERATIONS | PREFIXES or kind in ("(", ")", "!")
    return [Token(kind if is_known else "letter", start, end)]


def _is_spaced_alike(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start].isspace() == text[end : end + 1].isspace()


def _is_operand(token: Token) -> bool:
    return token.kind in ("number", "letter", ")", "!")


def _goes_on(run: Sequence[Token], tokens: Sequence[Token]) -> bool:
    """Whether tokens belong to the row before them: of two numbers side by side, the second does
    not, nor does a mark of exclamation apart."""
    if not run or not tokens:
        return True
    last, first = run[-1], tokens[0]
    if first.kind == "!":
        return _is_operand(last) and first.start == last.end
    return (last.kind, first.kind) != ("number", "number")


def _trimmed(text: str, run: Sequence[Token], is_bare: bool) -> Sequence[Token]:
    """Without what stands at its ends and is no part of it: signs of a list, brackets without a
    partner, units, and letters that are none of a formula."""
    alone = _unmatched(run)
    begin, end = 0, len(run)
    while begin < end and (begin in alone or not _begins(text, run[begin : begin + 2], is_bare)):
        begin += 1
    while end > begin and (end - 1 in alone or not _ends(run[max(begin, end - 2) : end], is_bare)):
        end -= 1
    return run[begin:end]


def _begins(text: str, tokens: Sequence[Token], is_bare: bool) -> bool:
    """Whether an expression begins with the first of two tokens."""
    first, behind = tokens[0], tokens[1] if len(tokens) > 1 else None
    if first.kind == "letter":
        if behind is None or behind.kind not in OPERATIONS:
            return False
        is_other = behind.kind in "-/" and text[first.start] not in _VARIABLES
        return behind.kind == "^" or (is_bare and not is_other)
    if first.kind == "-":
        return behind is not None and (behind.kind == "(" or behind.kind in PREFIXES)
    return first.kind not in OPERATIONS and first.kind != "!"


def _ends(tokens: Sequence[Token], is_bare: bool) -> bool:
    """Whether an expression ends with the last of two tokens."""
    last = tokens[-1]
    if last.kind == "letter":  # else a unit
        return is_bare and len(tokens) > 1 and tokens[0].kind in OPERATIONS
    return last.kind not in OPERATIONS


def _unmatched(run: Sequence[Token]) -> set[int]:
    """The places of brackets without a partner."""
    opened: list[int] = []
    alone: set[int] = set()
    for at, token in enumerate(run):
        if token.kind == "(":
            opened.append(at)
        elif token.kind == ")" and opened:
            opened.pop()
        elif token.kind == ")":
            alone.add(at)
    return alone.union(opened)
