"""Whether what a certificate promised still holds: tests of the answers as they come, and of what
came of them."""

from .alarm import Alarm, Kind
from .book import Answered, Book, Labelled
from .claims import Claim, claims_of
from .monitor import Monitor, answered
from .watch import (
    BOOK,
    FALSE_ALARM,
    Noted,
    Outcome,
    PromiseStanding,
    Standing,
    Watch,
    book_of,
    probabilities_of,
)

__all__ = [
    "BOOK",
    "FALSE_ALARM",
    "Alarm",
    "Answered",
    "Book",
    "Claim",
    "Kind",
    "Labelled",
    "Monitor",
    "Noted",
    "Outcome",
    "PromiseStanding",
    "Standing",
    "Watch",
    "answered",
    "book_of",
    "claims_of",
    "probabilities_of",
]
