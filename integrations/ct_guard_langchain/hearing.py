"""Who hears of model calls. What chat models and LLMs are asked and answer is heard wherever they
run; of calls that were held, callbacks, tracers and streams are told once it is decided what they
may hear."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.globals import get_debug
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.context import _configure_hooks
from langchain_core.tracers.stdout import ConsoleCallbackHandler

from ct_guard.forks import ForkLock

from .delivery import is_silent, silent
from .record import ConfidenceRecord, record_in

__all__ = [
    "HEARD_BY",
    "NOSTREAM",
    "WITHHELD",
    "LastCall",
    "Listener",
    "ModelCall",
    "alone",
    "atell",
    "handlers_in",
    "hearing",
    "note",
    "note_in",
    "tell",
    "unheard",
]

M = TypeVar("M", bound=Runnable[Any, Any])

_SUBGRAPH_STREAM = "__pregel_stream"
"""LangGraph's key in a config for the stream of the graph around: what runs inside writes to it."""

NOSTREAM = "nostream"
"""LangGraph's tag of a model whose messages are not streamed."""

HEARD_BY = "ct_guard_heard_by_"
"""In the metadata of a call in a chain, with a number: who is to be told of it."""

WITHHELD = "ct_guard_withheld"
"""In the metadata of a call of which nobody may hear the answer."""


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
        with unheard(ear):
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
    heard = [*callbacks, _Nobody()] if get_debug() else callbacks
    return RunnableConfig(**{**config, "callbacks": heard, "configurable": kept})


class _Nobody(ConsoleCallbackHandler):
    """In whose presence LangChain, told to debug, adds no console."""

    ignore_llm = ignore_chat_model = ignore_chain = ignore_agent = True
    ignore_retriever = ignore_retry = ignore_custom_event = True


@contextmanager
def unheard(*callbacks: BaseCallbackHandler) -> Iterator[None]:
    """What is run inside, with callbacks of its own or these, is heard by no callback, tracer or
    stream of the runs around it: it may be withheld yet."""
    from langsmith.run_helpers import tracing_context  # slow, and LangChain loads it late as well

    quiet = alone(ensure_config(), list(callbacks))
    hooks = [  # one that a variable of the environment sets would be made where there is none
        (variable, variable.set(_Nobody() if named else None))
        for variable, _, _, named in _configure_hooks
    ]
    token = var_child_runnable_config.set(quiet)
    try:
        with tracing_context(enabled=False):
            yield
    finally:
        var_child_runnable_config.reset(token)
        for variable, was in hooks:
            variable.reset(was)


def handlers_in(callbacks: Callbacks) -> list[BaseCallbackHandler]:
    """The handlers themselves."""
    return callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or []


def tell(
    call: ModelCall, said: BaseMessage | None, config: RunnableConfig, *, callbacks: Any = None
) -> None:
    """Whoever listens to the run of `config`, and `callbacks`, hear of the call as if it ran now,
    with `said` for its answer; None: only that it was made, and its tokens."""
    manager = CallbackManager.configure(**_about(call, said, config, callbacks))
    start: Any = manager.on_chat_model_start if call.chat else manager.on_llm_start
    runs: list[CallbackManagerForLLMRun] = start(*_asked(call), **_start(call))
    for run in runs:
        if call.chat and isinstance(said, AIMessage) and not is_silent(said):
            run.on_llm_new_token(said.text, chunk=_in_one(said))
        run.on_llm_end(_result(call, said))


async def atell(
    call: ModelCall, said: BaseMessage | None, config: RunnableConfig, *, callbacks: Any = None
) -> None:
    """`tell`, from an async run."""
    manager = AsyncCallbackManager.configure(**_about(call, said, config, callbacks))
    start: Any = manager.on_chat_model_start if call.chat else manager.on_llm_start
    runs: list[AsyncCallbackManagerForLLMRun] = await start(*_asked(call), **_start(call))
    for run in runs:
        if call.chat and isinstance(said, AIMessage) and not is_silent(said):
            await run.on_llm_new_token(said.text, chunk=_in_one(said))
        await run.on_llm_end(_result(call, said))


def note(run: Any, record: ConfidenceRecord, *, model: str | None = None) -> None:
    """Write p and the action into the metadata that tracers keep of a run, given by its manager;
    `model` is who answered, where that is not who was asked."""
    if run is not None:
        _note(run.handlers, run.run_id, _noted(record, model))


def note_in(config: RunnableConfig, record: ConfidenceRecord) -> None:
    """`note`, for the run around a config."""
    manager = config.get("callbacks")
    if isinstance(manager, BaseCallbackManager) and manager.parent_run_id is not None:
        _note(manager.handlers, manager.parent_run_id, _noted(record, None))


def _note(handlers: Any, run_id: Any, noted: Mapping[str, Any]) -> None:
    for handler in handlers:
        if isinstance(handler, BaseTracer) and (run := handler.run_map.get(str(run_id))):
            run.add_metadata(dict(noted))


def _noted(record: ConfidenceRecord, model: str | None) -> dict[str, Any]:
    noted: dict[str, Any] = {"ct_guard_p": record["p"], "ct_guard_action": record["action"]}
    return noted if model is None else {**noted, "ls_model_name": model}


def _in_one(said: AIMessage) -> ChatGenerationChunk:
    """A message as the only chunk of its stream."""
    fields = {name: getattr(said, name) for name in AIMessage.model_fields if name != "type"}
    return ChatGenerationChunk(message=AIMessageChunk(**fields, chunk_position="last"))


def _about(
    call: ModelCall, said: BaseMessage | None, config: RunnableConfig, callbacks: Any
) -> dict[str, Any]:
    record = record_in(said)
    noted = {} if record is None else _noted(record, None)
    withheld = {} if said is not None else {WITHHELD: True}
    quiet = [NOSTREAM] if said is None or is_silent(said) else []
    known = call.start.get("metadata") or {}
    about = {name: value for name, value in known.items() if not name.startswith(HEARD_BY)}
    return {
        "inheritable_callbacks": config.get("callbacks"),
        "local_callbacks": callbacks,
        "inheritable_tags": config.get("tags"),
        "local_tags": [*(call.start.get("tags") or []), *quiet],
        "inheritable_metadata": config.get("metadata"),
        "local_metadata": {**about, **noted, **withheld},
    }


def _asked(call: ModelCall) -> tuple[Any, ...]:
    serialized = call.start.get("serialized") or {}
    if call.chat:
        return serialized, [call.messages]
    return serialized, [message.text for message in call.messages]


def _start(call: ModelCall) -> dict[str, Any]:
    told = ("serialized", "tags", "metadata", "parent_run_id")
    others = {key: value for key, value in call.start.items() if key not in told}
    return {"run_id": call.run_id, **others}


def _result(call: ModelCall, said: BaseMessage | None) -> LLMResult:
    message = silent(call.answer) if said is None else said
    if call.chat:
        return LLMResult(generations=[[ChatGeneration(message=message)]])
    return LLMResult(generations=[[Generation(text=cast("str", message.text))]])
