"""Which letters a text gives as its choice, in the ways that people and models write that."""

import re
from collections.abc import Set

__all__ = [
    "leading_letter",
    "listed_letters",
    "mentioned_letters",
    "sole_letter",
    "stated_letters",
]

_OPEN = r"(?:[\s*_`\"'(\[{<]|\\boxed|\\text(?:bf)?|\\mathr?[mbf]+|\\\(|\$){0,12}"
_SHUT = r"[)\]}*_`\"'>]"
_LETTER = (
    rf"(?:(?P<marked>(?<=[(\[{{*_`\"'<])[A-Za-z](?={_SHUT}))"  # (b), **B**, \boxed{{B}}
    r"|(?<![A-Za-z0-9_])(?P<capital>[B-HJ-Z])(?![A-Za-z0-9_]|['\u2019]\w)"
    r"|\b(?P<small>[A-Za-z])(?=\s*(?:[.,;:!)\]}*\n]|\Z|-\s|\u2013|\u2014)))"
)
"""A capital letter stands for itself. "A", "I" and small letters are words, too: they need a mark
around or behind them."""
_AFTER = rf"(?:{_SHUT}|[\s.,:;!?$]|\\\))*"
_ALONE = re.compile(rf"{_OPEN}(?P<letter>[A-Za-z]){_AFTER}")
_INTRODUCED = re.compile(
    r"(?:(?i:so|thus|hence|therefore|maybe|perhaps|probably|likely|definitely|option|choice|answer"
    r"|ans|final|letter|the|correct|right|is|it(?:['\u2019]s)?)\b[\s:,.]*){1,5}"
    rf"{_OPEN}(?P<letter>[B-HJ-Z]|(?<=[(\[{{*_`\"'<])[A-Za-z](?={_SHUT})){_AFTER}"
)
"""Words that say no more than that a letter follows."""
_LEADING = re.compile(
    r"\s*[*_`]{0,3}(?:[(\[]\s?(?P<marked>[A-Za-z])\s?[)\]]"
    r"|(?P<plain>[A-Za-z])(?=[*_`]{0,3}(?:\s?[).:,;]|\s[-\u2013\u2014]\s|\s*\n))"
    r"|(?P<reasoned>[A-HJ-Z])(?=\s(?:because|since|as|due|which)\b))[*_`]{0,3}\s?[).:,;]?[*_`]{0,3}"
)
_VERDICT_EACH = re.compile(
    r"(?:\A|(?<=[\s;,*_]))\(?(?P<letter>[A-Z])[)\]*_]{0,3}\s?(?P<mark>:|\)|[-\u2013\u2014\u2717\u2718\u274c\u2705\u2713\u2714])\s?",
)
"""A letter with what is said of it."""
_NOT_SO = re.compile(
    r"[\s.:,]*(?:false|wrong|incorrect|no|not (?:correct|right|true))"
    r"[.,;\n]\s*[(\[*]{0,2}[a-z]\s?[).:\]*]",
    re.IGNORECASE,
)
"""And the next letter is judged as well: "(h): False, True" is a choice with its text."""
_FINAL = r"(?i:final\s(?:answer|choice))|\\boxed(?=\{)"
_ANSWER = (
    r"(?i:\b(?:answer|ans|choice|option|antwort|r[e\u00e9]ponse|respuesta|resposta|risposta)\b)"
    r"|\u7b54\u6848|\u56de\u7b54|\u7b54\u3048|(?i:\u043e\u0442\u0432\u0435\u0442)"
)
_LINK = (
    r"(?:[\s*_`\"']{0,6}(?i:is|(?:would|should|must|has\sto|can\sonly|could\sonly)\sbe|ist|est|es)\b"
    r"(?:\s(?i:option|choice|letter|therefore|thus|clearly))?|[\s*_`\"']{0,6}[:\uff1a=\u662f\u4e3a\u70ba\u306f])"
)
_CHOSEN = (
    r"(?i:\b(?:i|we)(?:['\u2019](?:d|m|ll))?(?:\s(?:would|will|have|am))?\s"
    r"(?:choose|chose|pick|select|say|think|believe|go(?:ing)?\swith)(?:\s(?:it(?:['\u2019]s|\sis)))?"
    r"(?:\s(?:option|choice|letter|answer))?|\bit(?:['\u2019]s|\sis|\smust\sbe)"
    r"(?:\s(?:option|choice|letter|answer))?)"
)
_AND = (
    r"(?:[,/&+\u3001\u3068]|\b(?:and|or|xor|plus|as well as|along with|together with|or else|also"
    r"|then|und|oder|et|ou|y|o|e)\b)"
)
_JOINED = rf"(?P<also>(?:\s?{_AND}\s?{_OPEN}\b[A-Z]\b(?!['\u2019]\w)){{0,26}})"
_LISTED = re.compile(
    rf"(?:[\s.,;:!]{{0,3}}(?i:{_AND}|maybe|possibly|perhaps|alternatively|otherwise)){{1,3}}\s{_OPEN}\b(?P<letter>[B-HJ-Z])\b"
    rf"(?!['\u2019]\w|\s(?i:is|was|has|looks|would)\b)"
)
_STATED = tuple(
    re.compile(f"{lead}{_OPEN}{_LETTER}{_SHUT}{{0,4}}{_JOINED}")
    for lead in (
        rf"(?:(?:{_FINAL})(?:{_LINK}|\s{{0,4}}(?=\{{))|(?i:<(?:final_?)?answer>))",
        rf"(?:{_ANSWER})(?:{_LINK})",
        rf"(?:{_CHOSEN})",
    )
)
_RIGHT = re.compile(
    rf"{_OPEN}\b(?P<letter>[A-Z])\b{_SHUT}{{0,4}}\s(?i:is|seems|looks|must\sbe)\s(?i:the\s)?"
    r"(?i:most\s)?(?i:correct|right|best|true|answer)\b(?!(?:\s(?i:at\sfirst(?:\s(?:glance|sight))?|initially))?,?\s(?i:but|yet|though)\b)"
)
_DENIED = re.compile(
    r"(?:(?:n['\u2019]t|\bnot|\bnever|(?<!no )\bdoubt|\brefuse|\bsome|\bmany|\bpeople|\bothers"
    r"|\b(?:wrong|false|incorrect)\s(?:to|that))\b[^.!?;\n]*"
    r"|\b(?:wrong|false|incorrect|worst|tempting|unlikely|least\s\w+)\s|\bif\b[^.,!?;\n]*)\Z",
    re.IGNORECASE,
)
_REFUTED = re.compile(
    rf"{_SHUT}{{0,4}}(?:"
    r"(?:[\s.,:;\u2013\u2014-]{0,4}(?:which|this|that)(?:\sis|['\u2019]s)|\.?\s(?:is|was))\s"
    r"(?:wrong|incorrect|false|eliminated|out\b|not\b(?!\s(?:only|just|merely)))"
    r"|[\s.,:\u2013\u2014-]{1,4}(?:wrong|incorrect)\b"
    r"|\s?(?:(?:isn|wasn|can)['\u2019]t|cannot|can\sbe\s(?:ruled|excluded|eliminated))\b"
    r"|\?\s?no\b|\s?(?:\u3067\u306f\u306a\u3044|\u3058\u3083\u306a\u3044|\u4e0d\u5bf9|\u9519|[\u2717\u2718\u274c]))",
    re.IGNORECASE,
)
_RULED_OUT = re.compile(
    r"\s*[(\[*]{0,3}[A-Z]\b[)\]*]{0,3}(?:\s?(?:,|&|\band\b|\bor\b){1,2}\s?[(\[*]{0,3}[A-Z]\b[)\]*]{0,3}){1,25}"
    r"\s(?:are|were|can\sbe)\s(?:all\s|both\s)?(?:wrong|incorrect|false|out|ruled|eliminated|not)\b"
)
"""Of several letters at once."""
_SUPPOSED = re.compile(
    r"\bif\b(?!\s(?:i|we|one|forced|asked|pressed)\b)[^.!?;\n]*\Z", re.IGNORECASE
)
_SENTENCE = 160
"""Characters before a statement within which it is said to be only so "if" something is."""
_REACH = 24
"""Characters before a statement within which a denial denies it."""
_MENTIONED = re.compile(
    r"[(\[{*](?P<marked>[A-Za-z])[)\]}*]|(?<![\w'\u2019])(?P<capital>[B-HJ-Z])(?![\w'\u2019])"
)


