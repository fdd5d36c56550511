"""Any chat model that LangChain knows, as `provider:model`."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from ct_guard.errors import MissingExtraError, UsageError
from ct_guard.remote import without_secrets

from .base import Reply, Request, Sampling, reply_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

__all__ = ["LangChainAnswerer"]

FAILURES_IN_A_ROW = 5
"""Questions that got no reply, one after the other, before the provider counts as down."""


class LangChainAnswerer:
    """Asks a chat model through its `batch`. Keys are read by the provider's package, from the
    environment variables that it names; retries and time-outs are its own, too."""

    def __init__(
        self, name: str, make: Callable[[int, float], "BaseChatModel"], *, concurrency: int = 8
    ) -> None:
        """`make` gives the chat model for a number of tokens, at most, and a temperature."""
        self.name = name
        self._make = cache(make)
        self.concurrency = concurrency
        self._failures = 0

    @classmethod
    def load(
        cls, model: str, *, timeout: float = 60.0, retries: int = 4, concurrency: int = 8
    ) -> "LangChainAnswerer":
        """The chat model named `provider:model`. Raises UsageError for one that LangChain does not
        know or that cannot be set up, MissingExtraError where LangChain is not installed."""
        try:
            from langchain.chat_models import init_chat_model
        except ModuleNotFoundError:
            raise MissingExtraError(f"the chat model {model!r}", "agents") from None

        def make(max_tokens: int, temperature: float) -> "BaseChatModel":
            try:
                return init_chat_model(
                    model,
                    max_tokens=max_tokens,
                    temperature=temperature,
                    timeout=timeout,
                    max_retries=retries,
                )
            except Exception as error:  # each provider's package raises its own
                raise UsageError(f"cannot set up {model!r}: {_one_line(error)}") from None

        answerer = cls(model, make, concurrency=concurrency)
        answerer._make(1, 0.0)
        return answerer

    @property
    def settings(self) -> Mapping[str, str | float | int | bool | None]:
        return {"through": "langchain"}

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        def drawn(at: int) -> tuple[int, float]:
            return _drawn(requests[at].sampling)

        replies = [Reply(None, "never asked")] * len(requests)
        for (max_tokens, temperature), group in groupby(
            sorted(range(len(requests)), key=drawn), drawn
        ):
            rows = list(group)
            said = self._make(max_tokens, temperature).batch(
                [_messages(requests[at]) for at in rows],
                config={"max_concurrency": self.concurrency},
                return_exceptions=True,
            )
            for at, message in zip(rows, said, strict=True):
                # return_exceptions is not in the declared type of what comes back
                problem: object = message
                replies[at] = (
                    Reply(None, _one_line(problem))
                    if isinstance(problem, BaseException)
                    else _said(message, max_tokens)
                )
        return self._stopped(requests, replies)

    def _stopped(self, requests: Sequence[Request], replies: list[Reply]) -> list[Reply]:
        """The replies; in an outage those since the last one with a text say `stop`.

        Questions are counted, over all calls: one that the provider declines fails with all its
        samples, and stops nothing.
        """
        told = 0
        for _, group in groupby(range(len(requests)), lambda at: requests[at].turns):
            rows = list(group)
            if any(replies[at].text is not None for at in rows):
                self._failures, told = 0, rows[-1] + 1
            else:
                self._failures += 1
        if self._failures < FAILURES_IN_A_ROW:
            return replies
        said = f"({self._failures} questions in a row got no reply)"
        return replies[:told] + [
            Reply(None, f"{reply.error} {said}", stop=True) for reply in replies[told:]
        ]


def _drawn(sampling: Sampling) -> tuple[int, float]:
    return sampling.max_tokens, sampling.temperature


def _said(message: "BaseMessage", max_tokens: int) -> Reply:
    how = message.response_metadata
    finish = how.get("finish_reason") or how.get("stop_reason")
    refusal = message.additional_kwargs.get("refusal")
    text = without_secrets(str(message.text))
    reply = reply_of(text, finish=finish, refusal=refusal, max_tokens=max_tokens)
    return reply if reply is not None else Reply(text)


def _messages(request: Request) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in request.turns]


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return without_secrets(said)[:300]
