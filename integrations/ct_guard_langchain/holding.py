"""Keeping a model's tokens out of a graph's stream until it is decided whose answer counts."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langgraph.constants import TAG_NOSTREAM

from .configurable import ConfigurableModel, GuardedConfigurableModel

__all__ = ["held"]


def held(model: Any) -> Any:
    """A copy of a chat model, also of one that is chosen at run time, that LangGraph does not
    stream. What its node returns is streamed as one message."""
    if not isinstance(model, ConfigurableModel):
        return _quiet(model)
    if isinstance(model, GuardedConfigurableModel):
        guarding = model.guarding
        return GuardedConfigurableModel(model, lambda chosen: _quiet(guarding(chosen)))
    return GuardedConfigurableModel(model, _quiet)


def _quiet(model: Runnable[Any, Any]) -> Runnable[Any, Any]:
    if not isinstance(model, BaseChatModel):
        return model.with_config(tags=[TAG_NOSTREAM])
    _ = model._serialized  # computed once: copies made on every call take it along
    return model.model_copy(update={"tags": [*(model.tags or []), TAG_NOSTREAM]})
