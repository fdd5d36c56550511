"""Damage: to bytes anywhere, and to JSON where its structure says that it hurts."""

import copy
import json
import random
from typing import Any

__all__ = ["damaged_bytes", "damaged_json", "damaged_lines", "damaged_text"]

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0,
    1e-320, 1e308, "", "a", "-1", "nan", "1_0", "\x00", "\ud800", "\x1b[2J\n", "../../x",
    "/etc/passwd", "é" * 300, "x" * 5000, "(a+)+b", "*", "\u202e", "😀", "true", "null",
)  # fmt: skip
LARGEST = 1 << 18
"""Characters that a value is repeated up to: time and memory are the reader's, not the damage's."""
LITERALS = ("1e999", "-1e999", "NaN", "Infinity", "1" * 25, "1" * 5000, '"\\ud800"', "0.1e-9999")
TOKENS = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b'"', b",", b"\n", b"\r", b"\\u",
    b"\\", b"9" * 30, b"-", b"e99999", b"[" * 2000, b'{"a":' * 1200, b"null",
    b"\xf0\x9f\x98\x80", b"\xed\xa0\x80",
)  # fmt: skip


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut off, flipped, overwritten, doubled or with something put in, up to six times."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 4, 8, 64, 1000)))
        match rng.randrange(6):
            case 0:
                data = data[:at]
            case 1 if data:
                broken = bytearray(data)
                broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                data = bytes(broken)
            case 2:
                data = data[:at] + rng.choice(TOKENS) + data[at:]
            case 3:
                data = data[:at] + data[end:]
            case 4:
                data = data[:at] + data[at:end] * rng.choice((2, 3, 50)) + data[end:]
            case _:
                data = data[:at] + rng.randbytes(end - at) + data[end:]
    return data


def damaged_text(text: str, rng: random.Random, tokens: tuple[str, ...]) -> str:
    """The same to text, with pieces of its own language."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice((1, 2, 5, 20)))
        match rng.randrange(4):
            case 0:
                text = text[:at] + rng.choice(tokens) + text[at:]
            case 1:
                text = text[:at] + text[end:]
            case 2:
                text = text[:at] + rng.choice(tokens) + text[end:]
            case _:
                text = text[:at] + text[at:end] * rng.choice((2, 30)) + text[end:]
    return text


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """A tree with other values, fields, lengths and depths; sometimes damaged as bytes."""
    if rng.random() < 0.2:
        return damaged_bytes(data, rng)
    try:
        tree = copy.deepcopy(json.loads(data))
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            tree = _changed(tree, rng)
        text = json.dumps(tree, ensure_ascii=rng.random() < 0.8)
    except (RecursionError, OverflowError):
        return b"[" * rng.choice((900, 2000)) + data
    if rng.random() < 0.1:
        places = [at for at, letter in enumerate(text) if letter in "0123456789"]
        if places:
            at = rng.choice(places)
            text = text[:at] + rng.choice(LITERALS) + text[at + 1 :]
    return text.encode("utf-8", "surrogatepass")


def _changed(tree: Any, rng: random.Random) -> Any:
    places = _places(tree)
    if not places:
        return rng.choice(SCALARS)
    holder, key = rng.choice(places)
    value = holder[key]
    match rng.randrange(9):
        case 0 | 1 | 2:
            holder[key] = rng.choice(SCALARS)
        case 3:
            del holder[key]
        case 4:
            times = rng.choice((0, 1, 2, 300))
            holder[key] = [value] * (times if times * len(json.dumps(value)) < LARGEST else 2)
        case 5:
            other, at = rng.choice(places)
            if at in other if isinstance(other, dict) else at < len(other):
                holder[key] = copy.deepcopy(other[at])
        case 6:
            for _ in range(rng.choice((3, 90, 150, 900))):
                value = [value] if rng.random() < 0.5 else {"a": value}
            holder[key] = value
        case 7 if isinstance(holder, dict):
            holder[str(rng.choice(SCALARS))] = holder.pop(key)
        case _:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                holder[key] = rng.choice((-value, value * 1000, value + 1, value - 1, float(value)))
            elif isinstance(value, str):
                holder[key] = value[: rng.randrange(len(value) + 1)] + str(rng.choice(SCALARS))
            elif isinstance(value, list) and value:
                holder[key] = value[:-1] if rng.random() < 0.5 else [*value, rng.choice(value)]
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of the tree; few of long lists, so that all kinds have their turn."""
    found: list[tuple[Any, Any]] = []
    level = [tree] if isinstance(tree, (dict, list)) else []
    while level:
        following = []
        for one in level:
            keys = list(one) if isinstance(one, dict) else list(range(len(one)))
            for key in keys[:40]:
                found.append((one, key))
                if isinstance(one[key], (dict, list)):
                    following.append(one[key])
        level = following
    return found


def damaged_lines(data: bytes, rng: random.Random) -> bytes:
    """One of several lines of JSON, damaged."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = damaged_json(lines[at], rng)
    return b"\n".join(lines) + b"\n"
