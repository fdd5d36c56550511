"""What a model writes while it thinks is not its answer."""

import re

__all__ = ["without_thoughts"]

_NAME = (
    r"(?:ant|(?:[a-z]{1,12}[_-]){1,2})?(?:think(?:ing)?|thoughts?|reason(?:ing)?|scratch[_-]?pad"
    r"|reflect(?:ion)?|monologue|analysis|chain[_-]of[_-]thoughts?|cot)"
    r"(?:[_-](?:process|steps?|content))?"
)
_WITH = r"(?:\s[^<>\n]{0,80})?"
"""Attributes and blanks in a tag."""
_TAG = re.compile(
    r"(?<![`'\"\u201c\u2018\\])(?:"
    rf"(?P<opens><(?:seed:)?{_NAME}{_WITH}(?<!/)>|\[{_NAME}\]|\u25c1{_NAME}\u25b7"
    r"|<unused94>(?:thought)?"
    rf"|<\|(?:begin_of_thought|start_thinking|begin_thinking|thought_start|(?!end_){_NAME})\|>"
    r"|<\|channel>thought\b|<\|inner_prefix\|>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<\n]{0,80}<\|message\|>)"
    rf"|(?P<closes></(?:seed:)?{_NAME}\s{{0,4}}>|\[/{_NAME}\]|\u25c1/{_NAME}\u25b7|<unused95>"
    rf"|<\|(?:end_of_thought|end_thinking|thought_end|/{_NAME})\|>|<channel\|>|<\|inner_suffix\|>"
    r"|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final[^<\n]{0,80}<\|message\|>"
    r"|(?<=\S)assistantfinal(?=\S))"
    r"|(?P<answer><\|(?:start_response|end_response|(?:begin|end)_of_(?:solution|box)|return)\|>)"
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
_BEGINNINGS = ("<", "[", "\u25c1", "assistantfinal")
"""What every mark begins with: most texts have none of these, and are not searched. The last is
left of a channel's marks where a server drops special tokens."""


def without_thoughts(text: str) -> tuple[str, bool]:
    """The text without the thoughts in it, and whether there were any.

    A thought that is never closed has no answer behind it. One that is closed only was opened by
    the chat template, and goes back to the beginning. Parts that are left stand in paragraphs; a
    tag around all of them, such as `<answer>`, is no part of the answer.
    """
    if not any(begins in text for begins in _BEGINNINGS):
        return text, False
    said: list[str] = []
    start, thinking, found = 0, False, False
    for tag in _TAG.finditer(text):
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
            thinking = True
    if not found:
        return text, False
    if not thinking:
        said.append(text[start:])
    answer = "\n\n".join(part for part in map(str.strip, said) if part)
    wrapped = _WRAPPED.fullmatch(answer)
    return (answer if wrapped is None else wrapped["said"].strip()), True
