"""Names of fields: `invoice.total`, `items[0].price`, `["a.b"]`; and groups of them, in which every
place of a list counts the same: `items[].price`."""

import json
import re
from collections.abc import Sequence

from ct_guard.errors import UsageError

__all__ = ["EVERY", "Pattern", "Step", "group_of", "parse_path", "path_of"]

Step = str | int
"""A key of an object, or a place in a list."""

EVERY = -1
"""In a pattern: every place of a list."""

Pattern = tuple[Step, ...]
"""Steps, of which some may be `EVERY`."""

_NAME = re.compile(r"[^\W\d][\w-]*")
_STEP = re.compile(
    r"(?P<dot>\.?)(?P<name>[^\W\d][\w-]*)|\[(?P<place>\d{0,9})\]|\[(?P<key>\"(?:[^\"\\]|\\.)*\")\]"
)


def path_of(steps: Sequence[Step]) -> str:
    """The name of a field; of the whole answer it is `$`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += "[]" if step == EVERY else f"[{step}]"
        elif _NAME.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text or "$"


def group_of(steps: Sequence[Step]) -> str:
    """The name without the places in lists: fields of one group are of one kind, and calibrated
    together."""
    return path_of([EVERY if isinstance(step, int) else step for step in steps])


def parse_path(text: str) -> Pattern:
    """The steps that a name says. Raises UsageError for a text that is none."""
    steps: list[Step] = []
    at = 0
    while at < len(text) and text != "$":
        found = _STEP.match(text, at)
        if found is None or bool(found["dot"]) != bool(steps and found["name"]):
            raise UsageError(
                f"{text!r} is no path of a field: write it as invoice.total, items[0].price,"
                ' items[].price for every item, or ["a key with dots."]'
            )
        if found["name"] is not None:
            steps.append(found["name"])
        elif found["key"] is not None:
            steps.append(str(json.loads(found["key"])))
        else:
            steps.append(int(found["place"]) if found["place"] else EVERY)
        at = found.end()
    if not text:
        raise UsageError("an empty text is no path of a field")
    return tuple(steps)
