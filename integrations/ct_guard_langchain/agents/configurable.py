"""A guard around the model that `init_chat_model` chooses at run time."""

from collections.abc import Callable
from typing import Any

from langchain.chat_models.base import _DECLARATIVE_METHODS
from langchain.chat_models.base import _ConfigurableModel as ConfigurableModel
from langchain_core.runnables import Runnable, RunnableConfig

__all__ = ["ConfigurableModel", "GuardedConfigurableModel"]

Guarding = Callable[[Runnable[Any, Any]], Runnable[Any, Any]]


class GuardedConfigurableModel(ConfigurableModel):
    """The same choice, and whatever is chosen is guarded; what is declared on it (tools, structured
    output) is declared on the guarded model."""

    def __init__(self, chosen: ConfigurableModel, guarding: Guarding) -> None:
        super().__init__(
            **_choice(chosen),
            queued_declarative_operations=chosen._queued_declarative_operations,
        )
        self.guarding = guarding
        """Puts the guard around a model."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name not in _DECLARATIVE_METHODS:
            return found

        def declare(*args: Any, **kwargs: Any) -> "GuardedConfigurableModel":
            return GuardedConfigurableModel(found(*args, **kwargs), self.guarding)

        return declare

    def with_config(
        self, config: RunnableConfig | None = None, **kwargs: Any
    ) -> "GuardedConfigurableModel":
        return GuardedConfigurableModel(super().with_config(config, **kwargs), self.guarding)

    def _model(self, config: RunnableConfig | None = None) -> Runnable[Any, Any]:
        model = self.guarding(ConfigurableModel(**_choice(self))._model(config))
        for name, args, kwargs in self._queued_declarative_operations:
            model = getattr(model, name)(*args, **kwargs)
        return model


def _choice(model: ConfigurableModel) -> dict[str, Any]:
    """What a model is chosen by."""
    return {
        "default_config": model._default_config,
        "configurable_fields": model._configurable_fields,
        "config_prefix": model._config_prefix,
    }
