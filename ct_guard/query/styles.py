"""Context styles: how a conversation and an answer become text around the uncertainty query.

An adapter is scored in the style that it was tuned in; the styles are different functions.

* `raw`: no chat template. `Question: {q}\\nAnswer:` + space + answer + query.
* `raw_choice`: the same for multiple choice, `Question:\\n{q}\\nAnswer:`, where the question goes
  on with a blank line, `Choices:` and its choices.
  Both are the reference's words for a bare question (MMLU, CommonsenseQA), and the paper's adapters
  are read in them; its other sets have instructions of their own, and ARC alone begins with
  `The question is: `. A question that is worded already, up to a cue such as `Answer:`, as those of
  the question sets by name are, stands as it is.
* `chat_user`: context, answer and query in one user turn, then the generation prompt (the
  reference's form for chat models).
* `chat_turn`: the answer stands in the assistant's turn and the query follows it before the turn
  ends, so that the conversation's KV cache is reused.

User text stands between pieces of template, and only the template's pieces may hold special tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ct_guard.errors import MismatchError
from ct_guard.records import Message

from .encoder import Encoder
from .template import QUERY_TEXT

__all__ = ["RAW_STYLES", "ContextStyle", "Frame", "frame", "raw_text"]

ContextStyle = Literal["raw", "raw_choice", "chat_user", "chat_turn"]

RAW_STYLES: dict[ContextStyle, str] = {"raw": "Question: ", "raw_choice": "Question:\n"}
"""Styles without a chat template, and what a question begins with in each."""

CUES = ("\nAnswer:", "\nEnding:", "\nResponse:")
"""What a question ends with that is worded for a raw model already."""

_SLOT = "\ue000slot{}\ue001"
"""Stands for user text while the chat template runs: private-use characters, no white space."""


@dataclass(frozen=True)
class Frame:
    """Token ids around an answer: context, [answer_lead + answer], query."""

    context: tuple[int, ...]
    answer_lead: str
    query: tuple[int, ...]
    prompt: tuple[int, ...]
    """What a model generates an answer from: the context, to where the model's turn begins."""


def frame(
    style: ContextStyle, turns: Sequence[Message], encoder: Encoder, query_text: str = QUERY_TEXT
) -> Frame:
    """Frame a conversation whose last turn is what was asked.

    Raises MismatchError when a chat style is asked of a model without a chat template.
    """
    if style in RAW_STYLES:
        text = raw_text(turns, style)
        ids = (*encoder.start_ids, *encoder.encode(text))
        return Frame(ids, " ", tuple(encoder.encode(query_text)), ids)
    contents = [turn.content.strip() for turn in turns]
    if style == "chat_user":
        contents[-1] = raw_text(turns[-1:])
    slots = [
        Message(role=turn.role, content=_SLOT.format(number)) for number, turn in enumerate(turns)
    ]
    rest = encoder.render_chat(slots, generation_prompt=True)
    ids_: list[int] = []
    for slot, content in zip(slots, contents, strict=True):
        piece, found, rest = rest.partition(slot.content)
        if not found or slot.content in rest:
            raise MismatchError(
                f"the chat template drops, repeats or reorders a {slot.role} turn: leave that turn"
                " out or use the context style 'raw'"
            )
        ids_ += encoder.encode(piece, special=True)
        ids_ += encoder.encode(content)
    tail = encoder.encode(rest, special=True)
    query = encoder.encode(query_text)
    prompt = (*ids_, *tail)
    if style == "chat_user":
        return Frame(tuple(ids_), " ", (*query, *tail), prompt)
    return Frame(prompt, "", tuple(query), prompt)


def raw_text(turns: Sequence[Message], style: ContextStyle = "raw") -> str:
    """The context of a raw style. Earlier turns read like a k-shot prompt, which raw language
    models know."""
    text = ""
    for turn in turns:
        match turn.role:
            case "user":
                asked = turn.content.rstrip()
                worded = asked.endswith(CUES)
                text += asked if worded else f"{RAW_STYLES[style]}{turn.content}\nAnswer:"
            case "assistant":
                text += f" {turn.content}\n\n"
            case _:
                text += f"{turn.content}\n\n"
    return text.strip()
