"""Hearing what chat models and LLMs are asked and what they answer, wherever they run."""

import threading
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult

__all__ = ["LastCall", "Listener", "ModelCall"]


@dataclass(frozen=True)
class ModelCall:
    """One call of a model that has ended well."""

    run_id: UUID
    messages: list[BaseMessage]
    """What the model was asked."""
    answer: BaseMessage
    """Of several generations the first."""
    model: str | None
    """Who answered, where the provider's integration says so."""


@dataclass(frozen=True)
class _Asked:
    messages: list[BaseMessage]
    model: str | None


class Listener(BaseCallbackHandler):
    """Pairs the start of every model call with its end. Safe to share between threads."""

    def __init__(self) -> None:
        self._asked: dict[UUID, _Asked] = {}
        self._lock = threading.Lock()

    def heard(self, call: ModelCall) -> None:
        """A model has answered."""
        raise NotImplementedError

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._remember(run_id, messages[0] if messages else [], metadata)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._remember(run_id, [HumanMessage(prompt) for prompt in prompts[:1]], metadata)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        asked = self._forget(run_id)
        if asked is None or not response.generations or not response.generations[0]:
            return
        generation = response.generations[0][0]
        if isinstance(generation, ChatGeneration):
            answer: BaseMessage = generation.message
        else:
            answer = AIMessage(generation.text)
        self.heard(ModelCall(run_id, asked.messages, answer, asked.model))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._forget(run_id)

    def _remember(
        self, run_id: UUID, messages: list[BaseMessage], metadata: dict[str, Any] | None
    ) -> None:
        asked = _Asked(messages, (metadata or {}).get("ls_model_name"))
        with self._lock:
            self._asked[run_id] = asked

    def _forget(self, run_id: UUID) -> _Asked | None:
        with self._lock:
            return self._asked.pop(run_id, None)


class LastCall(Listener):
    """Keeps the model call that ended last: of a chain or an agent, the one that answered."""

    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self.call: ModelCall | None = None

    def heard(self, call: ModelCall) -> None:
        self.call = call