def sole_letter(text: str) -> str | None:
    """The letter that a text is, but for marks and white space."""
    found = _ALONE.fullmatch(text.strip()) or _INTRODUCED.fullmatch(text.strip())
    return found["letter"].lower() if found else None


def leading_letter(text: str, letters: Set[str]) -> tuple[str, str] | None:
    """The letter that a text begins with, marked off from the rest, and the rest."""
    found = _LEADING.match(text)
    if found is None:
        return None
    letter = str(found["marked"] or found["plain"] or found["reasoned"]).lower()
    if re.search(rf"\n\s*[*_`(\[]{{0,3}}{chr(ord(letter) + 1)}\s?[).:\]]", text, re.IGNORECASE):
        return None  # of a list of the choices
    if _NOT_SO.match(text, found.end()) or _judges_each(text, letters):
        return None  # of a judgement on each
    bare = len(found[0].rstrip(" .:;,)*_`-"))
    if _is_refuted(text, bare) or _RULED_OUT.match(text):
        return None
    return (letter, text[found.end() :]) if letter in letters else None


def _judges_each(text: str, letters: Set[str]) -> bool:
    """Whether a text says something of several letters in turn, as in "A: no, B: yes"."""
    said = {one["letter"].lower() for one in _VERDICT_EACH.finditer(text)}
    return len(said & letters) > 1


