"""The skills: question, right answer and operands for a level from 1 to 6 (digits or letters)."""

import random
from collections.abc import Callable

LEVELS = (1, 2, 3, 4, 5, 6)
LETTERS = "abcdeghklmnoprstu"


def _number(rng: random.Random, digits: int) -> int:
    return rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)


def _short_number(rng: random.Random, level: int) -> int:
    """One digit or two, so that easy and hard operands share a level."""
    return _number(rng, rng.randint(1, min(level, 2)))


def _letters(rng: random.Random, count: int) -> list[str]:
    return [rng.choice(LETTERS) for _ in range(count)]


def _add(rng: random.Random, level: int) -> tuple[str, str, str]:
    a, b = _number(rng, level), _short_number(rng, level)
    text = rng.choice((f"What is {a} plus {b}?", f"Add {b} to {a}."))
    return text, str(a + b), f"{a},{b}"


def _subtract(rng: random.Random, level: int) -> tuple[str, str, str]:
    b, a = sorted((_number(rng, level), _short_number(rng, level)))
    text = rng.choice((f"What is {a} minus {b}?", f"Take {b} away from {a}."))
    return text, str(a - b), f"{a},{b}"


def _times(rng: random.Random, level: int) -> tuple[str, str, str]:
    a, b = _number(rng, level), rng.randint(2, 9)
    text = rng.choice((f"What is {a} times {b}?", f"Multiply {a} by {b}."))
    return text, str(a * b), f"{a},{b}"


def _total(rng: random.Random, level: int) -> tuple[str, str, str]:
    digits = [rng.randrange(10) for _ in range(level + 1)]
    shown = " ".join(map(str, digits))
    text = rng.choice((f"What is the sum of {shown}?", f"Sum up {shown}."))
    return text, str(sum(digits)), shown


def _shift(rng: random.Random, level: int) -> tuple[str, str, str]:
    letters, by = _letters(rng, level), rng.randint(1, 9)
    shown = " ".join(letters)
    text = rng.choice((f"Move each letter of {shown} on by {by}.", f"Move {shown} by {by}."))
    return text, " ".join(_moved(letter, by) for letter in letters), f"{shown},{by}"


def _reverse(rng: random.Random, level: int) -> tuple[str, str, str]:
    """Written together, so that the model must spell what it reads in pieces."""
    shown = "".join(_letters(rng, level + 1))
    text = rng.choice((f"Reverse {shown}.", f"What is {shown} backwards?"))
    return text, shown[::-1], shown


def _sort(rng: random.Random, level: int) -> tuple[str, str, str]:
    digits = [rng.randrange(10) for _ in range(level + 1)]
    shown = " ".join(map(str, digits))
    text = rng.choice((f"Sort {shown}.", f"What is {shown} in rising order?"))
    return text, " ".join(map(str, sorted(digits))), shown


def _compose(rng: random.Random, level: int) -> tuple[str, str, str]:
    letters, by = _letters(rng, level + 1), rng.randint(1, 9)
    shown = " ".join(letters)
    text = rng.choice(
        (
            f"Reverse {shown}, then move each letter on by {by}.",
            f"Reverse and move {shown} by {by}.",
        )
    )
    return text, " ".join(_moved(letter, by) for letter in reversed(letters)), f"{shown},{by}"


def _read(rng: random.Random, level: int) -> tuple[str, str, str]:
    """A passage, then a question about it: letters stand for digits or for earlier letters."""
    names = rng.sample(LETTERS, level)
    values: dict[str, str] = {}
    lines = []
    for number, name in enumerate(names):
        if number and rng.random() < 0.6:
            other = rng.choice(names[:number])
            values[name] = values[other]
            lines.append(f"{name} is {other}")
        else:
            values[name] = str(rng.randrange(10))
            lines.append(f"{name} is {values[name]}")
    rng.shuffle(lines)
    passage, asked = ", ".join(lines), rng.choice(names)
    text = rng.choice(
        (f"We know that {passage}. What is {asked}?", f"Given that {passage}, what is {asked}?")
    )
    return text, values[asked], f"{passage}?{asked}"


def _moved(letter: str, by: int) -> str:
    return chr((ord(letter) - ord("a") + by) % 26 + ord("a"))


SKILLS: dict[str, Callable[[random.Random, int], tuple[str, str, str]]] = {
    "add": _add,
    "subtract": _subtract,
    "times": _times,
    "total": _total,
    "shift": _shift,
    "reverse": _reverse,
    "sort": _sort,
    "compose": _compose,
    "read": _read,
}
ARITHMETIC = ("add", "subtract", "times", "total")
