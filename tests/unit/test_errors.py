"""One small tree of errors, drawn in the module's docstring."""

import re

import pytest

from ct_guard import errors
from ct_guard.errors import CtGuardError, MissingExtraError

CLASSES = [getattr(errors, name) for name in errors.__all__]


def drawn() -> dict[str, str | None]:
    """Each class of the docstring's tree, and its parent there."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ((?:[│ ] {3})*)(?:[├└]── )?(\w+Error)\b", line):
            depth = (len(line) - len(line[4:].lstrip("│├└─ ")) - 4) // 4
            path[depth:] = [found[2]]
            parents[found[2]] = path[depth - 1] if depth else None
    return parents


def test_every_class_is_public() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)


def test_the_tree_of_the_docstring_is_the_tree_of_the_classes() -> None:
    assert set(drawn()) == set(errors.__all__)
    for name, parent in drawn().items():
        if parent is not None:
            assert getattr(errors, name).__bases__[0] is getattr(errors, parent)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_can_be_caught_as_one_of_ours(kind: type[Exception]) -> None:
    assert issubclass(kind, CtGuardError)
    assert kind.__doc__


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("UsageError", ValueError),
        ("DeadlineError", TimeoutError),
        ("MissingExtraError", ImportError),
    ],
)
def test_some_are_also_what_python_calls_them(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_a_missing_extra_says_what_to_install() -> None:
    error = MissingExtraError("the transformers backend", "torch")
    assert str(error) == (
        "the transformers backend needs an optional dependency: pip install 'ct-guard[torch]'"
    )
