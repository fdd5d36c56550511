"""From a question and an answer to the token ids that a backend scores."""

from dataclasses import dataclass

from ct_guard.errors import MismatchError, UsageError
from ct_guard.records import Message, QuestionAnswer

from .encoder import Encoder
from .hygiene import clean, without_forged_query
from .styles import ContextStyle, frame
from .template import LABELS, QUERY_TEXT, SWAPPED_TEXT

__all__ = [
    "MIN_ROOM",
    "Query",
    "Rendered",
    "build_query",
    "fit",
    "render",
    "render_context",
    "render_prompt",
    "was_sanitized",
]


MIN_ROOM = 16
"""Least tokens of context and answer together that a budget must leave beside the query."""


@dataclass(frozen=True)
class Query:
    """The uncertainty query of one tokenizer and style: constant ids behind every answer."""

    ids: tuple[int, ...]
    label_ids: tuple[int, int]
    """(no, yes): two different vocabulary entries."""


@dataclass(frozen=True)
class Rendered:
    """Ids of the context and of the answer; the query's ids follow, always whole."""

    context: tuple[int, ...]
    answer: tuple[int, ...]
    truncated: bool
    sanitized: bool


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
    turns, changed = _cleaned(turns)
    return frame(style, turns, encoder).context, changed


def render_prompt(
    turns: tuple[Message, ...], style: ContextStyle, encoder: Encoder
) -> tuple[int, ...]:
    """Ids that a model generates an answer from, its texts cleaned."""
    return frame(style, _cleaned(turns)[0], encoder).prompt


def _cleaned(turns: tuple[Message, ...]) -> tuple[tuple[Message, ...], bool]:
    """The turns without what `clean` removes, and whether that is anything."""
    cleaned = [(turn.role, *clean(turn.content)) for turn in turns]
    messages = tuple(Message(role=role, content=text) for role, text, _ in cleaned)
    return messages, any(changed for _, _, changed in cleaned)


def render(
    qa: QuestionAnswer, *, style: ContextStyle, encoder: Encoder, query: Query, budget: int
) -> Rendered:
    """Assemble ids for one answer so that context + answer + query is at most `budget` tokens.

    Texts are cleaned, then every user text is encoded on its own with special tokens off; nothing
    that it says can become template, and an answer that repeats the query is cut there. Raises
    UsageError when the budget is too small for the query.
    """
    turns, turns_changed = _cleaned(qa.conversation())
    answer_text, answer_changed = clean(qa.answer)
    answer_text, forged = without_forged_query(answer_text)
    around = frame(style, turns, encoder)
    answer = tuple(encoder.encode(around.answer_lead + answer_text.strip()))
    context, answer, truncated = fit(around.context, answer, budget - len(query.ids))
    sanitized = answer_changed or forged or turns_changed
    return Rendered(context, answer, truncated, sanitized)


def was_sanitized(qa: QuestionAnswer) -> bool:
    """Whether `clean` changes a text of the row, or its answer repeats the query."""
    answer, changed = clean(qa.answer)
    return changed or without_forged_query(answer)[1] or _cleaned(qa.conversation())[1]


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
