"""Who can be asked, and how: chat models with the keywords that are bound to them, and with the
schema that they are told to answer in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
)
from langchain_core.runnables.config import merge_configs
from langchain_core.utils.function_calling import convert_to_openai_tool

from ct_guard.errors import BackendError, UsageError

from .delivery import withheld_error
from .record import record_in

__all__ = [
    "Candidate",
    "Reader",
    "candidate_of",
    "checked",
    "lifted",
    "named",
    "reader_of",
    "reading",
    "schema_names",
    "tool_name",
]

_ABOUT_THE_CALL = ("ls_structured_output_format", "structured_output_format")
"""What LangChain binds for traces and takes away again before it asks a model."""

_LIFTED = (
    "cache",
    "callbacks",
    "custom_get_token_ids",
    "metadata",
    "output_version",
    "rate_limiter",
    "tags",
)
"""What LangChain applies around a model: the inner one is called underneath, so it is lifted."""


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

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it apart from others, for caches and traces."""
        model = self.model
        return {**model._identifying_params, "_type": model._llm_type, "class": named(model)}

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

    def cache_key(
        self, stop: list[str] | None, call: Mapping[str, Any], bound: Mapping[str, Any]
    ) -> str:
        """What LangChain's cache knows a call of it by."""
        return self.model._get_llm_string(stop, **self.keywords(call, bound))

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


def tool_name(tool: Any) -> str:
    """The name that a call of the tool has; of a provider's own tool, what it is called there."""
    made = convert_to_openai_tool(tool)
    return str(made.get("function", made).get("name") or made.get("type"))


def lifted(inner: BaseChatModel) -> dict[str, Any]:
    """The inner model's own settings of that kind."""
    values = {name: getattr(inner, name, None) for name in _LIFTED}
    return {name: value for name, value in values.items() if value is not None}


def named(model: BaseChatModel) -> str:
    """Its class, by its full name."""
    return f"{type(model).__module__}.{type(model).__qualname__}"


@dataclass(frozen=True)
class Reader:
    """A chat model that was told to answer in a schema, and what reads its answers."""

    candidate: Candidate
    parser: Runnable[Any, Any]
    """From `{"raw": message}` to raw, parsed and parsing_error."""


def reader_of(candidate: Candidate, schema: Any, **kwargs: Any) -> Reader:
    """What the model's own `with_structured_output` would ask and read, taken apart.

    Raises NotImplementedError for a model that has none, or builds it in a form of its own.
    """
    model = candidate.model
    if type(model).with_structured_output is BaseChatModel.with_structured_output and (
        type(model).bind_tools is BaseChatModel.bind_tools
    ):
        raise NotImplementedError(f"{type(model).__name__} has no structured output")
    made = model.with_structured_output(schema, include_raw=True, **kwargs)
    if isinstance(made, RunnableSequence) and isinstance(made.first, RunnableParallel):
        asked = made.first.steps__.get("raw")
        try:
            return Reader(candidate_of(asked, within=candidate.kwargs), _rest(made))
        except UsageError:
            pass  # it is not a chat model that is asked: said below
    raise NotImplementedError(
        f"{type(model).__name__}.with_structured_output has a form of its own that cannot be"
        " guarded: use bind_tools with the schema and tool_choice='any'"
    )


def schema_names(schema: Any) -> tuple[str, ...]:
    """The tools whose call is an answer in this schema."""
    try:
        return (convert_to_openai_tool(schema)["function"]["name"],)
    except (ValueError, TypeError):  # a schema without a name is no tool
        return ()


def reading(
    guarded: Runnable[Any, Any], readers: Sequence[Reader], *, include_raw: bool
) -> Runnable[Any, Any]:
    """Ask the guarded model, then read its answer: into the parsed object, or with `include_raw`
    into raw, parsed and parsing_error."""

    def parser_for(raw: BaseMessage) -> Runnable[Any, Any]:
        record = record_in(raw)
        if record is None:
            return readers[0].parser
        return _WITHHELD if record["action"] == "abstain" else readers[record["model_index"]].parser

    def read(made: dict[str, Any], config: RunnableConfig) -> Any:
        return given(parser_for(made["raw"]).invoke(made, config))

    async def aread(made: dict[str, Any], config: RunnableConfig) -> Any:
        return given(await parser_for(made["raw"]).ainvoke(made, config))

    def given(made: dict[str, Any]) -> Any:
        if include_raw:
            return made
        if made["parsing_error"] is not None:
            raise made["parsing_error"]
        return made["parsed"]

    return RunnableParallel(raw=guarded) | RunnableLambda(read, afunc=aread, name="read")


def _rest(sequence: RunnableSequence[Any, Any]) -> Runnable[Any, Any]:
    first, *others = sequence.steps[1:]
    return RunnableSequence(first, *others) if others else first


def _nothing_to_read(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "parsed": None, "parsing_error": withheld_error(record_in(made["raw"]))}


_WITHHELD: Runnable[Any, Any] = RunnableLambda(_nothing_to_read)
"""Reads answers that the policy did not let through."""
