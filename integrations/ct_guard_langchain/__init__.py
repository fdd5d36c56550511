"""ct-guard for LangChain: chat models whose answers carry a calibrated P(correct).

from ct_guard_langchain import GuardedChatModel, get_confidence

model = GuardedChatModel(inner=your_chat_model, estimator="mini", policy=0.7)
answer = model.invoke("What is 2 plus 2?")
get_confidence(answer)["p"]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .callbacks import ConfidenceCallbackHandler, get_confidence_callback
    from .chat_model import GuardedChatModel
    from .guarding import Guarded
    from .local import ChatLocal
    from .middleware import ConfidenceMiddleware
    from .node import confidence_node, route_by_confidence
    from .record import ConfidenceRecord, get_confidence
    from .router import confidence_router
    from .runnable import ConfidenceGuard
    from .tools import low_confidence
    from .wrapping import wrap

_EXPORTS = {
    "ChatLocal": ".local",
    "ConfidenceCallbackHandler": ".callbacks",
    "ConfidenceMiddleware": ".middleware",
    "ConfidenceGuard": ".runnable",
    "ConfidenceRecord": ".record",
    "Guarded": ".guarding",
    "GuardedChatModel": ".chat_model",
    "confidence_router": ".router",
    "confidence_node": ".node",
    "get_confidence": ".record",
    "get_confidence_callback": ".callbacks",
    "low_confidence": ".tools",
    "route_by_confidence": ".node",
    "wrap": ".wrapping",
}

__all__ = [
    "ChatLocal",
    "ConfidenceCallbackHandler",
    "ConfidenceGuard",
    "ConfidenceMiddleware",
    "ConfidenceRecord",
    "Guarded",
    "GuardedChatModel",
    "confidence_node",
    "confidence_router",
    "get_confidence",
    "get_confidence_callback",
    "low_confidence",
    "route_by_confidence",
    "wrap",
]

_EXTRAS = {"langchain_core": "langchain", "langchain": "agents", "langgraph": "agents"}
"""What installs the library that an import missed."""


def __getattr__(name: str) -> Any:
    """Public names are imported on first use. Raises MissingExtraError without LangChain."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_EXPORTS[name], __name__)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        from ct_guard.errors import MissingExtraError

        raise MissingExtraError("ct_guard_langchain", extra) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
