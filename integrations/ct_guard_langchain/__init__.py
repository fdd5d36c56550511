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
    from .local import ChatLocal
    from .record import ConfidenceRecord, get_confidence

_EXPORTS = {
    "ChatLocal": ".local",
    "ConfidenceCallbackHandler": ".callbacks",
    "ConfidenceRecord": ".record",
    "GuardedChatModel": ".chat_model",
    "get_confidence": ".record",
    "get_confidence_callback": ".callbacks",
}

__all__ = [
    "ChatLocal",
    "ConfidenceCallbackHandler",
    "ConfidenceRecord",
    "GuardedChatModel",
    "get_confidence",
    "get_confidence_callback",
]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use. Raises MissingExtraError without langchain-core."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_EXPORTS[name], __name__)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "langchain_core":
            raise
        from ct_guard.errors import MissingExtraError

        raise MissingExtraError("ct_guard_langchain", "langchain") from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
