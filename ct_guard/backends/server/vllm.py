"""vLLM: `/generative_scoring` for the labels, `/v1/completions` for whatever else.

A LoRA is a model of its own there, which acts on all tokens and shares no cache with the base. The
schemas are those of vLLM 0.33 (vllm/entrypoints/generate/generative_scoring/serving.py and
openai/completion/protocol.py); older servers without the first route are asked by the second.
"""

import math
import secrets
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ct_guard.backends.base import Activation
from ct_guard.errors import MismatchError, ServerError

from .dialect import (
    About,
    Chain,
    Figure,
    Reading,
    Row,
    Served,
    cached_in,
    number,
    objects,
    part,
    picked,
)
from .pool import Ask, Pool

__all__ = ["VLLM", "open_vllm"]

MOST_LABELS = 16
"""Tokens whose log-probabilities one request asks for; servers allow 20 (`--max-logprobs`)."""
MOST_ITEMS = 64
"""Answers to one context in a request."""


class VLLM:
    """`bases` are the names that the server has for its base, `scoring` whether it has
    `/generative_scoring`."""

    name = "vllm"
    activations: frozenset[Activation] = frozenset(("all",))
    loading = "--enable-lora --lora-modules {name}={path}"
    tells_where = False

    def __init__(self, about: About, *, bases: Collection[str], scoring: bool) -> None:
        self.about = about
        self._bases = frozenset(bases)
        self._scoring = scoring

    def tokenize(self, text: str, *, special: bool) -> Ask[list[int]]:
        payload = {"model": self.about.model, "prompt": text, "add_special_tokens": False}
        return Ask("/tokenize", lambda reply: part(reply, "tokens", kind=list), payload)

    def chains(self, reading: Reading) -> list[Chain]:
        chains: list[Chain] = []
        if reading.answers:
            chains += [[self._answer(row)] for row in reading.rows]
        count = len(reading.query.label_ids)
        if reading.labels and self._scoring and count == 2 and not reading.fresh:
            chains += [[ask] for ask in self._scores(reading)]
        elif reading.labels:
            chains += [
                [self._labels(row, reading, start)]
                for row in reading.rows
                for start in range(0, count, MOST_LABELS)
            ]
        return chains

    def _check_model(self, reply: Any, model: str) -> None:
        """Raise ServerError unless the reply is the model's that was asked: where the server falls
        back on the base for a LoRA that it lost, nothing else shows it."""
        said = part(reply, "model", kind=str)
        if said != model and not {said, model} <= self._bases:
            raise ServerError(f"the reply is of the model {said!r}, and {model!r} was asked")

    # --- /generative_scoring ----------------------------------------------------------------------

    def _scores(self, reading: Reading) -> list[Ask[list[Figure]]]:
        """Answers to one context go in one request, which holds it once."""
        families: dict[tuple[int, ...], list[Row]] = {}
        for row in reading.rows:
            families.setdefault(row.context, []).append(row)
        return [
            self._score(context, rows[at : at + MOST_ITEMS], reading)
            for context, rows in families.items()
            for at in range(0, len(rows), MOST_ITEMS)
        ]

    def _score(
        self, context: tuple[int, ...], rows: Sequence[Row], reading: Reading
    ) -> Ask[list[Figure]]:
        no, yes = reading.query.label_ids
        model = reading.adapter.name if reading.adapter is not None else self.about.model
        payload = {
            "model": model,
            "query": list(context),
            "items": [[*row.answer, *reading.query.ids] for row in rows],
            "label_token_ids": [yes, no],
            "apply_softmax": True,
            "item_first": False,
            "add_special_tokens": False,
        }

        def read(reply: Any) -> list[Figure]:
            self._check_model(reply, model)
            data = part(reply, "data", kind=list)
            if [part(one, "index", kind=int) for one in data] != list(range(len(rows))):
                raise ServerError(f"the reply has {len(data)} scores for {len(rows)} answers")
            p = [number(part(one, "score"), "score") for one in data]
            return [
                Figure(row.number, "labels", (0.0, _logit(value)))
                for row, value in zip(rows, p, strict=True)
            ]

        return Ask("/generative_scoring", read, payload)

    # --- /v1/completions --------------------------------------------------------------------------

    def _labels(self, row: Row, reading: Reading, start: int) -> Ask[list[Figure]]:
        tokens = reading.query.label_ids[start : start + MOST_LABELS]
        model = reading.adapter.name if reading.adapter is not None else self.about.model
        payload = {
            **_completion(model, (*row.context, *row.answer, *reading.query.ids)),
            "logprobs": len(tokens),  # and one more, the token that is sampled
            "logprob_token_ids": list(tokens),
            "return_tokens_as_token_ids": True,
        }
        if reading.fresh:
            payload["cache_salt"] = secrets.token_urlsafe(32)

        def read(reply: Any) -> list[Figure]:
            self._check_model(reply, model)
            top = part(_only_choice(reply), "logprobs", "top_logprobs", 0, kind=dict)
            pairs = [
                (int(name.removeprefix("token_id:")), value)
                for name, value in top.items()
                if name.removeprefix("token_id:").isdecimal()
            ]
            values = picked(pairs, tokens)
            return [Figure(row.number, "labels", values, start, _cached(reply))]

        return Ask("/v1/completions", read, payload)

    def _answer(self, row: Row) -> Ask[list[Figure]]:
        payload = {
            **_completion(self.about.model, (*row.context, *row.answer)),
            "prompt_logprobs": 1,
        }

        def read(reply: Any) -> list[Figure]:
            self._check_model(reply, self.about.model)
            told = part(_only_choice(reply), "prompt_logprobs", kind=list)
            if len(told) != len(row.context) + len(row.answer):
                raise ServerError(
                    f"the reply has log-probabilities of {len(told)} tokens for a prompt of"
                    f" {len(row.context) + len(row.answer)}"
                )
            values = [
                number(part(one, str(token), "logprob"), "log-probability")
                for one, token in zip(told[len(row.context) :], row.answer, strict=True)
            ]
            return [Figure(row.number, "answer", tuple(values), cached=_cached(reply))]

        return Ask("/v1/completions", read, payload)


