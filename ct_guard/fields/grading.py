"""Which fields of an answer are right, given an object that is."""

import math
import re
import unicodedata
from decimal import Decimal
from typing import Any

from .leaves import Leaf, fields_of

__all__ = ["grade_fields"]

_CODE = re.compile(r"\s*[-+]?0\d|\s*\+|.*[eE]")
"""What two texts that are codes or phone numbers, and no numbers, look like."""
_NUMBER = re.compile(
    r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
)


def grade_fields(
    said: Any, gold: Any, asked: tuple[str, ...] = (), *, tolerance: float = 0.0
) -> dict[str, bool]:
    """By path, whether a field of `said` is that of `gold`, both JSON values.

    Judged are the leaves of the answer (or those `asked` for), and the leaves of `gold` that the
    answer lacks, which are wrong: their fields are missing. Texts are the same whatever their case,
    accents' form, white space and punctuation at the ends; numbers within `tolerance`, a share of
    the gold one (whole ones digit by digit, where that is 0), also where one of the two is written
    as text; of two texts, 007, +49 and 12e3 are codes. An empty field is right where the gold one
    is empty or not there. Places of lists count in their order.
    """
    right = {leaf.steps: leaf for leaf in fields_of(gold, asked)}
    given = {leaf.steps: leaf for leaf in fields_of(said, asked)}
    full = {steps[:at] for steps, leaf in right.items() if leaf.filled for at in range(len(steps))}
    made = {
        leaf.path: _same(leaf, right.get(steps), tolerance) and steps not in full
        for steps, leaf in given.items()
    }
    for steps, leaf in right.items():
        told = any(steps[:at] in given for at in range(len(steps) + 1))
        if leaf.filled and not told:
            made[leaf.path] = False
    return made


def _same(said: Leaf, gold: Leaf | None, tolerance: float) -> bool:
    if gold is None or not gold.filled or not said.filled:
        return not said.filled and (gold is None or not gold.filled)
    if said.kind == "truth" or gold.kind == "truth":
        return _plain(said.value) == _plain(gold.value)
    if _plain(said.value) == _plain(gold.value):
        return True
    written = said.value, gold.value
    if all(isinstance(one, str) for one in written) and any(map(_CODE.match, written)):
        return False
    one, other = _number(said.value), _number(gold.value)
    if one is None or other is None:
        return False
    if not tolerance and _is_whole(one) and _is_whole(other):
        return one == other
    return math.isclose(one, other, rel_tol=max(tolerance, 1e-9), abs_tol=1e-12)


def _number(value: Any) -> Decimal | None:
    text = str(value).strip()
    return Decimal(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def _plain(value: Any) -> str:
    text = " ".join(unicodedata.normalize("NFKC", str(value)).casefold().split())
    return text.strip(" .,;:!?'\"") or text
