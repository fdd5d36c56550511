"""A Hugging Face tokenizer behind the encoder seam: user text never becomes special tokens."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from ct_guard.errors import MismatchError
from ct_guard.records import Message

__all__ = ["TokenizerEncoder"]

_LEADS = ("\n", "0")
"""Encoded before every text and taken off again, so that SentencePiece's dummy prefix lands on it
instead of on the text. The second serves where the first merges with the text, as newlines do."""


class TokenizerEncoder:
    """Wraps a fast tokenizer. Two copies of its core are kept: one parses special tokens, for our
    own text, one never does."""

    def __init__(self, tokenizer: Any) -> None:
        core = getattr(tokenizer, "backend_tokenizer", None)
        if core is None:
            raise MismatchError("this model has no fast tokenizer (tokenizer.json)")
        self.tokenizer = tokenizer
        self._trusted = _plain_core(core)
        self._untrusted = _plain_core(core)
        self._untrusted.encode_special_tokens = True
        self._special_ids = _special_ids(tokenizer, self._trusted)
        self._leads = [
            (lead, self._trusted.encode(lead, add_special_tokens=False).ids) for lead in _LEADS
        ]
        self._cached = lru_cache(maxsize=4096)(self._encode_trusted)
        start = tokenizer("", add_special_tokens=True)["input_ids"]
        bos = tokenizer.bos_token_id
        self.start_ids: tuple[int, ...] = (bos,) if bos is not None and bos in start[:1] else ()
        pad = tokenizer.pad_token_id
        self.pad_id: int = pad if pad is not None else (tokenizer.eos_token_id or 0)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        if special:
            return list(self._cached(text))
        if not text:
            return []
        # A lone surrogate cannot be encoded; it stands for bytes that were no text to begin with.
        ids = self._after_lead(self._untrusted, text.encode("utf-8", "replace").decode())
        if not self._special_ids.isdisjoint(ids):
            raise MismatchError(
                "this tokenizer turns plain text into special tokens: it cannot be used safely"
            )
        return ids

    def _encode_trusted(self, text: str) -> tuple[int, ...]:
        return tuple(self._after_lead(self._trusted, text)) if text else ()

    def _after_lead(self, core: Tokenizer, text: str) -> list[int]:
        """Ids of `text` as they stand in the middle of a sequence."""
        for lead, lead_ids in self._leads:
            ids: list[int] = core.encode(lead + text, add_special_tokens=False).ids
            if ids[: len(lead_ids)] == lead_ids:
                return ids[len(lead_ids) :]
        return list(core.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def label_id(self, label: str) -> int:
        """Found as the reference does, with the tokenizer's own dummy prefix where it has one."""
        ids = self._trusted.encode(label, add_special_tokens=False).ids
        if len(ids) != 1:
            raise MismatchError(
                f"the label {label!r} is {len(ids)} tokens here and must be one:"
                " use another tokenizer or give explicit label ids"
            )
        return int(ids[0])

    def render_chat(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        if not getattr(self.tokenizer, "chat_template", None):
            raise MismatchError("this model has no chat template: use the context style 'raw'")
        turns = [message.model_dump() for message in messages]
        try:
            text = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=generation_prompt
            )
        except TemplateError as error:
            raise MismatchError(
                f"the chat template refuses this conversation ({error}): leave the turn out that it"
                " does not know, or use the context style 'raw'"
            ) from error
        return str(text)


def _special_ids(tokenizer: Any, core: Tokenizer) -> frozenset[int]:
    """Ids that plain text must never become. The unknown token is not one of them, as a word that
    a small vocabulary lacks is no attack, unless it also begins, ends or pads a sequence."""
    added = core.get_added_tokens_decoder().items()
    ids = {token for token, entry in added if entry.special} | set(tokenizer.all_special_ids)
    if tokenizer.unk_token not in (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token):
        ids.discard(tokenizer.unk_token_id)
    return frozenset(ids)


def _plain_core(core: Tokenizer) -> Tokenizer:
    """A copy without truncation and padding, which a saved tokenizer may carry."""
    copy: Tokenizer = Tokenizer.from_str(core.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy
