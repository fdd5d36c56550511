"""Telling callbacks, tracers and streams of model calls that were held, once it is decided what
they may hear; and noting a confidence on a run that they follow."""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.base import BaseTracer

from .delivery import is_silent, silent
from .listening import ModelCall
from .record import ConfidenceRecord, get_confidence

__all__ = ["NOSTREAM", "WITHHELD", "atell", "note", "note_in", "tell"]

NOSTREAM = "nostream"
"""LangGraph's tag of a model whose messages are not streamed."""

WITHHELD = "ct_guard_withheld"
"""In the metadata of a call of which nobody may hear the answer."""


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
    record = get_confidence(said)
    noted = {} if record is None else _noted(record, None)
    withheld = {} if said is not None else {WITHHELD: True}
    quiet = [NOSTREAM] if said is None or is_silent(said) else []
    return {
        "inheritable_callbacks": config.get("callbacks"),
        "local_callbacks": callbacks,
        "inheritable_tags": config.get("tags"),
        "local_tags": [*(call.start.get("tags") or []), *quiet],
        "inheritable_metadata": config.get("metadata"),
        "local_metadata": {**(call.start.get("metadata") or {}), **noted, **withheld},
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
