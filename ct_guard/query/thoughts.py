"""What a model writes while it thinks is not its answer."""

import re

__all__ = ["without_thoughts"]

_NAME = (
    r"(?:ant|(?:[a-z]{1,12}[_-]){1,2})?(?:think(?:ing)?|thoughts?|reason(?:ing)?|scratch[_-]?pad"
    r"|reflect(?:ion)?|monologue|analysis|chain[_-]of[_-]thoughts?|cot)"
    r"(?:[_-]?(?:process|steps?|content))?"
)
_WITH = r"(?:\s[^<>\n]{0,80})?"
"""Attributes and blanks in a tag."""
_FOLDED = (
    r"(?:think(?:ing)?|thoughts?|reasoning|chain[ _-]of[ _-]thought)(?:[ _-](?:process|steps))?"
)
"""Only what names nothing else: an answer can fold away an analysis, too."""
_BESIDE = r"[^\w<>\n]{0,8}(?:</?[a-z]{1,6}>)?[^\w<>\n]{0,8}"
_SUMMARY = (
    rf"{_BESIDE}(?:(?:show|view|my|the|model) )?"
    rf"(?:{_FOLDED}|(?:thought|reasoned) for [^<>\n]{{1,40}}){_BESIDE}"
)
"""What stands on a block of thoughts that is folded away."""
_TAG = re.compile(
    r"(?<![`'\"\u201c\u2018\\])(?:"
    rf"(?P<opens><(?:seed:)?{_NAME}{_WITH}(?<!/)>|\[{_NAME}\]|\u25c1{_NAME}\u25b7"
    r"|<unused94>(?:thought)?"
    rf"|<\|(?:begin_of_thought|start_thinking|begin_thinking|(?!end_){_NAME}(?:_start)?)\|>"
    r"|<\|channel>thought\b|<\|inner_prefix\|>|<\|im_start\|>think\b"
    r"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<\n]{0,80}<\|message\|>)"
    rf"|(?P<closes></(?:seed:)?{_NAME}\s{{0,4}}>|\[/{_NAME}\]|\u25c1/{_NAME}\u25b7|<unused95>"
    rf"|<\|(?:end_of_thought|end_thinking|{_NAME}_end|/{_NAME})\|>|<channel\|>|<\|inner_suffix\|>"
    r"|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final[^<\n]{0,80}<\|message\|>"
    r"|(?:<\|end\|>)?(?:<\|begin\|>assistant)?<\|content\|>|<\|im_start\|>answer\b"
    r"|(?<=\S)assistantfinal(?=\S))"
    r"|(?P<answer><\|(?:(?:start|end)_(?:response|text)|(?:begin|end)_of_(?:solution|box)|return)"
    r"\|>)"
    rf"|(?P<folds><details\b[^<>\n]{{0,200}}\b(?:type|class|id)=[\"']?{_FOLDED}\b[^<>\n]{{0,200}}>"
    rf"|<details{_WITH}>[ \t]{{0,8}}\n?[ \t]{{0,8}}<summary{_WITH}>{_SUMMARY}</summary>)"
    r"|(?P<unfolds></details\s{0,4}>)"
    r")",
    re.IGNORECASE,
)
"""How the known families mark thoughts. In code or quotes a mark is only spoken of."""
_WRAPPED = re.compile(
    r"<(?P<name>(?:final_)?(?:answer|response|output)|solution|conclusion)>"
    r"(?P<said>(?:(?!</?(?P=name)>).)*)(?:</(?P=name)>)?",
    re.IGNORECASE | re.DOTALL,
)
"""How models that think mark all that is not a thought."""
_STOP = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|end|endofturn|end_of_turn_token)\|>"
    r"|<end_of_turn>|<\uff5cend\u2581of\u2581sentence\uff5c>",
    re.IGNORECASE,
)
"""What ends a turn, and is left in its text by a server that does not skip special tokens."""
_BEGINNINGS = ("<", "[", "\u25c1", "assistantfinal")
"""What every mark begins with: most texts have none of these, and are not searched. The last is
left of a channel's marks where a server drops special tokens."""
_SPOKEN = re.compile(
    r"(?:[\s*#]{0,8}here(?:['\u2019]s| is) my thought process:"
    r".*?\bhere(?:['\u2019]s| is) my response:[\s*#]{0,8}"
    r"|\s{0,8}thinking\.\.\.\s*\n.*?\.\.\.done thinking\.)+",
    re.IGNORECASE | re.DOTALL,
)
"""Marks in plain words, around thoughts that an answer begins with."""


def without_thoughts(text: str) -> tuple[str, bool]:
    """The text without the thoughts in it, and whether there were any.

    They stand between tags, in a block that is folded away and says so, or between the plain words
    of a family that uses such: these only at the beginning, and both of them. A thought that is
    never closed has no answer behind it. One that is closed only was opened by the chat template,
    and goes back to the beginning. Parts that are left stand in paragraphs; a tag around all of
    them, such as `<answer>`, is no part of the answer, and neither are marks that end a turn.
    """
    answer, thoughtful = _untagged(text)
    kept = _unstopped(answer)
    if thoughtful and (wrapped := _WRAPPED.fullmatch(kept)):
        kept = wrapped["said"].strip()
    if spoken := _SPOKEN.match(kept):
        kept = kept[spoken.end() :].strip()
    return kept, thoughtful or kept != answer


def _untagged(text: str) -> tuple[str, bool]:
    if not any(begins in text for begins in _BEGINNINGS):
        return text, False
    said: list[str] = []
    start, thinking, folded, found = 0, False, False, False
    for tag in _TAG.finditer(text):
        if tag["unfolds"]:
            if folded:
                folded, start = False, tag.end()
            continue
        if folded:
            continue
        found = True
        if tag["answer"]:  # its own marks are no part of it
            if not thinking:
                said.append(text[start : tag.start()])
                start = tag.end()
        elif tag["closes"]:
            if not thinking:
                said.clear()
            thinking, start = False, tag.end()
        elif not thinking:
            said.append(text[start : tag.start()])
            thinking, folded = not tag["folds"], bool(tag["folds"])
    if not found:
        return text, False
    if not thinking and not folded:
        said.append(text[start:])
    return "\n\n".join(part for part in map(str.strip, said) if part), True


def _unstopped(text: str) -> str:
    """Without the marks that a turn ends in."""
    end = len(text)
    for stop in reversed(list(_STOP.finditer(text))):
        if text[stop.end() : end].strip():
            break
        end = stop.start()
    return text if end == len(text) else text[:end].rstrip()