def listed_letters(text: str) -> set[str]:
    """The letters that a text is a list of, as in "C and (D)", or begins to list."""
    if also := _LISTED.match(text):
        return {also["letter"].lower()}
    pieces = [piece.strip(" *_`.") for piece in re.split(r",|/|&|\band\b|\bor\b", text)]
    found = [re.fullmatch(r"[(\[]?([A-Z])[)\]]?", piece) for piece in pieces if piece]
    return {match[1].lower() for match in found if match} if all(found) else set()


def stated_letters(text: str, letters: Set[str]) -> set[str]:
    """The letters that a text says are its answer: those of the clearest statements that it makes,
    a final answer before an answer before a choice."""
    for pattern in _STATED:
        stated: set[str] = set()
        for found in pattern.finditer(text):
            if _is_denied(found):
                continue
            also = re.findall(r"\b[A-Z]\b", found["also"])
            stated |= {_of(found), *map(str.lower, also)} & letters
        if pattern is _STATED[-1] or not stated:
            right = (found for found in _RIGHT.finditer(text) if not _is_denied(found))
            stated |= {found["letter"].lower() for found in right} & letters
        if stated:
            return stated
    return set()


def mentioned_letters(text: str, letters: Set[str]) -> set[str]:
    """Every letter that can be meant somewhere in the text."""
    found = (match["marked"] or match["capital"] for match in _MENTIONED.finditer(text))
    return {letter.lower() for letter in found} & letters


def _is_denied(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - _REACH) : found.start()]
    if "would" in found[0] and _SUPPOSED.search(
        found.string, max(0, found.start() - _SENTENCE), found.start()
    ):
        return True
    return bool(_DENIED.search(before)) or _is_refuted(found.string, found.end())


def _is_refuted(text: str, at: int) -> bool:
    """Whether what ends there is said to be wrong."""
    return _REFUTED.match(text, at) is not None


def _of(found: re.Match[str]) -> str:
    return str(found["marked"] or found["capital"] or found["small"]).lower()
