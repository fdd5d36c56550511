"""Files as spreadsheets and other programs save them: what is no UTF-8 text with commas is refused
by name, once for the file."""

import re

from ct_guard.errors import InputError

from .compression import SUFFIXES, magic_of

__all__ = ["check_separator", "check_text"]

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_OBJECT = re.compile(rb'\s*\[?\s*\{\s*("[^"]*"\s*:|$)')
_SEP_LINE = re.compile(rb'"?sep=.?"?\s*', re.IGNORECASE)
_OTHERS = {
    b"PAR1": "a Parquet file: give it a name that ends in .parquet",
    b"PK\x03\x04": "a zip file, as spreadsheets and logs are: export it as CSV or JSON Lines",
    b"\xd0\xcf\x11\xe0": "a spreadsheet: save it as CSV with commas",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file with git lfs pull",
    b"<!doctype": "a page of HTML: download the file itself",
    b"<html": "a page of HTML: download the file itself",
    b"<?xml": "XML: export it as CSV or JSON Lines",
}
"""What other files begin with, and the way out."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def check_text(source: str, line: bytes) -> None:
    """Raises InputError where the first `line` of a file is UTF-16 or UTF-32, or packed, or that
    of another kind of file."""
    if (packed := magic_of(line)) is not None:
        raise InputError(
            f"{source}: is a {SUFFIXES[packed]} file: give it a name that ends in {packed}"
        )
    start = line[:32]
    for begins, what in _OTHERS.items():
        if start.startswith(begins) or start.lstrip().lower().startswith(begins):
            raise InputError(f"{source}: is {what}")
    halves = {line[0:8:2], line[1:8:2]}
    if line.startswith(_UTF_16) or (len(line) >= 8 and bytes(4) in halves):
        raise InputError(f"{source}: is UTF-16 or UTF-32 text: save it as UTF-8")


def check_separator(source: str, line: bytes, columns: int) -> None:
    """Raises InputError where the header `line`, which has so many `columns` between commas, shows
    a table of another kind."""
    check_text(source, line)
    if _SEP_LINE.fullmatch(line):
        raise InputError(
            f"{source}: begins with the line '{line.decode('ascii', 'replace').strip()}' of a"
            " spreadsheet: remove it, and save the table with commas"
        )
    if _OBJECT.match(line):
        raise InputError(
            f"{source}: is JSON, not CSV: give it a name that ends in .jsonl, or in .json where it"
            " is one document"
        )
    if b"\r" in line.rstrip(b"\r\n"):
        raise InputError(f"{source}: its line ends are CR: save it with line ends LF or CR LF")
    text = line.decode("utf-8", "replace")
    found = max(_SEPARATORS, key=text.count)
    if columns <= 1 and found in text:
        raise InputError(
            f"{source}: is separated by {_SEPARATORS[found]}: save it with commas between the cells"
        )
