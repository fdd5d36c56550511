"""Hearing what chat models and LLMs are asked and what they answer, wherever they run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langchain_core.tracers.context import _configure_hooks

from ct_guard.forks import ForkLock

__all__ = ["LastCall", "Listener", "ModelCall", "alone", "hearing", "unheard"]

_SUBGRAPH_STREAM = "__pregel_stream"
"""LangGraph's key in a config for the stream of the graph around: what runs inside writes to it."""


@dataclass(frozen=True)
class ModelCall:
    """One call of a model that has ended well."""

    run_id: UUID
    messages: list[BaseMessage]
    """What the model was asked."""
    answer: BaseMessage
    """Of several generations the first."""
    model: str | None
    """Who was asked, where the provider's integration says so."""
    chat: bool = True
    """Whether it is a chat model, and not one from text to text."""
    start: Mapping[str, Any] = field(default_factory=dict)
    """What else LangChain told of the call when it began: tags, metadata…"""


@dataclass(frozen=True)
class _Asked:
    messages: list[BaseMessage]
    chat: bool
    start: Mapping[str, Any]


class Listener(BaseCallbackHandler):
    """Pairs the start of every model call with its end. Safe to share between threads."""

    def __init__(self) -> None:
        self._asked: dict[UUID, _Asked] = {}
        self._lock = ForkLock()

    def heard(self, call: ModelCall) -> None:
        """A model has answered."""
        raise NotImplementedError

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        start = {"serialized": serialized, **kwargs}
        self._remember(run_id, _Asked(messages[0] if messages else [], True, start))

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any
    ) -> None:
        asked: list[BaseMessage] = [HumanMessage(prompt) for prompt in prompts[:1]]
        self._remember(run_id, _Asked(asked, False, {"serialized": serialized, **kwargs}))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        asked = self._forget(run_id)
        if asked is None or not response.generations or not response.generations[0]:
            return
        generation = response.generations[0][0]
        if isinstance(generation, ChatGeneration):
            answer: BaseMessage = generation.message
        else:
            answer = AIMessage(generation.text)
        model = (asked.start.get("metadata") or {}).get("ls_model_name")
        self.heard(ModelCall(run_id, asked.messages, answer, model, asked.chat, asked.start))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._forget(run_id)

    def _remember(self, run_id: UUID, asked: _Asked) -> None:
        with self._lock:
            self._asked[run_id] = asked

    def _forget(self, run_id: UUID) -> _Asked | None:
        with self._lock:
            return self._asked.pop(run_id, None)


class LastCall(Listener):
    """Keeps the model calls in the order in which they ended: of a chain or an agent, the last one
    is the one that answered."""

    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[ModelCall] = []

    @property
    def call(self) -> ModelCall | None:
        return self.calls[-1] if self.calls else None

    def heard(self, call: ModelCall) -> None:
        self.calls.append(call)


@contextmanager
def hearing(ear: Listener, *, held: bool) -> Iterator[None]:
    """What is run inside, and takes its callbacks from the run around it, is heard by `ear` too;
    `held`: by nobody else."""
    if held:
        with unheard({"callbacks": [ear]}):
            yield
        return
    token = var_child_runnable_config.set(merge_configs(ensure_config(), {"callbacks": [ear]}))
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def alone(config: RunnableConfig, callbacks: list[BaseCallbackHandler]) -> RunnableConfig:
    """The config for a run that is heard by these callbacks and writes to no stream around it."""
    settings = config.get("configurable") or {}
    kept = {key: value for key, value in settings.items() if key != _SUBGRAPH_STREAM}
    return RunnableConfig(**{**config, "callbacks": callbacks, "configurable": kept})


@contextmanager
def unheard(config: RunnableConfig | None = None) -> Iterator[None]:
    """What is run inside, with callbacks of its own or those of `config`, is heard by no callback,
    tracer or stream of the runs around it: it may be withheld yet."""
    from langsmith.run_helpers import tracing_context  # slow, and LangChain loads it late as well

    quiet = alone(ensure_config(), [])
    quiet.update(config or {})
    hooks = [(hook[0], hook[0].set(None)) for hook in _configure_hooks]
    token = var_child_runnable_config.set(quiet)
    try:
        with tracing_context(enabled=False):
            yield
    finally:
        var_child_runnable_config.reset(token)
        for variable, was in hooks:
            variable.reset(was)
