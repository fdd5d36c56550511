"""Chat templates of any backend: Jinja in a sandbox, as transformers runs it, without a clock."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser

from ct_guard.errors import MismatchError
from ct_guard.query import TEMPLATE_DATE
from ct_guard.records import Message

from .template_limits import LimitedEnvironment, budget

__all__ = ["ChatTemplate"]


class ChatTemplate:
    """A model's template, or its absence; `special_tokens` are texts by the names of templates."""

    def __init__(self, source: str | None, special_tokens: Mapping[str, Any]) -> None:
        self._source, self._special_tokens = source, special_tokens

    @property
    def source(self) -> str:
        """Its program; "" without one."""
        return self._source or ""

    def render(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        """The conversation as the model was trained to read it.

        Raises MismatchError when there is no template or it refuses the conversation.
        """
        if self._source is None:
            raise MismatchError("this model has no chat template: use the context style 'raw'")
        try:
            with budget():
                return _compiled(self._source).render(
                    messages=[message.model_dump() for message in messages],
                    tools=None,
                    documents=None,
                    add_generation_prompt=generation_prompt,
                    **self._special_tokens,
                )
        except Exception as error:  # a template is a program, and may fail like one
            raise MismatchError(
                f"the chat template refuses this conversation ({error}): leave the turn out that it"
                " does not know, or use the context style 'raw'"
            ) from error


class _Generation(Extension):
    """`{% generation %}` marks the assistant's text for training; here it says nothing."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@lru_cache(maxsize=8)
def _compiled(source: str) -> Template:
    return _environment().from_string(source)


def _environment() -> LimitedEnvironment:
    environment = LimitedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = datetime.fromisoformat(TEMPLATE_DATE).strftime
    return environment


def _refuse(message: str) -> None:
    raise TemplateError(message)
