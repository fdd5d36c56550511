"""SGLang: `/generate` for the labels and for the answers' tokens.

A LoRA is named by `lora_path`, acts on all tokens, and shares no cache with the base. The schemas
are those of SGLang 0.5.23 (python/sglang/srt/managers/io_struct.py, tokenizer_manager.py).
"""

import secrets
from collections.abc import Iterator
from typing import Any

from ct_guard.backends.base import Activation
from ct_guard.errors import MismatchError, ServerError

from .dialect import About, Chain, Figure, Reading, Row, Served, number, objects, part, picked
from .pool import Ask, Pool

__all__ = ["SGLang", "open_sglang"]


class SGLang:
    name = "sglang"
    activations: frozenset[Activation] = frozenset(("all",))
    loading = "--lora-paths {name}={path}"
    tells_where = False

    def __init__(self, about: About) -> None:
        self.about = about

    def tokenize(self, text: str, *, special: bool) -> Ask[list[int]]:
        payload = {"model": self.about.model, "prompt": text, "add_special_tokens": False}
        return Ask("/tokenize", lambda reply: part(reply, "tokens", kind=list), payload)

    def chains(self, reading: Reading) -> list[Chain]:
        chains: list[Chain] = []
        if reading.answers:
            chains += [[self._answer(row)] for row in reading.rows]
        if reading.labels:
            chains += [[self._labels(row, reading)] for row in reading.rows]
        return chains

    def _labels(self, row: Row, reading: Reading) -> Ask[list[Figure]]:
        prompt = (*row.context, *row.answer, *reading.query.ids)
        tokens = reading.query.label_ids
        payload = _generate(prompt) | {"logprob_start_len": -1, "token_ids_logprob": list(tokens)}
        if reading.adapter is not None:
            payload["lora_path"] = reading.adapter.name
        if reading.fresh:
            payload["extra_key"] = secrets.token_urlsafe(32)

        def read(reply: Any) -> list[Figure]:
            meta = _meta(reply, len(prompt))
            steps = part(meta, "output_token_ids_logprobs", kind=list)
            if len(steps) != 1:
                raise ServerError(f"the reply has {len(steps)} tokens, and one was asked for")
            values = picked(((token, value) for value, token in _entries(steps[0])), tokens)
            return [Figure(row.number, "labels", values, cached=_cached(meta))]

        return Ask("/generate", read, payload)

    def _answer(self, row: Row) -> Ask[list[Figure]]:
        prompt = (*row.context, *row.answer)
        payload = _generate(prompt) | {"logprob_start_len": len(row.context) - 1}

        def read(reply: Any) -> list[Figure]:
            meta = _meta(reply, len(prompt))
            told = list(_entries(part(meta, "input_token_logprobs", kind=list)))
            told = told[-len(row.answer) :]  # the context's last token has none
            if [token for _, token in told] != list(row.answer):
                raise ServerError("the reply's log-probabilities are not of the answer's tokens")
            values = tuple(number(value, "log-probability") for value, _ in told)
            return [Figure(row.number, "answer", values, cached=_cached(meta))]

        return Ask("/generate", read, payload)


def open_sglang(pool: Pool, model: str | None) -> SGLang | None:
    """Raises MismatchError where the server has no base of that name."""
    info = None
    for path in ("/get_server_info", "/server_info"):
        info = info or pool.one(Ask(path, lambda reply: reply, accepts=(404, 405)))
    if not isinstance(info, dict) or not isinstance(info.get("model_path"), str):
        return None
    models = pool.one(Ask("/v1/models", lambda reply: objects(reply, "data")))
    bases = [one for one in models if not one.get("parent")]
    names = [part(one, "id", kind=str) for one in bases]
    if not names or (model is not None and model not in (*names, info["model_path"])):
        raise MismatchError(
            f"{pool.url} serves no base named {model!r}: it has {', '.join(names) or 'none'}"
        )
    loaded = {
        part(one, "id", kind=str): str(one.get("root") or "") for one in models if one.get("parent")
    }
    about = About(
        version=str(info.get("version") or "of an unknown version"),
        model=names[0],
        max_tokens=part(bases[0], "max_model_len", kind=int) - 1,
        adapters=tuple(
            Served(name, place=place) for name, place in {**_named(info), **loaded}.items()
        ),
        format=str(info.get("quantization") or info.get("dtype") or "unknown").replace(
            "auto", "unknown"
        ),
    )
    return SGLang(about)


def _named(info: dict[str, Any]) -> dict[str, str]:
    """The LoRAs that the server was started with, in whichever form it says them."""
    said = info.get("lora_paths")
    if isinstance(said, dict):
        return {str(name): str(place) for name, place in said.items()}
    found = {}
    for one in said if isinstance(said, list) else ():
        if isinstance(one, dict) and isinstance(one.get("lora_name"), str):
            found[one["lora_name"]] = str(one.get("lora_path") or "")
        elif isinstance(one, str):
            name, _, place = one.partition("=")
            found[name] = place or name
    return found


def _generate(prompt: tuple[int, ...]) -> dict[str, Any]:
    return {
        "input_ids": list(prompt),
        "sampling_params": {"max_new_tokens": 1, "temperature": 0},
        "return_logprob": True,
    }


def _meta(reply: Any, size: int) -> Any:
    if isinstance(reply, list):
        raise ServerError(f"the reply has {len(reply)} results for one prompt")
    meta = part(reply, "meta_info", kind=dict)
    told = part(meta, "prompt_tokens", kind=int)
    if told != size:
        raise ServerError(f"the reply is of a prompt of {told} tokens, and {size} were sent")
    return meta


def _entries(listed: Any) -> Iterator[tuple[Any, int]]:
    """Of the triples of a log-probability, an id and perhaps a text."""
    if not isinstance(listed, list):
        raise ServerError("the reply has no list of log-probabilities")
    for one in listed:
        yield part(one, 0), part(one, 1, kind=int)


def _cached(meta: Any) -> int:
    count = meta.get("cached_tokens")
    return count if isinstance(count, int) else 0
