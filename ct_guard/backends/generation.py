"""Answers by a Hugging Face model: one on a cache that goes on, or a batch at once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BatchEncoding

from ct_guard.errors import BackendError

from .base import KV, Generation, GenerationSettings
from .decoding import common_prefix
from .forward import Decoder, Past, cropped, live
from .placement import out_of_memory
from .streaming import TextStream, whole_tokens
from .tokens import TokenizerEncoder

__all__ = ["CacheReader", "end_ids", "generate_batch"]


class Engine(Protocol):
    """What a reader needs of the backend that it reads for."""

    @property
    def decoder(self) -> Decoder: ...

    def working(self) -> AbstractContextManager[None]: ...


class CacheReader:
    """A `Reader` that begins with what `past` and `prompt` have in common. Caches are branched,
    never written to, so that `past` stays as it was."""

    def __init__(self, backend: Engine, prompt: Sequence[int], past: KV | None) -> None:
        self._backend = backend
        self._past: Past | None = None
        self.ids: tuple[int, ...] = ()
        if past is not None:
            self._past, self.ids = live(past), past.ids
            # The last token is read in any case: its logits are where the answer begins.
            self.cut(min(common_prefix(past.ids, prompt), len(prompt) - 1))

    def read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        with self._backend.working():
            try:
                step = self._backend.decoder.read([ids], self._past)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                raise BackendError(
                    f"out of memory at {len(self.ids) + len(ids)} tokens: use a shorter"
                    " conversation, or keep the caches of fewer"
                ) from error
            self._past = step.past
            self.ids = (*self.ids, *ids)
            head = self._backend.decoder.head
            logits: NDArray[np.float32] = head.every(step.hidden[0, -1]).cpu().numpy()
            return logits

    def cut(self, length: int) -> None:
        if self._past is not None and length < len(self.ids):
            self._past = cropped(self._past, length)
            self.ids = self.ids[:length] if self._past is not None else ()

    def keep(self) -> Past | None:
        return self._past

    def drop(self) -> None:
        self._past, self.ids = None, ()


def end_ids(model: Any, tokens: TokenizerEncoder) -> set[int]:
    """What an answer ends at: the model's end tokens, and padding."""
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return {token for token in (*ends, tokens.tokenizer.pad_token_id) if token is not None}


def generate_batch(
    model: Any,
    tokens: TokenizerEncoder,
    prompts: Sequence[tuple[int, ...]],
    settings: GenerationSettings,
) -> list[Generation]:
    """Answers to several prompts in one batch, without their caches."""
    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, prompt in enumerate(prompts):
        ids[number, width - len(prompt) :] = torch.tensor(prompt)
        mask[number, width - len(prompt) :] = 1
    with torch.random.fork_rng(enabled=settings.seed is not None):
        if settings.seed is not None:
            torch.manual_seed(settings.seed)
        output = model.generate(
            **BatchEncoding({"input_ids": ids, "attention_mask": mask}).to(model.device),
            max_new_tokens=settings.max_tokens,
            pad_token_id=tokens.pad_id,
            top_k=None,
            return_dict_in_generate=True,
            output_logits=True,
            **_stopping(tokens, settings),
            **_sampling(settings),
        )
    new = output.sequences[:, width:]
    logits = torch.stack(output.logits, dim=1).float()
    chosen = logits.log_softmax(-1).gather(-1, new[..., None])[..., 0].cpu().numpy()
    ends = end_ids(model, tokens)
    return [
        _answer(prompt, row, logprobs, tokens, settings, ends)
        for prompt, row, logprobs in zip(prompts, new.tolist(), chosen, strict=True)
    ]


def _stopping(tokens: TokenizerEncoder, settings: GenerationSettings) -> dict[str, Any]:
    stop = [mark for mark in settings.stop if mark]
    return {"stop_strings": stop, "tokenizer": tokens.tokenizer} if stop else {}


def _sampling(settings: GenerationSettings) -> dict[str, Any]:
    if settings.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None}
    return {
        "do_sample": True,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
    }


def _answer(
    prompt: tuple[int, ...],
    row: list[int],
    logprobs: NDArray[np.float32],
    tokens: TokenizerEncoder,
    settings: GenerationSettings,
    ends: set[int],
) -> Generation:
    """One row of a batch, up to its end token or stop string."""
    stream = TextStream(tokens.decode, settings.stop)
    said, text, ended = [], "", False
    for token in row:
        ended = token in ends
        if ended or stream.stopped:
            break
        said.append(token)
        text += stream.push(token)
    text += stream.finish()
    if stream.stopped:
        said = said[: whole_tokens(said, text, tokens.decode)]
    return Generation(
        ids=tuple(said),
        text=text,
        logprobs=logprobs[: len(said)],
        kv=None,
        cached_tokens=0,
        prefilled_tokens=len(prompt),
        finish="stop" if ended or stream.stopped else "length",
    )
