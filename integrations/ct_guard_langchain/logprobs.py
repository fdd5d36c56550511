"""Log-probabilities that a provider reports with its answer.

| where | who |
|---|---|
| `response_metadata["logprobs"]["content"]`: `[{"token", "logprob", "bytes"}]` | OpenAI and what speaks its Chat Completions; Groq, xAI, DeepSeek, vLLM… |
| `response_metadata["logprobs"]`: the list itself | Ollama |
| `response_metadata["logprobs"]`: `{"tokens", "token_logprobs"}` | Together, Fireworks |
| `response_metadata["logprobs_result"]["chosen_candidates"]`: `[{"token", "log_probability"}]` | Google |
| text blocks with `logprobs` | OpenAI's Responses |
"""  # noqa: E501

import math
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import BaseMessage

__all__ = ["provider_logprobs"]

_LOWEST = -100.0
"""What providers write as -9999 or -inf: a token that was not among the likely ones."""


def provider_logprobs(message: BaseMessage, text: str) -> tuple[float, ...] | None:
    """The log-probability (nats, at most 0) of each token of the message's `text`; None where the
    message reports none, or not those of this very text: an answer that was edited since, a part of
    one, or a form that is not known here."""
    tokens = list(_tokens(message))
    if not tokens or any(token is None for token in tokens):
        return None
    known = [token for token in tokens if token is not None]
    said = b"".join(piece for piece, _ in known).decode("utf-8", errors="replace")
    if said.strip() != text.strip():
        return None
    return tuple(logprob for _, logprob in known)


def _tokens(message: BaseMessage) -> Iterable[tuple[bytes, float] | None]:
    metadata = message.response_metadata
    match metadata.get("logprobs"):
        case {"content": [*entries]} if entries:
            return map(_token, entries)
        case {"tokens": [*texts], "token_logprobs": [*values]} if len(texts) == len(values):
            pairs = zip(texts, values, strict=True)
            return [_token({"token": token, "logprob": value}) for token, value in pairs]
        case [*entries] if entries:
            return map(_token, entries)
    match metadata.get("logprobs_result"):
        case {"chosen_candidates": [*entries]}:
            return map(_token, entries)
    blocks = message.content if isinstance(message.content, list) else []
    return [
        _token(entry)
        for block in blocks
        if isinstance(block, Mapping) and isinstance(block.get("logprobs"), list)
        for entry in block["logprobs"]
    ]


def _token(entry: Any) -> tuple[bytes, float] | None:
    """A token's text and log-probability; None for an entry that says something else."""
    if not isinstance(entry, Mapping):
        return None
    logprob = entry.get("logprob", entry.get("log_probability"))
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or math.isnan(logprob):
        return None
    raw, token = entry.get("bytes"), entry.get("token")
    if isinstance(raw, list) and all(isinstance(one, int) and 0 <= one < 256 for one in raw):
        return bytes(raw), min(max(float(logprob), _LOWEST), 0.0)
    if not isinstance(token, str):
        return None
    return token.encode("utf-8", errors="replace"), min(max(float(logprob), _LOWEST), 0.0)
