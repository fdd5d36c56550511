"""What an expression comes to: sums, products, powers, factorials, roots and binomials."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException, localcontext

__all__ = ["OPERATIONS", "PREFIXES", "Token", "worked_out"]

OPERATIONS = frozenset({"+", "-", "*", "/", "^", "mod", "choose"})
"""Between two operands."""
PREFIXES = frozenset({"root", "binom", "frac"})
"""Before one or two."""
_LARGEST = 170
"""Exponent, or number below a factorial."""
_DIGITS = 400
"""That are kept on the way: a whole number is exact."""
_DEEPEST = 20
"""Brackets within brackets."""


@dataclass(frozen=True, slots=True)
class Token:
    """A part of an expression: an operation, `(`, `)`, `!`, a prefix, `letter` or `number`."""

    kind: str
    start: int
    end: int
    value: Decimal | None = None
    """Of a number; None: which one it is is not clear."""


def worked_out(tokens: Sequence[Token]) -> Decimal | None:
    """The value; None where it depends on a letter, is no whole root, or is beyond reach."""
    reading = _Reading(tokens)
    try:
        with localcontext() as context:
            context.prec = _DIGITS
            value = reading.sum()
        whole = value == value.to_integral_value()
    except (_Beyond, DecimalException):
        return None
    if not reading.is_done or not value.is_finite():
        return None
    return value if whole else +value


class _Beyond(Exception):
    """It is not worked out here."""


class _Reading:
    """Each method reads one kind of part, from where the last one ended, and gives its value."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    @property
    def is_done(self) -> bool:
        return self.at == len(self.tokens)

    def sum(self) -> Decimal:
        value = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            value = value + other if sign == "+" else value - other
        return value

    def _product(self) -> Decimal:
        value = self._signed()
        while True:
            sign = self._take("*", "/", "mod", "choose")
            if not sign and self._next() not in PREFIXES | {"("}:
                return value
            other = self._signed()
            match sign:
                case "/":
                    value /= other
                case "mod":
                    value -= other * (value / other).to_integral_value("ROUND_FLOOR")
                case "choose":
                    value = _binomial(value, other)
                case _:
                    value *= other

    def _signed(self) -> Decimal:
        sign = self._take("-", "+")
        value = self._power()
        return -value if sign == "-" else value

    def _power(self) -> Decimal:
        value = self._counted()
        if not self._take("^"):
            return value
        exponent = self._within(self._signed)
        if abs(exponent) > _LARGEST:
            raise _Beyond
        return value**exponent

    def _counted(self) -> Decimal:
        value = self._operand()
        while self._take("!"):
            value = Decimal(math.factorial(_count(value)))
        return value

    def _operand(self) -> Decimal:
        if self.is_done:
            raise _Beyond
        token = self.tokens[self.at]
        self.at += 1
        match token.kind:
            case "number" if token.value is not None:
                return token.value
            case "(":
                value = self._within(self.sum)
                if self._take(")"):
                    return value
            case "root":
                root = self._within(self._operand).sqrt()
                if root == root.to_integral_value() and self._next() != "(":
                    return root
            case "binom" | "frac":
                one, other = self._within(self._operand), self._within(self._operand)
                return _binomial(one, other) if token.kind == "binom" else one / other
        raise _Beyond

    def _within(self, part: Callable[[], Decimal]) -> Decimal:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _Beyond
        value = part()
        self.depth -= 1
        return value

    def _next(self) -> str:
        return "" if self.is_done else self.tokens[self.at].kind

    def _take(self, *kinds: str) -> str:
        kind = self._next()
        if kind not in kinds:
            return ""
        self.at += 1
        return kind


def _count(value: Decimal) -> int:
    if value != value.to_integral_value() or not 0 <= value <= _LARGEST:
        raise _Beyond
    return int(value)


def _binomial(one: Decimal, other: Decimal) -> Decimal:
    return Decimal(math.comb(_count(one), _count(other)))
