"""Lists of texts within one text: how JSON, Python, pandas, numpy and datasets write them."""

import json
import re

__all__ = ["list_of_texts"]

_WRAPPED = re.compile(
    r"(?:(?:np\.|numpy\.)?array\(\s*)?(?P<list>\[.*\]|\(.*\))(?:\s*,\s*dtype=[^()]{0,40})?\s*\)?",
    re.DOTALL,
)
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ITEM = re.compile(
    rf"\s*(?:(?P<text>{_QUOTED})|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<none>None|nan|null|NaN))"
    r"\s*(?P<comma>,?)",
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4}))|(.))",
    re.DOTALL,
)
_SHORT = {"n": "\n", "r": "\r", "t": "\t"}
_BEGINS = re.compile(r"\s*(?:(?:np\.|numpy\.)?array\(\s*)?[\[(](?=\s*['\"])")


def list_of_texts(text: str) -> list[str] | None:
    """The texts of a list, where `text` is one with a quoted text in it: `["a", "b"]`,
    `['a', 'b']`, `['a' 'b']`, `('a', 'b')`, `array(['a'], dtype=object)`. Numbers beside texts are
    texts, missing values are left out. None where `text` is no such list.

    Raises ValueError for a list that is damaged or was shortened.
    """
    begins = _BEGINS.match(text)
    if begins is None:
        return [] if text.strip() == "[]" else None
    if (known := _json(text)) is not None:
        return known
    whole = _WRAPPED.fullmatch(text.strip())
    if whole is None:
        if _is_cut(text, begins.end()):
            raise ValueError("is a list without an end")
        return None
    items, rest = _items(whole["list"][1:-1])
    if rest.lstrip().startswith("..."):
        raise ValueError("is a list that was shortened (...)")
    if rest.strip():
        return None
    return items


def _json(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or any(isinstance(item, (list, dict, bool)) for item in value):
        return None
    return [str(item) for item in value if item is not None]


def _items(inside: str) -> tuple[list[str], str]:
    """The items of a list, and what follows the last one that can be read."""
    items = []
    at = 0
    while found := _ITEM.match(inside, at):
        at = found.end()
        if found["text"]:
            items.append(_ESCAPE.sub(_unescaped, found["text"][1:-1]))
        elif found["number"]:
            items.append(found["number"])
    return items, inside[at:]


def _is_cut(text: str, begins: int) -> bool:
    """Whether a text begins as a list of at least one item and ends within another."""
    items, rest = _items(text[begins:])
    return bool(items) and (not rest or rest.lstrip()[:1] in ("'", '"'))


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code:
        return chr(int(code, 16))
    return escape[4] if escape[4] in "\\'\"" else _SHORT.get(escape[4], escape[0])
