"""An answer of an estimator's own base model: generated and assessed on one cache."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from ct_guard.backends import KV, Generation, GenerationSettings
from ct_guard.backends.conversations import Conversations
from ct_guard.errors import BackendError, UsageError
from ct_guard.forks import ForkLock
from ct_guard.query import render_context
from ct_guard.records import Assessment, QuestionAnswer

from .guard import Guard

__all__ = ["Reply"]


class Reply:
    """Iterating gives the answer's text in parts, as they are made; then it can be assessed:

        with Reply(guard, conversations, asked, GenerationSettings(max_tokens=64)) as reply:
            for text in reply: ...
            reply.assess()

    `asked` is the conversation; its answer is ignored. The prompt is read once, less what
    `conversations` holds of it, and the confidence costs the query's tokens.

    Raises UsageError for a conversation that leaves no room for an answer. Afterwards `close` must
    be called, from any thread: a part that is being made is waited for, and what was made is kept
    for the conversation's next turn.
    """

    def __init__(
        self,
        guard: Guard,
        conversations: Conversations,
        asked: QuestionAnswer,
        settings: GenerationSettings,
    ) -> None:
        estimator = guard.estimator
        self._guard, self._conversations, self._asked = guard, conversations, asked
        prompt, _ = render_context(
            asked.conversation(), estimator.manifest.style, estimator.engine.encoder
        )
        room = estimator.budget - len(prompt) - len(estimator.asked.ids)
        if room < 1:
            raise UsageError(
                f"a conversation of {len(prompt)} tokens leaves no room for an answer: the"
                f" estimator {estimator.name} reads {estimator.budget} in all"
            )
        self._stream = conversations.stream(
            prompt, replace(settings, max_tokens=min(settings.max_tokens, room))
        )
        self._turn = ForkLock()
        self._closing = self._closed = False

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._closing:
            raise StopIteration
        with self._turn:
            try:
                return next(self._stream).text
            except StopIteration:
                raise
            except Exception:
                self._closed = True  # nothing is left to keep
                raise

    def finish(self) -> None:
        """Make the whole answer, or what is made of it until `close` is called."""
        for _ in self:
            pass

    @property
    def made(self) -> Generation:
        """The whole answer, once it is exhausted."""
        return self._stream.result

    def assess(self) -> Assessment:
        """Assess the whole answer."""
        qa, kv = self._answered()
        return self._guard.assess(qa) if kv is None else self._guard.assess_generated(qa, kv)

    async def aassess(self) -> Assessment:
        """`assess` without blocking the event loop."""
        qa, kv = self._answered()
        if kv is None:
            return await self._guard.aassess(qa)
        return await self._guard.aassess_generated(qa, kv)

    def close(self) -> None:
        """End the answer where it is. Closing again does nothing."""
        self._closing = True
        with self._turn:
            if self._closed:
                return
            self._closed = True
            with suppress(BackendError):  # a cache that cannot be completed is not kept
                self._stream.close()
                if (kv := self._stream.result.kv) is not None:
                    self._conversations.keep(kv)

    def _answered(self) -> tuple[QuestionAnswer, KV | None]:
        """The answer, and its cache where that says the same as the text."""
        made = self.made
        same = self._guard.estimator.engine.encoder.decode(made.ids) == made.text
        return self._asked.model_copy(update={"answer": made.text}), made.kv if same else None
