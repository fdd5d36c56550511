"""The column `logprobs`: log-probabilities of an answer's tokens, as people and APIs write them.

A list of numbers; a list of objects with `logprob`, as OpenAI's chat API gives them in
`choices[0].logprobs.content`; that `logprobs` object itself; or the one of its older completions
(`token_logprobs`). As text, any of these is JSON.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

__all__ = ["numbers_of", "tokens_of"]

_EXPECTED = "must be a list of finite numbers, none above 0, or of objects with 'logprob'"


def tokens_of(value: Any) -> Sequence[Any]:
    """The tokens, each a number or an object with `logprob`; none where nothing is known.

    Raises ValueError, with words that follow the field's name, for anything else.
    """
    if isinstance(value, str):
        if not value.strip():
            return ()
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is not JSON: {error}; write it with json.dumps") from None
    older = isinstance(value, dict) and "token_logprobs" in value
    if isinstance(value, dict):
        value = value.get("token_logprobs" if older else "content", value)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise ValueError(_EXPECTED)
    return [number for number in value if number is not None] if older else value


def numbers_of(tokens: Sequence[Any]) -> tuple[float, ...]:
    """The log-probability of each token, in nats, at most 0. Raises ValueError as `tokens_of`."""
    found: list[int | float] = []
    for token in tokens:
        one = token.get("logprob") if isinstance(token, dict) else token
        if isinstance(one, bool) or not isinstance(one, (int, float)):
            raise ValueError(_EXPECTED)
        if not -math.inf < one <= 0:
            raise ValueError(_EXPECTED)
        found.append(one)
    try:
        return tuple(map(float, found))
    except OverflowError:
        raise ValueError("holds a number that is out of range") from None
