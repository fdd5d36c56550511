"""Which fields of an answer are right, given an object that is."""

import math
import re
import unicodedata
from typing import Any

from .leaves import Leaf, fields_of

__all__ = ["grade_fields"]

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
    the gold one, also where one of the two is written as text; an empty field is right where the
    gold one is empty or not there. Places of lists count in their order.
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
    numbers = _number(said.value), _number(gold.value)
    if numbers[0] is not None and numbers[1] is not None:
        return math.isclose(numbers[0], numbers[1], rel_tol=max(tolerance, 1e-9), abs_tol=1e-12)
    return _plain(said.value) == _plain(gold.value)


def _number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip()
    return float(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def _plain(value: Any) -> str:
    text = unicodedata.normalize("NFKC", str(value)).casefold()
    return " ".join(text.split()).strip(" .,;:!?'\"")
