"""A chain in which nobody is heard: callbacks that its models have, and that are bound around parts
of it, are told once it is decided what they may hear."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import merge_configs
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from ct_guard.errors import UsageError

from .enclosed import enclosed
from .hearing import HEARD_BY, ModelCall, handlers_in

__all__ = ["Muted"]


class Muted:
    """Raises UsageError for a chain with a history in it, a listener to more than a model, or a
    callback that only its functions reach: it would keep what is withheld."""

    def __init__(self, chain: Runnable[Any, Any]) -> None:
        self._own: dict[str, list[BaseCallbackHandler]] = {}
        self._looked_into: dict[int, Runnable[Any, Any]] = {}
        self.chain: Runnable[Any, Any] = self._within(chain)

    def own(self, call: ModelCall) -> list[BaseCallbackHandler]:
        """The chain's own callbacks that are to be told of a model's call in it."""
        about = call.start.get("metadata") or {}
        return [handler for mark, own in self._own.items() if mark in about for handler in own]

    def _within(self, part: Any) -> Any:
        """The part with nobody in it who hears; itself, where there is nobody."""
        if type(part) in (list, tuple):
            made = [self._within(each) for each in part]
            same = all(one is other for one, other in zip(made, part, strict=True))
            return part if same else type(part)(made)
        if type(part) is dict:
            changed = self._changed(part)
            return {**part, **changed} if changed else part
        if isinstance(part, RunnableBindingBase):
            return self._bound(part)
        if isinstance(part, BaseLanguageModel):
            own = handlers_in(part.callbacks)
            update = {"callbacks": None, "metadata": self._marked(own, part.metadata)}
            return part.model_copy(update=update) if own else part
        if isinstance(part, BaseTool):
            self._check_tool(part)
        if isinstance(part, Runnable) and isinstance(part, BaseModel):
            changed = self._changed(vars(part))
            return part.model_copy(update=changed) if changed else part
        if isinstance(part, Runnable):
            self._check_enclosed(part)
        return part

    def _check_enclosed(self, part: Runnable[Any, Any]) -> None:
        for each in enclosed(part):
            if id(each) not in self._looked_into:
                self._looked_into[id(each)] = each
                if isinstance(each, BaseTool) and not each.return_direct:
                    continue  # an agent reads what it returns, and answers itself
                if self._within(each) is not each:
                    raise UsageError(
                        f"callbacks that a {type(each).__name__} inside of {part.get_name()} has"
                        " would hear what is withheld: give them to the call of what is guarded, or"
                        " guard an agent by ConfidenceMiddleware"
                    )

    def _check_tool(self, tool: BaseTool) -> None:
        if handlers_in(tool.callbacks):
            raise UsageError(
                f"callbacks that the tool {tool.name!r} has would hear what is withheld: give them"
                " to the call of the guarded chain"
            )
        self._check_enclosed(tool)

    def _changed(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        made = {name: self._within(each) for name, each in parts.items()}
        return {name: each for name, each in made.items() if each is not parts[name]}

    def _bound(self, part: RunnableBindingBase[Any, Any]) -> Any:
        to_model = isinstance(_inside(part), BaseLanguageModel)
        if isinstance(part, RunnableWithMessageHistory) or (part.config_factories and not to_model):
            raise UsageError(
                "a history or a listener inside a guarded chain would keep what is withheld: put it"
                " around guard.wrap(chain)"
            )
        made = [make(part.config) for make in part.config_factories]
        own = handlers_in(merge_configs(part.config, *made).get("callbacks"))
        bound = self._within(part.bound)
        if not own:
            return part if bound is part.bound else part.model_copy(update={"bound": bound})
        about = self._marked(own, part.config.get("metadata"))
        config = {**part.config, "callbacks": None, "metadata": about}
        update = {"bound": bound, "config": config, "config_factories": []}
        return part.model_copy(update=update)

    def _marked(
        self, own: list[BaseCallbackHandler], metadata: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The metadata by which calls of a model are known to be heard by these."""
        mark = f"{HEARD_BY}{uuid4().hex}"
        self._own[mark] = own
        return {**(metadata or {}), mark: True}


def _inside(part: Any) -> Any:
    return _inside(part.bound) if isinstance(part, RunnableBindingBase) else part
