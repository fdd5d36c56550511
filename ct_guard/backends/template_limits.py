"""Jinja for templates that strangers wrote: the sandbox, and a budget for each rendering.

A sandbox keeps a template from reaching out, not from running on: two nested loops over `range`
take a day, `"a" * 10**10` takes ten gigabytes. Here every step and every character that is made
costs something, and a rendering ends when its budget does. Constants are not computed as the
template is compiled.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import do_indent
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

__all__ = ["LimitedEnvironment", "budget"]

UNITS = 100_000_000
"""Of one rendering: a unit for each character or item that is made."""
STEP, CALL = 100, 1000
"""Units of a step, which is a turn of a loop or an operation, and of a call."""
MOST_TEMPLATE = 1 << 20
"""Characters of a template."""

_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)

_WITHOUT = {
    "filters": (
        "batch", "center", "filesizeformat", "format", "pprint", "random", "slice", "urlize",
        "wordwrap", "xmlattr",
    ),
    "globals": ("cycler", "joiner", "lipsum"),
}  # fmt: skip
"""What no chat template needs, and what makes much of little or differs by chance."""
_NO_METHODS = frozenset(
    ("center", "encode", "expandtabs", "format", "format_map", "ljust", "rjust", "translate",
     "zfill")
)  # fmt: skip
_PADDED = re.compile(r"%[^a-zA-Z%]*(?:\d{4}|\*)")


@contextmanager
def budget() -> Iterator[None]:
    """What is rendered inside may spend `UNITS`, else it ends in a SecurityError."""
    token = _left.set([UNITS])
    try:
        yield
    finally:
        _left.reset(token)


def spend(units: int) -> None:
    left = _left.get()
    if left is None:
        return
    left[0] -= units
    if left[0] < 0:
        raise SecurityError("it takes too long, or makes too much text")


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """Counts what its templates do, within a `budget`."""

    intercepted_binops = frozenset(("*", "**", "%", "+"))

    def __init__(self, **options: Any) -> None:
        super().__init__(optimized=False, finalize=_measured, **options)
        for name in _WITHOUT["filters"]:
            self.filters.pop(name, None)
        for name in _WITHOUT["globals"]:
            self.globals.pop(name, None)
        self.filters |= {
            "counted": _counted, "made": _made, "measured": _measured, "join": _join,
            "replace": _replace, "tojson": _to_json, "indent": _indent,
        }  # fmt: skip
        self.globals |= {"dict": _dict, "namespace": _Namespace}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MOST_TEMPLATE:
            raise SecurityError(f"it has more than {MOST_TEMPLATE:,} characters")
        tree = super()._parse(source, name, filename)
        _Counting().visit(tree)
        tree.set_environment(self)
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("it computes powers, which no chat template needs")
        if operator == "*":
            for sequence, times in ((left, right), (right, left)):
                if isinstance(sequence, (str, list, tuple)) and isinstance(times, int):
                    spend(len(sequence) * max(times, 0))
        if operator == "%" and isinstance(left, str):
            if _PADDED.search(left):
                raise SecurityError("it pads text to a great width")
            spend(left.count("%") * _size(right))
        spend(STEP)
        return _made(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        spend(CALL)
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str) and name == "join" and args:
            return _join(args[0], owner)
        if isinstance(owner, str) and name == "replace":
            return _replace(owner, *args)
        return _made(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Any:
        """Jinja lets `format` pass here, before it asks whether an attribute is safe."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            raise SecurityError("it formats text, which may pad it to a great width")
        return wrapped

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in _NO_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


class _Counting(NodeTransformer):
    """Puts what counts into a template: around what loops go over, and around what is made."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [_filtered(one, "measured") for one in node.nodes]
        return _filtered(node, "made")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _filtered(node.expr, "measured")
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        self.generic_visit(node)
        if node.name in ("string", "upper", "lower", "trim", "capitalize", "title", "e", "escape"):
            node.node = _filtered(node.node, "measured") if node.node is not None else None
        return _filtered(node, "made")


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _counted(items: Any) -> Any:
    """The same to go over, each of its items a step."""
    if isinstance(items, (list, tuple, str, dict, range)):
        spend(STEP * len(items))
        return items
    return items if isinstance(items, Undefined) else _each(items)


def _each(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        spend(STEP)
        yield item


def _made(value: Any) -> Any:
    """The same, paid for by its size."""
    if isinstance(value, (str, list, tuple, dict)):
        spend(STEP + len(value))
    elif isinstance(value, int) and value.bit_length() > 1024:
        raise SecurityError("it computes with numbers of more than 300 digits")
    return value


def _measured(value: Any) -> Any:
    """The same, paid for by the size that it has as text."""
    _size(value)
    return value


def _size(value: Any) -> int:
    """Units of a value as text, which are spent: lists may hold one list many times."""
    level, size = [value], 0
    while level:
        spend(STEP * len(level))
        size += STEP * len(level)
        children: list[Any] = []
        for one in level:
            if isinstance(one, str):
                spend(len(one))
                size += len(one)
            elif isinstance(one, dict):
                children.extend(one.keys())
                children.extend(one.values())
            elif isinstance(one, (list, tuple, set)):
                children.extend(one)
        level = children
    return size


def _join(items: Any, separator: Any = "", attribute: Any = None) -> str:
    texts = []
    for item in items:
        if attribute is not None:
            item = item[attribute]
        texts.append(str(_measured(item)))
        spend(STEP + len(str(separator)))
    return str(separator).join(texts)


def _replace(text: Any, old: Any, new: Any, count: Any = -1) -> str:
    text, old, new = (str(_measured(one)) for one in (text, old, new))
    times = text.count(old) if count is None or count < 0 else min(count, text.count(old))
    spend(STEP + len(text) + times * len(new))
    return str(text.replace(old, new, times))


def _indent(text: str, width: Any = 4, first: bool = False, blank: bool = False) -> str:
    spend(text.count("\n") * (width if isinstance(width, int) else len(width)))
    return do_indent(text, width, first, blank)


class _Namespace(Namespace):
    """Takes no names that Python's own workings have."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        fields = dict(*args[1:], **kwargs)
        for name in fields:
            _check_field(name)
        Namespace.__init__(args[0], fields)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_field(name)
        super().__setitem__(name, value)


def _check_field(name: Any) -> None:
    if str(name).startswith("_"):
        raise SecurityError("it sets a field whose name begins with an underscore")


def _dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    """The function, and not the type, through which more can be reached."""
    return dict(*args, **kwargs)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """Without the HTML escapes of Jinja's own filter, as transformers has it."""
    indent = options.get("indent")
    if len(indent) > 16 if isinstance(indent, str) else (indent or 0) > 16:
        raise SecurityError("it indents JSON by more than 16")
    text = json.dumps(_measured(value), ensure_ascii=ensure_ascii, **options)
    spend(len(text))
    return text
