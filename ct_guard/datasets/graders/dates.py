"""Dates as people write them, and whether a text names the one that another text is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Date", "day_named", "sole_date"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<day>0?[1-9]|[12][0-9]|3[01])(?![0-9])(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>1[0-9]{3}|20[0-9]{2})(?![0-9])"
_GAP = r"(?:,?\s{1,3}|\s?,\s?)(?:of\s)?"
_WRITTEN = tuple(
    re.compile(rf"(?<![\w/.-]){form}", re.IGNORECASE)
    for form in (
        rf"{_DAY}(?:\s|-)(?:of\s)?{_MONTH}(?:(?:{_GAP}|-){_YEAR})?",  # 4 July 1776
        rf"{_MONTH}\s{{1,2}}(?:the\s)?{_DAY}(?:{_GAP}{_YEAR})?",  # July 4, 1776
        rf"{_MONTH}{_GAP}{_YEAR}",  # July 1776
        rf"{_YEAR}-(?P<month>0[1-9]|1[0-2])-{_DAY}",  # 1776-07-04
        rf"(?P<month>[0-9]{{1,2}})(?P<sign>[/.-])(?P<day>[0-9]{{1,2}})(?P=sign){_YEAR}",  # 7/4/1776
    )
)
_AROUND = re.compile(r"[\s.,:;()*'\"]*(?:(?:in|on|the|by|since|circa|c)\b[\s.]*)*", re.IGNORECASE)
"""What may stand beside a date that a text is."""


@dataclass(frozen=True)
class Date:
    """A day, or as much of it as is named, and where that stands in its text."""

    parts: frozenset[tuple[int | None, int, int | None]]
    """Year, month and day; two readings of 7/4/1776."""
    start: int
    end: int

    def is_within(self, other: "Date") -> bool:
        """Whether the other date, in each of its readings, names all parts of this one alike."""
        return all(
            any(
                all(mine in (None, its) for mine, its in zip(one, another, strict=True))
                for one in self.parts
            )
            for another in other.parts
        )

    def can_be(self, other: "Date") -> bool:
        """Whether no part that both name differs."""
        return any(
            all(None in pair or pair[0] == pair[1] for pair in zip(one, another, strict=True))
            for one in self.parts
            for another in other.parts
        )


def sole_date(text: str) -> Date | None:
    """The date with a year that a text is, and no more."""
    dates = list(_dates_in(text))
    if len(dates) != 1 or any(year is None for year, _, _ in dates[0].parts):
        return None
    beside = text[: dates[0].start], text[dates[0].end :]
    return dates[0] if all(map(_AROUND.fullmatch, beside)) else None


def day_named(answer: str, date: Date) -> tuple[Literal["same", "maybe", "other"], Date] | None:
    """What an answer's dates are to a date: the last one names the same day, one of them can be it,
    or all are others; None where it names none. With the one that tells."""
    dates = list(_dates_in(answer))
    if not dates:
        return None
    if date.is_within(dates[-1]):
        return "same", dates[-1]
    possible = [one for one in dates if date.can_be(one)]
    return ("maybe", possible[-1]) if possible else ("other", dates[-1])


def _dates_in(text: str) -> Iterator[Date]:
    """In their order; of those that overlap, the one that begins first and then the longest."""
    found = sorted(
        (match for form in _WRITTEN for match in form.finditer(text)),
        key=lambda match: (match.start(), -match.end()),
    )
    end = 0
    for match in found:
        if match.start() >= end and (parts := _parts(match)):
            end = match.end()
            yield Date(parts, match.start(), end)


def _parts(found: re.Match[str]) -> frozenset[tuple[int | None, int, int | None]]:
    named = found.groupdict()
    year = int(named["year"]) if named.get("year") else None
    day = int(named["day"]) if named.get("day") else None
    if not named["month"].isdecimal():
        return frozenset({(year, _MONTHS.index(named["month"][:3].lower()) + 1, day)})
    month = int(named["month"])
    pairs = {(month, day), (day or 0, month)} if named.get("sign") else {(month, day)}
    return frozenset(
        (year, one, other) for one, other in pairs if 1 <= one <= 12 and 1 <= (other or 1) <= 31
    )
