"""A language model in this process, through a backend that generates."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Literal

from ct_guard.backends import Backend, GenerationSettings
from ct_guard.errors import BackendError, MismatchError
from ct_guard.query import ContextStyle, render_prompt
from ct_guard.records import Message

from .base import Reply, Request, Sampling

__all__ = ["LocalAnswerer", "Style", "style_of"]

Style = ContextStyle | Literal["auto"]
"""`auto`: the model's chat template where it has one, else raw."""


class LocalAnswerer:
    """Generates in batches of prompts of like length, which halve when memory runs out.

    A sampled answer depends on its batch, which is made from the requests of one call: the same
    call with the same seeds gives the same answers. Samples of a question share a batch.
    """

    def __init__(
        self,
        backend: Backend,
        name: str,
        *,
        style: Style = "auto",
        batch_size: int = 16,
        quantization: str | None = None,
    ) -> None:
        """`quantization` is how the backend loaded the model ("8bit", "4bit"; None: it did not).

        Raises MismatchError for a backend that cannot generate, and for a chat style where the
        model has no chat template.
        """
        if not backend.capabilities.generates:
            raise MismatchError(f"the backend {backend.name} cannot generate answers")
        self.name = name
        self.style = style_of(backend, style)
        self._backend = backend
        self.batch_size = batch_size
        self._quantization = quantization

    @property
    def settings(self) -> Mapping[str, str | float | int | bool | None]:
        return {
            "backend": self._backend.name,
            "fingerprint": self._backend.fingerprint,
            "dtype": self._backend.format,
            "style": self.style,
            "quantization": self._quantization,
        }

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        prompts = [self._prompt(request) for request in requests]
        replies = [prompt if isinstance(prompt, Reply) else Reply("") for prompt in prompts]
        ready = {at: prompt for at, prompt in enumerate(prompts) if not isinstance(prompt, Reply)}

        def drawn(at: int) -> tuple[object, ...]:
            sampling = requests[at].sampling
            return sampling.temperature, sampling.max_tokens, sampling.first_line

        for _, group in groupby(sorted(ready, key=lambda at: (drawn(at), len(ready[at]))), drawn):
            rows = list(group)
            while rows:
                batch, rows = rows[: self.batch_size], rows[self.batch_size :]
                seeds = [requests[at].sampling.seed for at in batch]
                made = self._generate(
                    [ready[at] for at in batch], seeds, requests[batch[0]].sampling
                )
                for at, reply in zip(batch, made, strict=True):
                    replies[at] = reply
        return replies

    def _prompt(self, request: Request) -> tuple[int, ...] | Reply:
        try:
            ids = render_prompt(request.turns, self.style, self._backend.encoder)
        except MismatchError as error:
            return Reply(None, str(error))
        room = self._backend.max_tokens - request.sampling.max_tokens
        if len(ids) > room:
            return Reply(
                None,
                f"the prompt is {len(ids)} tokens and the model reads {max(0, room)} beside"
                f" {request.sampling.max_tokens} new ones",
            )
        return ids

    def _generate(
        self, prompts: list[tuple[int, ...]], seeds: list[int], sampling: Sampling
    ) -> list[Reply]:
        try:
            made = self._backend.generate(
                prompts,
                GenerationSettings(
                    max_tokens=sampling.max_tokens,
                    temperature=sampling.temperature,
                    seed=_seed(prompts, seeds) if sampling.temperature > 0 else None,
                    stop=("\n",) if sampling.first_line else (),
                ),
            )
        except BackendError as error:
            return [Reply(None, str(error), stop=True)] * len(prompts)
        except RuntimeError as error:
            from ct_guard.backends.placement import out_of_memory

            if not out_of_memory(error):
                raise
            if len(prompts) == 1:
                return [Reply(None, "out of memory with one prompt: use fewer `max_tokens`")]
            half = self.batch_size = len(prompts) // 2
            return self._generate(prompts[:half], seeds[:half], sampling) + self._generate(
                prompts[half:], seeds[half:], sampling
            )
        return [Reply(self._backend.encoder.decode(generation.ids)) for generation in made]


def style_of(backend: Backend, style: Style) -> ContextStyle:
    """The context style that `style` means for this model. Raises MismatchError for a chat style
    where the model has no chat template."""
    probe = (Message(role="user", content="?"),)
    if style != "auto":
        render_prompt(probe, style, backend.encoder)
        return style
    try:
        render_prompt(probe, "chat_turn", backend.encoder)
    except MismatchError:
        return "raw"
    return "chat_turn"


def _seed(prompts: list[tuple[int, ...]], seeds: list[int]) -> int:
    """Different for every batch and its seeds: like questions in different batches draw apart."""
    digest = hashlib.sha256(repr((seeds, prompts)).encode()).digest()
    return int.from_bytes(digest[:4])
