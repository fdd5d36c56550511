"""Tools that run inside a guarded chain. Its tool gate decides on calls that the chain answers
with; of those that run on the way only a middleware can ask it."""

from contextvars import ContextVar
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from ct_guard.errors import PolicyError
from ct_guard.policies import ToolGate

__all__ = ["ASKED", "Ungated"]

ASKED: ContextVar[ToolGate | None] = ContextVar("ct_guard_gate_asked", default=None)
"""The gate that has let the call run which is running."""


class Ungated(BaseCallbackHandler):
    """Stops tools of which nobody has asked this gate, before they begin."""

    raise_error = run_inline = True

    def __init__(self, gate: ToolGate) -> None:
        self._gate = gate

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, **kwargs: Any) -> None:
        """Raises PolicyError for a tool whose calls need a confidence."""
        name = serialized["name"]
        asked = ASKED.get()
        if self._gate.needs(name) is None or (asked is not None and _alike(asked, self._gate)):
            return
        raise PolicyError(
            f"the tool gate cannot keep {name!r} from running, which runs inside the guarded chain:"
            " give the agent in it a ConfidenceMiddleware with this gate"
        )


def _alike(one: ToolGate, other: ToolGate) -> bool:
    return (one.thresholds, one.default) == (other.thresholds, other.default)
