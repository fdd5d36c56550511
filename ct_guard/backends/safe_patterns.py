"""Regular expressions that strangers wrote: refused where they may take time without end."""

import re

__all__ = ["check_pattern"]

_TOKEN = re.compile(r"\\.|\[|\((?:\?[:=!<>a-zA-Z-]+)?|\)|\||[*+?]|\{(\d*)(,?)(\d*)\}|.", re.DOTALL)
_FEW = 10
"""Repetitions, at most, that a group with repetitions inside may have."""
_MOST_CHARACTERS = 20_000


def check_pattern(pattern: str, most_repetitions: int = 1000) -> str:
    """The pattern itself. Raises ValueError for one in which a repeated group holds repetitions,
    options or alternatives: `(a+)+` and `(a|a)+` try exponentially many ways to match a run of `a`.
    No tokenizer that is in use has such a group.

    What remains is polynomial, its power being the number of its repetitions.
    """
    if len(pattern) > _MOST_CHARACTERS:
        raise ValueError(f"a pattern of more than {_MOST_CHARACTERS:,} characters")
    repeats = [False]  # of each open group: whether it can match one text in several ways
    last = False  # whether what was read last is a group that can
    at = count = 0
    while at < len(pattern):
        found = _TOKEN.match(pattern, at)
        if found is None:
            break
        text, at = found[0], found.end()
        if text == "[":
            at, last = _after_class(pattern, at), False
        elif text.startswith("("):
            repeats.append(False)
            last = False
        elif text == ")":
            last = repeats.pop() if len(repeats) > 1 else False
            repeats[-1] = repeats[-1] or last
        elif _is_repetition(found):
            if last:
                raise ValueError(
                    f"the pattern {pattern[:60]!r} repeats a group that holds repetitions or"
                    " alternatives, which may take time without end"
                )
            repeats[-1] = True
            count += 1
        elif text in ("?", "|"):
            repeats[-1] = True
        else:
            last = False
    if count > most_repetitions:
        raise ValueError(f"the pattern {pattern[:60]!r} has over {most_repetitions} repetitions")
    return pattern


def _is_repetition(found: "re.Match[str]") -> bool:
    """Whether the token repeats what stands in front of it more than a few times."""
    if found[0] in ("*", "+"):
        return True
    if not found[0].startswith("{") or len(found[0]) == 1:
        return False
    low, comma, high = found[1] or "0", found[2], found[3]
    most = high or ("" if comma else low)
    return not most or len(most) > 3 or int(most) > _FEW


def _after_class(pattern: str, at: int) -> int:
    """Where the class ends whose first character stands at `at`; classes may hold classes."""
    depth, first = 1, True
    while at < len(pattern) and depth:
        letter = pattern[at]
        if letter == "\\":
            at += 1
        elif letter == "[":
            depth += 1
        elif letter == "]" and not first:
            depth -= 1
        first = first and letter == "^"
        at += 1
    return at
