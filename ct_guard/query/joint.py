"""Boundary `joint`: context, answer and query tokenised as one text, as the reference does.

Tokens may then span the seams, and SentencePiece puts its dummy prefix before the whole instead of
nowhere. The query must stand unchanged at the end, or nothing is joined.
"""

from ct_guard.errors import MismatchError

from .encoder import Encoder
from .template import QUERY_TEXT

__all__ = ["join"]


def join(
    context: str, answer: str, query: tuple[int, ...], encoder: Encoder, *, asked: bool
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Ids of context and answer as they stand in the whole text; the query's ids follow them.

    The text is `{context} {answer}`, with the query where it is `asked` (a probe reads the answer's
    last token instead), stripped at both ends. The seam between the two parts is where the whole
    stops to agree with the context alone; both have tokens. None where the query's ids do not stand
    unchanged at the end, as with a tokenizer that merges a full stop with the newlines behind it,
    and where a text would become a token of the chat template.
    """
    text = f"{context} {answer}{QUERY_TEXT if asked else ''}".strip()
    try:
        ids = tuple(encoder.encode_whole(text))
    except MismatchError:  # a token of the template is in it: encoded apart, it can be taken apart
        return None
    if asked:
        if ids[len(ids) - len(query) :] != query:
            return None
        ids = ids[: len(ids) - len(query)]
    if len(ids) < 2:
        return None
    seam = 0
    for ours, whole in zip(encoder.encode_whole(context), ids, strict=False):
        if ours != whole:
            break
        seam += 1
    seam = min(max(seam, 1), len(ids) - 1)
    return ids[:seam], ids[seam:]
