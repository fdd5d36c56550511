"""The call of a tool that runs is the one that was let through, whatever changes it on the way."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from ct_guard.errors import LowConfidenceError
from ct_guard.records import Decision

from .record import call_digest

__all__ = ["NotRunError", "as_let_through"]

Decide = Callable[[Mapping[str, Any]], Decision]
"""Whether a call that nobody has scored may run."""


class NotRunError(LowConfidenceError):
    """Stops a tool before it begins; `decision` says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.decision = decision


class _Watch(BaseCallbackHandler):
    """LangChain tells it of every tool that begins: by then nothing changes the call any more. A
    tool that runs inside the one that was let through is that one's own business."""

    raise_error = run_inline = True

    def __init__(self, request: ToolCallRequest, decide: Decide, around: "_Watch | None") -> None:
        self._let_through, self._decide, self._around = (
            call_digest(request.tool_call),
            decide,
            around,
        )
        config = getattr(request.runtime, "config", None) or {}
        self._node: UUID | None = getattr(config.get("callbacks"), "parent_run_id", None)
        self._begun = False

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Raises NotRunError for another call that may not run."""
        if self._around is not None:
            self._around.on_tool_start(
                serialized, input_str, parent_run_id=parent_run_id, inputs=inputs, **kwargs
            )
        if self._begun and parent_run_id != self._node:
            return
        self._begun = True
        call = {"name": serialized["name"], "args": input_str if inputs is None else inputs}
        if call_digest(call) != self._let_through:
            decision = self._decide(call)
            if decision.action != "pass":
                raise NotRunError(decision)


_WATCH: ContextVar[_Watch | None] = ContextVar("ct_guard_watch", default=None)
register_configure_hook(_WATCH, inheritable=False)


@contextmanager
def as_let_through(request: ToolCallRequest, decide: Decide) -> Iterator[None]:
    """Around whatever executes the request: a tool that begins with another name or other arguments
    is decided on anew, and raises NotRunError instead where it may not run."""
    token = _WATCH.set(_Watch(request, decide, _WATCH.get()))
    try:
        yield
    finally:
        _WATCH.reset(token)
