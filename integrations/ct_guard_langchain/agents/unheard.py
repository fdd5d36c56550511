"""Tools that nobody hears but who guards their calls: what they return may be withheld yet."""

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr

from ..hearing import LastCall, alone, handlers_in, unheard
from ..ungated import Ungated
from .gate import watching

__all__ = ["Ear", "Unheard", "quiet_config"]


class Ear(LastCall):
    """Hears the models that run in a tool, and how the tool itself began."""

    def __init__(self) -> None:
        super().__init__()
        self.started: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        told = ("run_id", "inputs", "tool_call_id", "name")
        if self.started is None:
            self.started = args, {name: kwargs[name] for name in told if name in kwargs}


class Unheard(BaseTool):
    """A tool in another's place: whatever runs in it has its ear, and no other."""

    _inner: BaseTool = PrivateAttr()
    _ear: Ear = PrivateAttr()

    @classmethod
    def around(cls, tool: BaseTool, ear: Ear) -> "Unheard":
        made = cls(
            name=tool.name,
            description=tool.description,
            args_schema=tool.args_schema,
            tags=tool.tags,
            metadata=tool.metadata,
            return_direct=tool.return_direct,
        )
        made._inner = tool.model_copy(update={"callbacks": None, "verbose": False})
        made._ear = ear
        return made

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        quiet = quiet_config(ensure_config(config), self._ear, watching())
        with unheard():
            return self._inner.invoke(input, quiet, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        quiet = quiet_config(ensure_config(config), self._ear, watching())
        with unheard():
            return await self._inner.ainvoke(input, quiet, **kwargs)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return self._inner._run(*args, **kwargs)


def quiet_config(
    config: RunnableConfig, ear: Ear, watching: Sequence[BaseCallbackHandler]
) -> RunnableConfig:
    """The config of a run that only its ear and its guards hear."""
    around = config.get("callbacks")
    guards = [each for each in handlers_in(around) if isinstance(each, Ungated)]
    quiet = alone(config, [*guards, ear])
    handlers = handlers_in(quiet.get("callbacks"))
    manager = CallbackManager(
        handlers=[*handlers, *watching],
        inheritable_handlers=handlers,
        parent_run_id=getattr(around, "parent_run_id", None),
    )
    return RunnableConfig(**{**quiet, "callbacks": manager})
