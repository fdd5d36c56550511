"""A Hugging Face tokenizer behind the encoder seam: user text never becomes special tokens."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from tokenizers import Tokenizer

from ct_guard.errors import BackendError, MismatchError
from ct_guard.records import Message

from .chat_template import ChatTemplate
from .foreign import digesting
from .segments import PLAIN_TEXT_IS_SPECIAL, segment_encoder, single_id
from .template_tokens import added_markup, apart_from, rendered_probes, vocabulary_markup

__all__ = ["TokenizerEncoder"]


class TokenizerEncoder:
    """Wraps a fast tokenizer. Two copies of its core are kept: one parses special tokens, for our
    own text, one never does."""

    def __init__(self, tokenizer: Any) -> None:
        core = getattr(tokenizer, "backend_tokenizer", None)
        if core is None:
            raise MismatchError("this model has no fast tokenizer (tokenizer.json)")
        self.tokenizer = tokenizer
        with digesting(
            BackendError, "this base model's tokenizer cannot be used ({}): fetch it again"
        ):
            self._prepare(core)

    def _prepare(self, core: Tokenizer) -> None:
        tokenizer = self.tokenizer
        self._trusted = _plain_core(core)
        self._untrusted = _plain_core(core)
        self._untrusted.encode_special_tokens = True
        self._special_ids = _special_ids(tokenizer, self._trusted)
        self._special_ids |= self._template_ids()
        marks = set(filter(None, map(self._trusted.id_to_token, self._special_ids)))
        self._encode_plain = apart_from(
            marks, segment_encoder(partial(_ids, self._untrusted)), self._is_marked
        )
        encode_trusted = segment_encoder(partial(_ids, self._trusted))
        self._cached = lru_cache(maxsize=4096)(lambda text: tuple(encode_trusted(text)))
        start = tokenizer("", add_special_tokens=True)["input_ids"]
        bos = tokenizer.bos_token_id
        self.start_ids: tuple[int, ...] = (bos,) if bos is not None and bos in start[:1] else ()
        pad = tokenizer.pad_token_id
        self.pad_id: int = pad if pad is not None else (tokenizer.eos_token_id or 0)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        if not text:
            return []
        if special:
            return list(self._cached(text))
        # A lone surrogate cannot be encoded; it stands for bytes that were no text to begin with.
        return self._encode_plain(text.encode("utf-8", "replace").decode())

    def encode_whole(self, text: str) -> list[int]:
        ids = _ids(self._untrusted, text.encode("utf-8", "replace").decode())
        if self._is_marked(ids):
            raise MismatchError(PLAIN_TEXT_IS_SPECIAL)
        return [*self.start_ids, *ids]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def label_id(self, label: str) -> int:
        """Found as the reference does, with the tokenizer's own dummy prefix where it has one."""
        return single_id(label, _ids(self._trusted, label))

    def render_chat(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        return self._template().render(messages, generation_prompt=generation_prompt)

    def _template(self) -> ChatTemplate:
        known = getattr(self.tokenizer, "chat_template", None)
        source = self.tokenizer.get_chat_template() if known else None
        return ChatTemplate(source, self.tokenizer.special_tokens_map)

    def _template_ids(self) -> frozenset[int]:
        """Ids of the template's marks, whatever they are flagged as."""
        written = rendered_probes(
            lambda turns, prompt: self.render_chat(turns, generation_prompt=prompt)
        )
        vocabulary: dict[str, int] = self._trusted.get_vocab()
        added = [entry.content for entry in self._trusted.get_added_tokens_decoder().values()]
        marks = added_markup(added, f"{written}\n{self.tokenizer.chat_template or ''}")
        marks |= vocabulary_markup(vocabulary, written)
        return frozenset(vocabulary[mark] for mark in marks)

    def _is_marked(self, ids: list[int]) -> bool:
        return not self._special_ids.isdisjoint(ids)


def _ids(core: Tokenizer, text: str) -> list[int]:
    with digesting(BackendError, "this base model's tokenizer fails on a text ({}): take another"):
        return list(core.encode(text, add_special_tokens=False).ids)


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
