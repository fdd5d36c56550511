"""What the words around others say of them: that they are not so, or may be, or others say so."""

from collections.abc import Sequence

__all__ = ["YES_NO", "is_doubted", "is_refuted"]

_DENIALS = frozenset(
    ("not", "never", "neither", "nor", "isnt", "wasnt", "arent", "werent", "except", "cant",
     "cannot", "couldnt", "dont", "doesnt", "doubt", "than", "instead", "hardly", "unlike",
     "nowhere", "nicht", "kein", "pas", "non", "n\u00e3o", "nao", "\u043d\u0435",
     "\u4e0d\u662f")
)  # fmt: skip
_BETWEEN = frozenset(
    ("a", "an", "the", "in", "by", "at", "of", "from", "to", "on", "be", "is", "was", "even",
     "it", "its", "if", "whether", "that", "as", "many", "most", "people", "some", "would", "say",
     "call", "think", "believe", "know", "near", "\u00e8", "e", "\u00e9")
)  # fmt: skip
_DENYING_PAIRS = frozenset(
    (
        ("no", "longer"),
        ("anything", "but"),
        ("everything", "but"),
        ("all", "but"),
        ("false", "that"),
        ("untrue", "that"),
        ("wrong", "that"),
        ("no", "reason"),
        ("no", "evidence"),
        ("no", "proof"),
        ("no", "es"),
        ("i", "thought"),
        ("used", "to"),
    )
)
_CERTAIN = frozenset((("no", "doubt"), ("without", "doubt"), ("beyond", "doubt")))
_REACH = 8
"""Words before, within which a denial denies."""
_OTHERS = frozenset(("many", "some", "most", "people", "others", "you", "sources"))
_SAYING = frozenset(("say", "says", "think", "believe", "claim", "assume", "guess", "of"))
_BUT = frozenset(("but", "yet", "however", "mistaken", "wrong", "actually"))
_REFUTING = frozenset(("not", "wrong", "incorrect", "false", "ruled", "excluded"))
_RULED_OUT = frozenset(("ruled", "excluded", "eliminated", "refuted"))
_JUDGING = frozenset(("is", "was", "would", "can", "could", "which", "that"))
YES_NO = frozenset(("yes", "no"))
_OPENING = frozenset(("either", "could", "might", "may", "maybe", "perhaps", "whether"))
"""Words before what may be one of several."""


def is_doubted(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether at every place of the words a denial stands right before or behind them, or they are
    one of "… or …"."""
    if len(wanted) == 1 and wanted[0] in YES_NO:
        other = min(YES_NO - {wanted[0]})
        return other in said or (wanted == ["no"] and "no" not in (said[0], said[-1]))
    size = len(wanted)
    places = [at for at in range(len(said) - size + 1) if said[at : at + size] == wanted]
    return all(
        is_refuted(said[max(0, at - _REACH) : at], said[at + size : at + size + 4])
        or _one_of_two(said, at, at + size)
        or _said_by_others(said, at, at + size)
        for at in places
    )


def is_refuted(before: Sequence[str], behind: Sequence[str]) -> bool:
    """Whether a denial stands right before or behind a place."""
    return _denied(before[-_REACH:]) or _refuted(behind[:4])


def _denied(before: Sequence[str]) -> bool:
    end = next((at for at in range(len(before), 0, -1) if before[at - 1] not in _BETWEEN), 0)
    pairs = {tuple(before[max(0, end - 2) : end]), tuple(before[max(0, end - 1) : end + 1])}
    if tuple(before[max(0, end - 2) : end]) in _CERTAIN:
        return False
    return not pairs.isdisjoint(_DENYING_PAIRS) or not _DENIALS.isdisjoint(before[end - 1 : end])


def _refuted(behind: Sequence[str]) -> bool:
    """Of "Paris is not", "Paris would be wrong", "Paris isn't" and "Paris? No", but not of "is not
    only"."""
    if behind[:1] in (["isnt"], ["wasnt"]) or (behind[:1] == ["no"] and behind[1:2] != ["doubt"]):
        return True
    if behind[:1] in (["is"], ["was"]):
        behind = behind[:3]
        said = not _REFUTING.isdisjoint(behind[1:2])
    elif behind[:2] == ["has", "been"]:
        said = not _RULED_OUT.isdisjoint(behind[2:3])
    else:
        said = not _JUDGING.isdisjoint(behind[:1]) and not _REFUTING.isdisjoint(behind[1:])
    return said and behind[2:3] not in (["only"], ["just"], ["merely"])


def _one_of_two(said: Sequence[str], start: int, end: int) -> bool:
    near = said[max(0, start - 8) : start]
    opening = max((at for at, word in enumerate(near) if word in _OPENING), default=None)
    return opening is not None and (
        not {"or", "any"}.isdisjoint(near[opening:]) or "or" in said[end : end + 3]
    )


def _said_by_others(said: Sequence[str], start: int, end: int) -> bool:
    """Of "many say Paris, but"."""
    before = said[max(0, start - 6) : start]
    return (
        not _SAYING.isdisjoint(before[-3:])
        and not _OTHERS.isdisjoint(before)
        and not _BUT.isdisjoint(said[end : end + 3])
    )
