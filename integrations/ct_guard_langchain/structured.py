"""Structured output of guarded models: the JSON is scored, then read by the parser of the model
that gave it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
)
from langchain_core.utils.function_calling import convert_to_openai_tool

from ct_guard.errors import LowConfidenceError, UsageError

from .candidates import Candidate, candidate_of
from .record import get_confidence

__all__ = ["Reader", "reader_of", "reading", "schema_names", "withheld_error"]


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
        record = get_confidence(raw)
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
    return {**made, "parsed": None, "parsing_error": withheld_error(get_confidence(made["raw"]))}


def withheld_error(record: Mapping[str, Any] | None) -> LowConfidenceError:
    """What is raised, or given as a parsing error, where an answer was to be an object."""
    about: Mapping[str, Any] = record or {}
    p = about.get("p")
    return LowConfidenceError(
        f"the answer was withheld by the policy {about.get('policy')!r}"
        f" ({'no p' if p is None else f'p {p:.3f}'}, status {about.get('status')}):"
        " ask with include_raw=True to see its record"
    )


_WITHHELD: Runnable[Any, Any] = RunnableLambda(_nothing_to_read)
"""Reads answers that the policy did not let through."""
