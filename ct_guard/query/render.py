"""From a question and an answer to the token ids that a backend scores."""

from dataclasses import dataclass
from typing import Literal

from ct_guard.errors import MismatchError, UsageError
from ct_guard.records import Message, QuestionAnswer

from .encoder import Encoder
from .joint import join
from .reading import read_answer, read_turns
from .styles import RAW_STYLES, ContextStyle, frame, raw_text
from .template import LABELS, QUERY_TEXT, SWAPPED_TEXT

__all__ = [
    "MIN_ROOM",
    "Boundary",
    "Query",
    "Rendered",
    "build_query",
    "fit",
    "render",
    "render_context",
    "render_prompt",
]


Boundary = Literal["apart", "joint"]
"""How ids come about: every part of the text encoded on its own, or the whole at once."""

MIN_ROOM = 16
"""Least tokens of context and answer together that a budget must leave beside the query."""


@dataclass(frozen=True)
class Query:
    """The uncertainty query of one tokenizer and style: constant ids behind every answer."""

    ids: tuple[int, ...]
    label_ids: tuple[int, ...]
    """(no, yes): two different vocabulary entries. A start-up check reads more."""


@dataclass(frozen=True)
class Rendered:
    """Ids of the context and of the answer; the query's ids follow, always whole."""

    context: tuple[int, ...]
    answer: tuple[int, ...]
    truncated: bool
    sanitized: bool
    boundary: Boundary = "apart"
    """What these ids are: `apart` also where `joint` was asked for and the query's ids would not
    have stood unchanged."""


def build_query(
    style: ContextStyle,
    encoder: Encoder,
    label_ids: tuple[int, int] | None = None,
    *,
    swapped: bool = False,
) -> Query:
    """The query for this tokenizer and style; `label_ids` (no, yes) override the look-up. `swapped`
    exchanges the labels: what said no says yes.

    Raises MismatchError when the labels are not two different single vocabulary entries.
    """
    probe = (Message(role="user", content="?"),)
    if label_ids is None:
        label_ids = (encoder.label_id(LABELS[0]), encoder.label_id(LABELS[1]))
    if label_ids[0] == label_ids[1]:
        raise MismatchError(
            f"the labels {LABELS[0]!r} and {LABELS[1]!r} end in the same token id {label_ids[0]}:"
            " this tokenizer cannot answer the query; give explicit label ids"
        )
    text = SWAPPED_TEXT if swapped else QUERY_TEXT
    ids = label_ids[::-1] if swapped else label_ids
    return Query(frame(style, probe, encoder, text).query, ids)


def render_context(
    turns: tuple[Message, ...], style: ContextStyle, encoder: Encoder
) -> tuple[tuple[int, ...], bool]:
    """Ids of the context alone, as it stands before an answer, and whether it was sanitized."""
    turns, changed = read_turns(turns)
    return frame(style, turns, encoder).context, changed


def render_prompt(
    turns: tuple[Message, ...], style: ContextStyle, encoder: Encoder
) -> tuple[int, ...]:
    """Ids that a model generates an answer from, its texts cleaned."""
    return frame(style, read_turns(turns)[0], encoder).prompt


def render(
    qa: QuestionAnswer,
    *,
    style: ContextStyle,
    encoder: Encoder,
    query: Query,
    budget: int,
    boundary: Boundary = "apart",
    asked: bool = True,
) -> Rendered:
    """Assemble ids for one answer so that context + answer + query is at most `budget` tokens.

    `boundary` "joint" goes with the raw styles; `asked` False says that the query will not be read
    behind the answer, which decides what "joint" joins.

    Texts are cleaned, then every user text is encoded on its own with special tokens off, whole;
    nothing that it says can become template. Raises UsageError when the budget is too small for the
    query, MismatchError when nothing of the answer is left in ids.
    """
    turns, turns_changed = read_turns(qa.conversation())
    answer_text, answer_changed = read_answer(qa.answer)
    sanitized = answer_changed or turns_changed
    room = budget - len(query.ids)
    if boundary == "joint":
        if style not in RAW_STYLES:
            raise UsageError(f"the boundary 'joint' goes with a raw style, not with {style!r}")
        text = raw_text(turns, style)
        whole = join(text, answer_text, query.ids, encoder, asked=asked)
        if whole is not None:
            _check_said(answer_text, whole[1])
            return Rendered(*fit(*whole, room), sanitized, boundary)
    around = frame(style, turns, encoder)
    answer = tuple(encoder.encode(around.answer_lead + answer_text.strip()))
    _check_said(answer_text, answer)
    return Rendered(*fit(around.context, answer, room), sanitized)


def _check_said(text: str, answer: tuple[int, ...]) -> None:
    if text.strip() and not answer:
        raise MismatchError("this base model's tokenizer has no token for anything in the answer")


def fit(
    context: tuple[int, ...], answer: tuple[int, ...], room: int
) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """Cut to at most `room` ids: first the middle of the context (its ends hold the template),
    down to half of the room, then the start of the answer. Returns whether anything was cut."""
    if len(context) + len(answer) <= room:
        return context, answer, False
    if room < MIN_ROOM:
        raise UsageError(f"a token budget that leaves {room} tokens beside the query is too small")
    kept_answer = min(len(answer), max(room // 2, room - len(context)))
    kept_context = min(len(context), room - kept_answer)
    tail = kept_context // 2
    head = kept_context - tail
    if kept_context < len(context):
        context = context[:head] + context[len(context) - tail :]
    return context, answer[len(answer) - kept_answer :], True
