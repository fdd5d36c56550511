"""JSON that strangers wrote: parsed once, with limits, so that nothing behind the parser meets a
value that it cannot hold."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

__all__ = [
    "DEPTH",
    "LEARNT_BYTES",
    "MOST_BYTES",
    "MOST_VALUES",
    "JsonError",
    "is_too_deep",
    "parse_json",
    "read_json",
    "with_each_name_once",
]

DEPTH = 100
"""Lists and objects in one another, at most. Python's own parser takes some 990, and whatever walks
such a value later ends in a RecursionError."""

MOST_BYTES = 16 << 20
"""Of a file of settings, which is read whole: what takes longest to parse takes some seconds."""

LEARNT_BYTES = 64 << 20
"""Of a file of what was learnt from many rows."""

MOST_VALUES = 1_000_000
"""Lists and objects in one text, at most. They are what takes time, a second or two for so many;
what has most of them, the merges of a large tokenizer, has about half as many."""

_DIGITS = 19
"""An integer of more digits may not fit into 64 bits, nor into a float."""


class JsonError(ValueError):
    """Text that is no JSON within these limits: says, in one line, what is wrong."""


def parse_json(text: bytes | str, *, finite: bool = True) -> Any:
    """The value. Numbers are finite, unless told otherwise, integers within 64 bits, texts are
    Unicode, no object has a name twice, nothing is nested more than `DEPTH` deep. Raises
    JsonError."""
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        values = decoded.count("[") + decoded.count("{")
        if values > MOST_VALUES:
            raise JsonError(f"it holds more than {MOST_VALUES:,} lists and objects")
        value = (_DECODER if finite else _INFINITE).decode(decoded)
        if "\\ud" in decoded.lower():  # only such an escape makes half a character
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise JsonError(f"byte {error.start + 1} is not UTF-8") from None
    except UnicodeEncodeError:
        raise JsonError("a text holds half a character (a lone surrogate)") from None
    except JsonError:
        raise
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except ValueError as error:
        raise JsonError(str(error)) from None
    # of fewer brackets than that, no value is nested so deep
    if values > DEPTH and is_too_deep(value):
        raise JsonError(_TOO_DEEP)
    return value


def read_json(path: Path, most_bytes: int = MOST_BYTES, *, finite: bool = True) -> dict[str, Any]:
    """The object in a file; configurations of models may hold numbers that are not `finite`. Raises
    JsonError, also where the file cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise JsonError(error.strerror or type(error).__name__) from None
    if len(data) > most_bytes:
        raise JsonError(f"it is larger than {most_bytes:,} bytes")
    value = parse_json(data, finite=finite)
    if not isinstance(value, dict):
        raise JsonError("it must hold one JSON object")
    return value


def is_too_deep(value: Any) -> bool:
    """Whether lists and objects are nested more than `DEPTH` deep."""
    level = [value]
    for _ in range(DEPTH + 1):
        level = [
            child
            for one in level
            if isinstance(one, (dict, list))
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def with_each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object that these make: the `object_pairs_hook` of a parser. Raises JsonError for a name
    that stands there twice: which of its values counts, readers of JSON do not agree about."""
    made = dict(pairs)
    if len(made) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, times in counts.items() if times > 1)
        raise JsonError(f"the name {twice[:40]!r} stands twice in one object")
    return made


_TOO_DEEP = f"lists and objects are nested more than {DEPTH} deep"


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise JsonError(f"the number {digits[:20]} is out of range")
    return number


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise JsonError(f"the number {digits[:20]} is out of range")
    return int(digits)


_DECODER = json.JSONDecoder(
    parse_constant=_constant,
    parse_float=_finite,
    parse_int=_integer,
    object_pairs_hook=with_each_name_once,
)
_INFINITE = json.JSONDecoder(parse_int=_integer, object_pairs_hook=with_each_name_once)
