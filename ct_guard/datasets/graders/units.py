"""Units behind numbers, and the signs of money before them: which of two are the same quantity."""

import re
from decimal import Decimal
from typing import NamedTuple

__all__ = ["UNITS_BEHIND", "Unit", "unit_of"]


class Unit(NamedTuple):
    """Numbers of one `quantity` are compared by their `size`; of two quantities, they are not."""

    quantity: str
    size: Decimal

    def factors(self) -> list[Decimal]:
        """What a number in it is multiplied by, to be in each unit of the quantity."""
        sizes = {other.size for other in _UNITS.values() if other.quantity == self.quantity}
        return [self.size / size for size in sizes]


_SIZES = {
    "length": {"mm": "0.001", "cm": "0.01", "m": "1", "metre metres meter meters": "1",
               "km kilometre kilometres kilometer kilometers": "1000", "inch inches": "0.0254",
               "ft foot feet": "0.3048", "yd yard yards": "0.9144", "mile miles": "1609.344"},
    "mass": {"mg": "0.001", "g gram grams": "1", "kg kilogram kilograms": "1000",
             "lb lbs": "453.59237"},
    "time": {"ms": "0.001", "s sec second seconds": "1", "min mins minute minutes": "60",
             "h hr hrs hour hours": "3600", "day days": "86400", "week weeks": "604800"},
    "months": {"month months": "1", "year years": "12"},
    "volume": {"ml mL": "0.001", "cl cL": "0.01", "l L litre litres liter liters": "1"},
    "speed": {"km/h kph": "1", "m/s": "3.6", "km/s": "3600", "mph": "1.609344"},
    "era": {"BC BCE": "-1", "AD CE": "1"},
    "dollars": {"$ USD dollar dollars": "1", "cent cents": "0.01"},
    "euros": {"\u20ac EUR euro euros": "1"},
    "pounds sterling": {"\u00a3 GBP": "1", "pence": "0.01"},
    "yen": {"\u00a5 JPY yen": "1"},
    "rupees": {"\u20b9 INR rupee rupees": "1"},
    "degrees Celsius": {"\u00b0C": "1"},
    "degrees Fahrenheit": {"\u00b0F": "1"},
}  # fmt: skip
_UNITS = {
    name: Unit(quantity, Decimal(size))
    for quantity, sizes in _SIZES.items()
    for names, size in sizes.items()
    for name in names.split()
}
UNITS_BEHIND = re.compile(
    rf"\s?({'|'.join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))})(?![\w/^\u00b2\u00b3])"
)


def unit_of(written: str | re.Match[str] | None) -> Unit | None:
    """The unit that a sign of money or a match of `UNITS_BEHIND` stands for."""
    if written is None:
        return None
    return _UNITS[written.strip() if isinstance(written, str) else written[1]]
