"""Every way to run an agent, brought into one form: what its reader has seen at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage

from ct_guard_langchain import ConfidenceView, get_confidence

__all__ = ["SURFACES", "Run", "Seen", "is_valid", "run", "state_of"]


@dataclass(frozen=True)
class Seen:
    """The last answer and its record; None where this surface does not show it."""

    text: str | None
    record: ConfidenceView | None


Run = Callable[[Any, Any, Any], Awaitable[Seen]]
"""agent, input, config"""


async def _invoke(agent: Any, given: Any, config: Any) -> Seen:
    return _of_messages((await asyncio.to_thread(agent.invoke, given, config))["messages"])


async def _ainvoke(agent: Any, given: Any, config: Any) -> Seen:
    return _of_messages((await agent.ainvoke(given, config))["messages"])


async def _batch(agent: Any, given: Any, config: Any) -> Seen:
    return _of_messages((await asyncio.to_thread(agent.batch, [given], config))[0]["messages"])


async def _abatch(agent: Any, given: Any, config: Any) -> Seen:
    return _of_messages((await agent.abatch([given], config))[0]["messages"])


def _streamed(mode: str, read: Callable[[list[Any]], Seen]) -> tuple[Run, Run]:
    async def sync(agent: Any, given: Any, config: Any) -> Seen:
        return read(
            await asyncio.to_thread(lambda: list(agent.stream(given, config, stream_mode=mode)))
        )

    async def native(agent: Any, given: Any, config: Any) -> Seen:
        return read([part async for part in agent.astream(given, config, stream_mode=mode)])

    return sync, native


def _of_messages(messages: list[BaseMessage]) -> Seen:
    last = [said for said in messages if isinstance(said, AIMessage)][-1]
    return Seen(last.text, get_confidence(last))


def _of_updates(parts: list[dict[str, Any]]) -> Seen:
    updates = [update for part in parts for update in part.values() if isinstance(update, dict)]
    return _of_messages([said for update in updates for said in update.get("messages", [])])


def _of_tokens(parts: list[tuple[BaseMessage, Any]]) -> Seen:
    """The whole stream is read: what was taken back later has been seen too."""
    said = [message for message, _ in parts if isinstance(message, AIMessage | AIMessageChunk)]
    records = [record for message in said if (record := get_confidence(message))]
    return Seen("".join(message.text for message in said), records[-1] if records else None)


def _of_events(parts: list[dict[str, Any]]) -> Seen:
    events = [part for part in parts if part["type"] == "ct_guard.confidence"]
    about = ("type", "middleware")
    record: Any = {name: value for name, value in events[-1].items() if name not in about}
    return Seen(None, record)


_MODES = {
    "values": _streamed("values", lambda parts: _of_messages(parts[-1]["messages"])),
    "updates": _streamed("updates", _of_updates),
    "messages": _streamed("messages", _of_tokens),
    "custom": _streamed("custom", _of_events),
}

SURFACES: dict[str, Run] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "batch": _batch,
    "abatch": _abatch,
    **{f"stream {mode}": sync for mode, (sync, _) in _MODES.items()},
    **{f"astream {mode}": native for mode, (_, native) in _MODES.items()},
}


async def run(way: str, agent: Any, given: Any, config: Any = None) -> dict[str, Any]:
    """The final state, by "invoke" or "ainvoke"."""
    if way == "invoke":
        state = await asyncio.to_thread(agent.invoke, given, config)
    else:
        state = await agent.ainvoke(given, config)
    result: dict[str, Any] = state
    return result


async def state_of(agent: Any, way: str, config: Any) -> Any:
    """The snapshot of a thread."""
    if way == "invoke":
        return await asyncio.to_thread(agent.get_state, config)
    return await agent.aget_state(config)


def is_valid(messages: list[BaseMessage]) -> bool:
    """Whether a provider would take this history: each call has its one result, right after it, and
    no result is without its call."""
    waiting: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                return False
            waiting.remove(message.tool_call_id)
            continue
        if waiting:
            return False
        if isinstance(message, AIMessage):
            waiting = [str(call["id"]) for call in message.tool_calls]
    return not waiting
