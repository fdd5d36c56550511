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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ct_guard.errors import MismatchError
from ct_guard.records import Message, Role

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

    Where the chat template does not know its system turns, or an order of turns as it stands, the
    conversation is put in another form, in which no text is lost. Raises MismatchError when the
    template takes none, and when there is none.
    """
    if style in RAW_STYLES:
        text = raw_text(turns, style)
        ids = (*encoder.start_ids, *encoder.encode(text))
        return Frame(ids, " ", tuple(encoder.encode(query_text)), ids)
    refusal: MismatchError | None = None
    for form in _forms(tuple(turns)):
        try:
            return _chat_frame(style, form, encoder, query_text)
        except MismatchError as error:
            refusal = refusal or error
    raise refusal or MismatchError("no form of this conversation fits the chat template")


def _forms(turns: tuple[Message, ...]) -> Iterator[tuple[Message, ...]]:
    """The conversation as it is; for templates without system turns, with their text in front of
    the next user turn; for those whose turns have to alternate and begin with a user's, with
    neighbours of one role as one."""
    yield turns
    plain = _without_system(turns)
    yield plain
    yield _alternating(plain)


def _without_system(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    kept: list[Message] = []
    waiting: list[Message] = []
    for turn in turns:
        if turn.role == "system":
            waiting.append(turn)
        elif turn.role == "user":
            kept.append(_as_one([*waiting, turn], "user"))
            waiting.clear()
        else:
            kept.append(turn)
    return (*kept, *waiting)


def _alternating(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    first = next((at for at, turn in enumerate(turns) if turn.role == "user"), 0)
    kept = [_as_one(turns[: first + 1], "user")]
    for turn in turns[first + 1 :]:
        if turn.role == kept[-1].role:
            kept[-1] = _as_one([kept[-1], turn], turn.role)
        else:
            kept.append(turn)
    return tuple(kept)


def _as_one(turns: Sequence[Message], role: Role) -> Message:
    text = "\n\n".join(text for turn in turns if (text := turn.content.strip()))
    return Message(role=role, content=text)


def _chat_frame(
    style: ContextStyle, turns: tuple[Message, ...], encoder: Encoder, query_text: str
) -> Frame:
    contents = [turn.content.strip() for turn in turns]
    if style == "chat_user":
        contents[-1] = raw_text(turns[-1:])
    slots = [
        Message(role=turn.role, content=_SLOT.format(number)) for number, turn in enumerate(turns)
    ]
    rest = encoder.render_chat(slots, generation_prompt=True)
    for slot in slots:
        if rest.count(slot.content) != 1:
            raise MismatchError(
                f"the chat template drops or repeats a {slot.role} turn: leave that turn out or use"
                " the context style 'raw'"
            )
    shown = sorted(zip(slots, contents, strict=True), key=lambda pair: rest.index(pair[0].content))
    if style == "chat_user" and shown[-1][0] is not slots[-1]:
        raise MismatchError("the chat template puts another turn behind what was asked")
    ids: list[int] = []
    for slot, content in shown:
        piece, _, rest = rest.partition(slot.content)
        ids += encoder.encode(piece, special=True)
        ids += encoder.encode(content)
    tail = encoder.encode(rest, special=True)
    query = encoder.encode(query_text)
    prompt = (*ids, *tail)
    if style == "chat_user":
        return Frame(tuple(ids), " ", (*query, *tail), prompt)
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
