"""What a base model replies when it is asked in text; `verbalized` and `sampling` share it."""

import hashlib

from ct_guard.backends import Backend, Generation, GenerationSettings
from ct_guard.errors import BackendError, CtGuardError, MismatchError, UsageError
from ct_guard.query import ContextStyle, render_prompt
from ct_guard.records import Message
from ct_guard.store import Asking

__all__ = ["replies"]


def replies(
    backend: Backend,
    turns: tuple[Message, ...],
    style: ContextStyle,
    asking: Asking,
    temperature: float,
) -> list[Generation] | CtGuardError:
    """`asking.samples` replies to one conversation, or why there are none. They depend on it and
    `asking.seed` alone."""
    try:
        prompt = render_prompt(turns, style, backend.encoder)
        digest = hashlib.sha256(repr((asking.seed, prompt)).encode()).digest()
        made = backend.generate(
            [prompt] * asking.samples,
            GenerationSettings(
                max_tokens=asking.max_tokens,
                temperature=temperature,
                seed=int.from_bytes(digest[:4]),
                stop=("\n",) if style == "raw" else (),
            ),
        )
    except (BackendError, MismatchError, UsageError) as error:
        return error
    for one in made:
        if one.kv is not None:
            backend.release(one.kv)
    return made
