"""Who can be asked: chat models, and the keywords that are bound to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import merge_configs

from ct_guard.errors import BackendError, UsageError

__all__ = ["Candidate", "candidate_of", "checked"]

_ABOUT_THE_CALL = ("ls_structured_output_format", "structured_output_format")
"""What LangChain binds for traces and takes away again before it asks a model."""


@dataclass(frozen=True)
class Candidate:
    """A chat model that can be asked, and how."""

    model: BaseChatModel
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Bound to this model, in its provider's form."""
    config: RunnableConfig = field(default_factory=lambda: RunnableConfig())

    def name(self, kwargs: Mapping[str, Any]) -> str | None:
        """Who answers, by the name that its provider knows: it selects the calibrator."""
        return self.model._get_ls_params(**kwargs).get("ls_model_name")

    def temperature(self, kwargs: Mapping[str, Any]) -> float | None:
        """How much its answers vary; None: nobody says."""
        return self.model._get_ls_params(**kwargs).get("ls_temperature")

    def keywords(self, call: Mapping[str, Any], bound: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords of a call for this model: what was bound to it goes before `bound`, which
        was bound to another one in its form; what the call itself adds goes before both."""
        if not self.kwargs:
            return dict(call)
        added = {
            name: value for name, value in call.items() if name not in bound or bound[name] != value
        }
        own = {name: value for name, value in self.kwargs.items() if name not in _ABOUT_THE_CALL}
        return {**own, **added}

    def binding(self) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with its keywords and config bound, as LangChain binds them."""
        made: Runnable[LanguageModelInput, AIMessage] = self.model.bind(**self.kwargs)
        return made.with_config(self.config) if self.config else made


def candidate_of(runnable: object, *, within: Mapping[str, Any] | None = None) -> Candidate:
    """The chat model in a runnable, and everything that is bound around it, on top of `within`.

    Raises UsageError for a runnable that is no chat model, bare or bound.
    """
    kwargs: dict[str, Any] = {}
    config = RunnableConfig()
    inside = runnable
    while isinstance(inside, RunnableBinding):
        kwargs = {**inside.kwargs, **kwargs}
        config = merge_configs(inside.config, config)
        inside = inside.bound
    if not isinstance(inside, BaseChatModel):
        raise UsageError(
            f"a {type(runnable).__name__} is no chat model: give a chat model, bare or with"
            " keywords bound; of a model with fallbacks, give each one in `models`"
        )
    return Candidate(inside, {**(within or {}), **kwargs}, config)


def checked(result: ChatResult, model: BaseChatModel) -> ChatResult:
    """The result as it is. Raises BackendError when it holds no answer, not even an empty one."""
    if not result.generations:
        raise BackendError(f"{type(model).__name__} returned nothing: there is no answer to score")
    return result
