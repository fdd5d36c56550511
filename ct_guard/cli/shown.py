"""Texts of strangers on a terminal: names in manifests, rows, replies of servers, column values.

A terminal obeys escape sequences, and a line that ends where its author wants can be followed by a
line that looks like ours. So control characters, those that change the direction of writing or
cannot be seen, and line ends within a value are shown as their escapes.
"""

import re
import unicodedata

import click

__all__ = ["one_line", "say", "shown"]

_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_PLAIN = re.compile(r"[\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff]*")
_BETWEEN_LETTERS = "\u200c\u200d"
"""Joiners, which are part of how some scripts and emoji are written."""


def shown(text: str) -> str:
    """`text` as one line that a terminal only shows: what it would obey, or hide, is escaped."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_visible, text))


def one_line(text: str) -> str:
    """`shown` of a message of ours, which may have line ends where it was put together."""
    return shown(" ".join(text.split()))


def say(text: str, *, out: bool = False) -> None:
    """Prints a text that ends lines where it means to, on stderr or (`out`) on stdout."""
    click.echo("\n".join(map(shown, text.split("\n"))), err=not out)


def _visible(character: str) -> str:
    if character in _BETWEEN_LETTERS or unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")
