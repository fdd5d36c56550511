"""llama.cpp's own server: `/completion` with prompts of token ids.

It activates an adapter on the query alone where the adapter's file names invocation tokens, and
keeps the base's cache before them; with one slot only, since the adapter is on or off for all slots
that are computed in one step (seen at build 11549: labels off by 1.4 logits).

Both labels are read by lifting them above all other tokens, which leaves their difference as it is.
The log-probability of a given token is read by making it the one that is sampled: the server
reports the sampled token's, under the model alone. That is one short request for each token of an
answer, behind what the slot holds of it already.

The names are those of tools/server/README.md and server-task.cpp.
"""

import math
from collections.abc import Sequence
from typing import Any

from ct_guard.backends.base import Activation
from ct_guard.errors import ServerError

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

__all__ = ["LlamaServer", "open_llama_server"]

LIFT = 100.0
"""Added to the logits of the tokens that are read: no other token's comes near."""
FORCE = 10_000.0
LOWEST = math.log(2.0**-149)
"""The server computes probabilities in float32: the logarithm of the smallest that it has."""


class LlamaServer:
    name = "llama_server"
    activations: frozenset[Activation] = frozenset(("query", "all"))
    loading = "--lora {path}/adapter.gguf --lora-init-without-apply --parallel 1 --cache-ram 0"
    tells_where = True

    def __init__(self, about: About) -> None:
        self.about = about

    def tokenize(self, text: str, *, special: bool) -> Ask[list[int]]:
        payload = {"content": text, "add_special": False, "parse_special": special}
        return Ask("/tokenize", lambda reply: part(reply, "tokens", kind=list), payload)

    def chains(self, reading: Reading) -> list[Chain]:
        """One for each context, so that its answers meet the slot that has read it; the base first,
        as an adapter that acts on the query alone keeps the base's cache, and not the other way
        round."""
        families: dict[tuple[int, ...], list[Row]] = {}
        for row in reading.rows:
            families.setdefault(row.context, []).append(row)
        return [self._chain(rows, reading) for rows in families.values()]

    def _chain(self, rows: Sequence[Row], reading: Reading) -> Chain:
        chain: Chain = []
        if reading.answers:
            for row in rows:
                chain += [self._token(row, at) for at in range(len(row.answer))]
        if reading.labels:
            chain += [self._labels(row, reading) for row in rows]
        return chain

    def _labels(self, row: Row, reading: Reading) -> Ask[list[Figure]]:
        prompt = (*row.context, *row.answer, *reading.query.ids)
        tokens = reading.query.label_ids
        payload = {
            **self._completion(prompt, reading.adapter),
            "cache_prompt": not reading.fresh,
            "n_probs": len(tokens),
            "post_sampling_probs": True,
            "temperature": 1.0,
            "samplers": ["temperature"],
            "logit_bias": [[token, LIFT] for token in tokens],
        }

        def read(reply: Any) -> list[Figure]:
            step = _only_step(reply, len(prompt))
            told = part(step, "top_probs", kind=list)
            pairs = [(part(one, "id", kind=int), part(one, "prob")) for one in told]
            values = picked(pairs, tokens)
            if min(values) <= 0:
                raise ServerError("a label's probability is 0: it cannot be compared")
            logits = tuple(math.log(value) for value in values)
            return [Figure(row.number, "labels", logits, cached=_cached(reply))]

        return Ask("/completion", read, payload)

    def _token(self, row: Row, at: int) -> Ask[list[Figure]]:
        """The answer's token at `at`, behind what stands before it."""
        prompt, token = (*row.context, *row.answer[:at]), row.answer[at]
        payload = {
            **self._completion(prompt, None),
            "cache_prompt": True,
            "n_probs": 1,
            "temperature": 0.0,
            "samplers": ["temperature"],
            "logit_bias": [[token, FORCE]],
        }

        def read(reply: Any) -> list[Figure]:
            step = _only_step(reply, len(prompt))
            if part(step, "id", kind=int) != token:
                raise ServerError("the reply is of another token than the answer's")
            value = max(number(part(step, "logprob"), "log-probability"), LOWEST)
            return [Figure(row.number, "answer", (value,), at, _cached(reply) if at == 0 else 0)]

        return Ask("/completion", read, payload)

    def _completion(self, prompt: tuple[int, ...], adapter: Served | None) -> dict[str, Any]:
        """The scale of every adapter is said: else the server's own defaults would act."""
        return {
            "prompt": list(prompt),
            "n_predict": 1,
            "stream": False,
            "lora": [
                {"id": one.number, "scale": 1.0 if one == adapter else 0.0}
                for one in self.about.adapters
            ],
            "response_fields": [
                "completion_probabilities", "tokens_evaluated", "truncated", "timings",
            ],
        }  # fmt: skip


def open_llama_server(pool: Pool, model: str | None) -> LlamaServer | None:
    props = pool.one(Ask("/props", lambda reply: reply, accepts=(404, 405)))
    if not isinstance(props, dict) or "default_generation_settings" not in props:
        return None
    listed = pool.one(Ask("/lora-adapters", lambda reply: objects(reply or []), accepts=(404, 405)))
    adapters = tuple(
        Served(
            name=_stem(str(one.get("path") or number)),
            number=part(one, "id", kind=int),
            invocation=tuple(one.get("alora_invocation_tokens") or ()),
            place=str(one.get("path") or ""),
        )
        for number, one in enumerate(listed)
    )
    about = About(
        version=str(props.get("build_info") or "of an unknown build"),
        model=str(props.get("model_path") or ""),
        max_tokens=part(props, "default_generation_settings", "n_ctx", kind=int) - 1,
        adapters=adapters,
        slots=part(props, "total_slots", kind=int),
        format=str(props.get("model_ftype") or "unknown").removeprefix("all "),
    )
    return LlamaServer(about)


def _stem(path: str) -> str:
    """What an adapter is called: its file's name, or its folder's where that says nothing."""
    *folders, name = path.replace("\\", "/").split("/")
    name = name.removesuffix(".gguf")
    if name == "adapter" and folders:
        name = folders[-2] if folders[-1] == "adapter" and len(folders) > 1 else folders[-1]
    return name


def _only_step(reply: Any, size: int) -> Any:
    """The one token that was asked for, behind the prompt that was sent."""
    if isinstance(reply, list):
        raise ServerError(f"the reply has {len(reply)} results for one prompt")
    told = part(reply, "tokens_evaluated", kind=int)
    if told != size or reply.get("truncated"):
        raise ServerError(f"the reply is of a prompt of {told} tokens, and {size} were sent")
    steps = part(reply, "completion_probabilities", kind=list)
    if len(steps) != 1:
        raise ServerError(f"the reply has {len(steps)} tokens, and one was asked for")
    return steps[0]


def _cached(reply: Any) -> int:
    return cached_in(reply, "timings", "cache_n")
