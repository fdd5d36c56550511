"""ct-guard for LangChain: chat models whose answers carry a calibrated P(correct).

from ct_guard_langchain import GuardedChatModel, get_confidence

model = GuardedChatModel(inner=your_chat_model, estimator="mini", policy=0.7)
answer = model.invoke("What is 2 plus 2?")
get_confidence(answer)["p"]

Public names stand in `__init__.pyi`, and are imported on first use.
"""

from typing import Any

import lazy_loader

_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_EXTRAS = {"langchain_core": "langchain", "langchain": "agents", "langgraph": "agents"}
"""What installs the library that an import missed."""

_NEWER = {"langchain_core.decisions": "langchain-core>=1.8"}
"""What has a module that older versions lack."""


def __getattr__(name: str) -> Any:
    """Raises MissingExtraError without LangChain, or with one that is too old for the name."""
    try:
        return _imported(name)
    except ModuleNotFoundError as error:
        from ct_guard.errors import MissingExtraError

        if error.name in _NEWER:
            what = f"ct_guard_langchain.{name}"
            raise MissingExtraError(what, "langchain", newer=_NEWER[error.name]) from error
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise MissingExtraError("ct_guard_langchain", extra) from error
