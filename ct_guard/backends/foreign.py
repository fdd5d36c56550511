"""What other libraries raise over a file or a text that they cannot digest."""

from collections.abc import Iterator
from contextlib import contextmanager

from ct_guard.errors import CtGuardError

__all__ = ["digesting", "first_line"]

_INDIGESTION = (
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, ImportError,
    LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
"""Code that trusts its input fails on other input in one of these ways."""


def _is_indigestion(error: BaseException) -> bool:
    """Also a plain `Exception`, which is what the tokenizers library raises, and a panic of its
    Rust code, which is a BaseException that no module exports."""
    return (
        isinstance(error, _INDIGESTION)
        or type(error) is Exception
        or type(error).__name__ in ("PanicException", "SafetensorError")
    )


@contextmanager
def digesting(
    kind: type[CtGuardError], message: str, *, passing: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Makes an error of `kind` out of what a library raises over its input: `message` with the
    first line of the library's own in place of `{}`. Errors of ours pass as they are, and those
    that are `passing`."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, (CtGuardError, *passing)) or not _is_indigestion(error):
            raise
        raise kind(message.replace("{}", first_line(error))) from error


def first_line(error: BaseException) -> str:
    """Of its message, printable and not too long; its kind where it has none."""
    lines = str(error).strip().splitlines()
    return "".join(filter(str.isprintable, lines[0]))[:300] if lines else type(error).__name__