def open_vllm(pool: Pool, model: str | None) -> VLLM | None:
    """Raises MismatchError where the server has no base of that name."""
    version = pool.one(Ask("/version", lambda reply: reply, accepts=(404, 405)))
    if not isinstance(version, dict) or not isinstance(version.get("version"), str):
        return None
    models = pool.one(Ask("/v1/models", lambda reply: objects(reply, "data")))
    bases = [one for one in models if not one.get("parent")]
    names = [part(one, "id", kind=str) for one in bases]
    if not names or (model is not None and model not in names):
        raise MismatchError(
            f"{pool.url} serves no base named {model!r}: it has {', '.join(names) or 'none'}"
        )
    base = bases[names.index(model) if model is not None else 0]
    adapters = tuple(
        Served(part(one, "id", kind=str), place=str(one.get("root") or ""))
        for one in models
        if one.get("parent")
    )
    about = About(
        version=version["version"],
        model=part(base, "id", kind=str),
        max_tokens=part(base, "max_model_len", kind=int) - 1,
        adapters=adapters,
    )
    probe = {"model": about.model, "query": [0], "items": [[0]], "label_token_ids": [0, 1],
             "add_special_tokens": False}  # fmt: skip
    asked = Ask("/generative_scoring", lambda reply: reply, probe, accepts=(404, 405))
    return VLLM(about, bases=names, scoring=pool.one(asked) is not None)


def _completion(model: str, prompt: tuple[int, ...]) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": 1,
        "temperature": 0,
        "add_special_tokens": False,
    }


def _only_choice(reply: Any) -> Any:
    choices = part(reply, "choices", kind=list)
    if len(choices) != 1:
        raise ServerError(f"the reply has {len(choices)} choices for one prompt")
    return choices[0]


def _cached(reply: Any) -> int:
    return cached_in(reply, "usage", "prompt_tokens_details", "cached_tokens")


def _logit(p: float) -> float:
    """Of the probability of `yes` among both labels. Next to 1 a double holds no more than
    z = 36.7."""
    if not 0 <= p <= 1:
        raise ServerError(f"the score {p} is no probability")
    p = float(np.clip(p, np.finfo(float).tiny, 1 - np.finfo(float).epsneg))
    return math.log(p) - math.log1p(-p)
