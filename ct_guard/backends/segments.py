"""What every tokenizer behind the encoder seam does alike: texts are encoded apart from each other,
as they stand in the middle of a sequence."""

from collections.abc import Callable

from ct_guard.errors import MismatchError

__all__ = ["PLAIN_TEXT_IS_SPECIAL", "segment_encoder", "single_id"]

_LEADS = ("\n", "0")
"""Encoded before every text and taken off again, so that SentencePiece's dummy prefix lands on it
instead of on the text. The second serves where the first merges with the text, as newlines do."""

PLAIN_TEXT_IS_SPECIAL = (
    "this tokenizer turns plain text into special tokens: it cannot be used safely"
)


def segment_encoder(tokenize: Callable[[str], list[int]]) -> Callable[[str], list[int]]:
    """A tokenizer's function from text to ids, without the prefix that it puts before a text."""
    leads = [(lead, tokenize(lead)) for lead in _LEADS]

    def encode(text: str) -> list[int]:
        for lead, lead_ids in leads:
            ids = tokenize(lead + text)
            if ids[: len(lead_ids)] == lead_ids:
                return ids[len(lead_ids) :]
        return tokenize(text)

    return encode


def single_id(label: str, ids: list[int]) -> int:
    """The one id that a label is encoded to; MismatchError when it is not one."""
    if len(ids) != 1:
        raise MismatchError(
            f"the label {label!r} is {len(ids)} tokens of this base model and must be one:"
            " take another base model, or an estimator that gives label ids"
        )
    return ids[0]
