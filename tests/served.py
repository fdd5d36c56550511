"""Stand-ins of vLLM, SGLang and llama-server on 127.0.0.1, which answer from a backend in this
process.

They were written from the servers' sources (the schemas named in `ct_guard.backends.server`), and
from no server's own replies: they show that we keep to the schemas, not that the servers do.
"""

import json
import math
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from ct_guard.backends import Adapter, PlainRow
from ct_guard.backends.base import NO_TOKENS

Kind = Literal["vllm", "old vllm", "sglang", "llama_server"]
KINDS: tuple[Kind, ...] = ("vllm", "old vllm", "sglang", "llama_server")

Fault = Callable[["Handler", dict[str, Any]], bool]
"""Does something else than answering a request, and says whether it did."""


class ServedModel(ThreadingHTTPServer):
    """One base and its adapters by the server's names. `fault` comes before every POST's answer;
    `asked` keeps path and body of each."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, kind: Kind, backend: Any, adapters: dict[str, Adapter], query_ids: tuple[int, ...]
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kind, self.backend, self.adapters = kind, backend, adapters
        self.query_ids = query_ids
        self.slots = 1
        self.acts_everywhere = False
        """Whether adapters act on all tokens, whatever their files say."""
        self.ignores_adapters = False
        self.leaks = False
        """Whether a row's first reading serves every later one, whatever the adapter."""
        self.fault: Fault = lambda handler, asked: False
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.keys: list[str | None] = []
        self._seen: dict[tuple[int, ...], str | None] = {}

    @property
    def url(self) -> str:
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""

    # --- the model ------------------------------------------------------------------------------

    def logprobs(
        self, ids: list[int], tokens: list[int], name: str | None = None, *, cached: bool = True
    ) -> list[float]:
        if self.leaks and cached:
            name = self._seen.setdefault(tuple(ids), name)
        adapter = self.adapters.get(name or "") if not self.ignores_adapters else None
        acts = NO_TOKENS if adapter is None else self._acts(adapter, ids)
        row = PlainRow(tuple(ids), adapter if acts else None, acts)
        return [float(value) for value in self.backend.read_plainly(row, tokens)]

    def _acts(self, adapter: Adapter, ids: list[int]) -> range:
        if adapter.activation == "all" or self.acts_everywhere:
            return range(len(ids))
        needle = list(self.query_ids[1:])
        for start in range(len(ids) - len(needle), 0, -1):
            if ids[start : start + len(needle)] == needle:
                return range(start - 1, len(ids))
        return NO_TOKENS


class Handler(BaseHTTPRequestHandler):
    server: ServedModel
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def send(self, status: int, body: Any, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("Authorization"))
        made = _PAGES[self.server.kind].get(self.path)
        self.send(200, made(self.server)) if made else self.send(404, {"error": "no such page"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers.get("Authorization"))
        self.server.asked.append((self.path, asked))
        try:
            if self.server.fault(self, asked):
                return None
            made = ROUTES[self.server.kind].get(self.path)
            if made is None:
                return self.send(404, {"detail": "Not Found"})
            return self.send(200, made(self.server, asked))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up, as it should


# --- vLLM ----------------------------------------------------------------------------------------

BASE = "base-model"


def _vllm_models(server: ServedModel) -> Any:
    card = {"object": "model", "owned_by": "vllm", "created": 1}
    base = {**card, "id": BASE, "root": "org/base-model", "parent": None, "max_model_len": 4096}
    loras = [
        {**card, "id": name, "root": str(one.path), "parent": BASE, "max_model_len": None}
        for name, one in server.adapters.items()
    ]
    return {"object": "list", "data": [base, *loras]}


def _tokenize(server: ServedModel, asked: dict[str, Any]) -> Any:
    text = asked.get("prompt", asked.get("content"))
    ids = server.backend.encoder.encode_whole(text)[len(server.backend.encoder.start_ids) :]
    return {"tokens": ids, "count": len(ids), "max_model_len": 4096}


def _generative_scoring(server: ServedModel, asked: dict[str, Any]) -> Any:
    data = []
    for index, item in enumerate(asked["items"]):
        values = server.logprobs(asked["query"] + item, asked["label_token_ids"], asked["model"])
        total = sum(math.exp(value - max(values)) for value in values)
        score = math.exp(values[0] - max(values)) / total
        data.append({"index": index, "object": "score", "score": score})
    return {"id": "generative-scoring-1", "object": "list", "created": 1, "model": asked["model"],
            "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 2}}  # fmt: skip


def _completions(server: ServedModel, asked: dict[str, Any]) -> Any:
    prompt, choice = asked["prompt"], {"index": 0, "text": "?", "finish_reason": "length"}
    if "logprob_token_ids" in asked:
        tokens = asked["logprob_token_ids"]
        values = server.logprobs(prompt, tokens, asked["model"], cached="cache_salt" not in asked)
        top = {"token_id:7": -0.5} if 7 not in tokens else {}  # the sampled one comes first
        top |= {f"token_id:{one}": value for one, value in zip(tokens, values, strict=True)}
        kept = dict(list(top.items())[: asked["logprobs"] + 1])
        choice["logprobs"] = {"top_logprobs": [kept], "tokens": ["token_id:7"],
                              "token_logprobs": [-0.5], "text_offset": [0]}  # fmt: skip
    if "prompt_logprobs" in asked:
        choice["prompt_logprobs"] = [None] + [
            {str(token): {"logprob": server.logprobs(prompt[:at], [token])[0], "rank": 3}}
            for at, token in enumerate(prompt)
            if at
        ]
    usage = {"prompt_tokens": len(prompt), "completion_tokens": 1,
             "prompt_tokens_details": {"cached_tokens": len(prompt) // 2}}  # fmt: skip
    return {"id": "cmpl-1", "object": "text_completion", "model": asked["model"],
            "choices": [choice], "usage": usage}  # fmt: skip


# --- SGLang --------------------------------------------------------------------------------------


def _server_info(server: ServedModel) -> Any:
    loras = [
        {"lora_name": name, "lora_path": str(one.path), "pinned": False}
        for name, one in server.adapters.items()
    ]
    return {"model_path": "org/base-model", "version": "0.5.23", "dtype": "bfloat16",
            "quantization": None, "lora_paths": loras}  # fmt: skip


def _sglang_models(server: ServedModel) -> Any:
    card = {"object": "model", "owned_by": "sglang", "created": 1, "parent": None}
    return {"object": "list", "data": [{**card, "id": BASE, "root": BASE, "max_model_len": 4096}]}


def _generate(server: ServedModel, asked: dict[str, Any]) -> Any:
    prompt = asked["input_ids"]
    meta: dict[str, Any] = {"id": "1", "prompt_tokens": len(prompt), "completion_tokens": 1,
                            "cached_tokens": len(prompt) // 2,
                            "output_token_logprobs": [[-0.5, 7, None]]}  # fmt: skip
    if "token_ids_logprob" in asked:
        tokens = asked["token_ids_logprob"]
        name, cached = asked.get("lora_path"), "extra_key" not in asked
        values = server.logprobs(prompt, tokens, name, cached=cached)
        meta["output_token_ids_logprobs"] = [
            [[value, token, None] for value, token in zip(values, tokens, strict=True)]
        ]
    start = asked["logprob_start_len"]
    if start >= 0:
        meta["input_token_logprobs"] = [[None, prompt[start], None]] + [
            [server.logprobs(prompt[:at], [prompt[at]])[0], prompt[at], None]
            for at in range(start + 1, len(prompt))
        ]
    return {"text": "?", "output_ids": [7], "meta_info": meta}


# --- llama-server --------------------------------------------------------------------------------


def _props(server: ServedModel) -> Any:
    return {"default_generation_settings": {"n_ctx": 4096, "id": 0}, "total_slots": server.slots,
            "model_path": "/models/base.gguf", "build_info": "b10434-abcdef",
            "chat_template": ""}  # fmt: skip


def _lora_adapters(server: ServedModel) -> Any:
    listed = []
    for number, (name, one) in enumerate(server.adapters.items()):
        entry: dict[str, Any] = {"id": number, "path": f"/loras/{name}.gguf", "scale": 1.0,
                                 "task_name": "", "prompt_prefix": ""}  # fmt: skip
        if one.activation == "query":
            entry["alora_invocation_tokens"] = list(server.query_ids[1:])
        listed.append(entry)
    return listed


def _completion(server: ServedModel, asked: dict[str, Any]) -> Any:
    prompt, biased = asked["prompt"], [token for token, _ in asked["logit_bias"]]
    scales = {one["id"]: one["scale"] for one in asked["lora"]}
    assert sorted(scales) == list(range(len(server.adapters)))  # none is left to its default
    on = [name for number, name in enumerate(server.adapters) if scales[number]]
    name = on[0] if on else None
    values = server.logprobs(prompt, biased, name, cached=asked["cache_prompt"])
    step: dict[str, Any] = {"id": biased[0], "token": "?", "bytes": [63]}
    if asked.get("post_sampling_probs"):
        total = sum(math.exp(value - max(values)) for value in values)
        told = [
            {
                "id": token,
                "token": "?",
                "bytes": [63],
                "prob": math.exp(value - max(values)) / total,
            }
            for token, value in zip(biased, values, strict=True)
        ]
        step |= {"prob": 0.5, "top_probs": sorted(told, key=lambda one: -one["prob"])}
    else:
        step |= {"logprob": values[0], "top_logprobs": [{"id": 7, "logprob": -0.5}]}
    return {"completion_probabilities": [step], "tokens_evaluated": len(prompt),
            "truncated": False, "timings": {"cache_n": len(prompt) // 2}}  # fmt: skip


_VLLM_PAGES: dict[str, Any] = {
    "/version": lambda server: {"version": "0.33.0"}, "/v1/models": _vllm_models,
}  # fmt: skip
_PAGES: dict[Kind, dict[str, Callable[[ServedModel], Any]]] = {
    "vllm": _VLLM_PAGES,
    "old vllm": _VLLM_PAGES,
    "sglang": {"/get_server_info": _server_info, "/v1/models": _sglang_models},
    "llama_server": {"/props": _props, "/lora-adapters": _lora_adapters},
}
Answering = Callable[[ServedModel, dict[str, Any]], Any]
_OLD: dict[str, Answering] = {"/tokenize": _tokenize, "/v1/completions": _completions}
ROUTES: dict[Kind, dict[str, Answering]] = {
    "vllm": {**_OLD, "/generative_scoring": _generative_scoring},
    "old vllm": _OLD,
    "sglang": {"/tokenize": _tokenize, "/generate": _generate},
    "llama_server": {"/tokenize": _tokenize, "/completion": _completion},
}


@contextmanager
def serving(
    kind: Kind,
    backend: Any,
    *,
    adapters: dict[str, Adapter] | None = None,
    query_ids: tuple[int, ...] = (),
    tls: ssl.SSLContext | None = None,
) -> Iterator[ServedModel]:
    server = ServedModel(kind, backend, adapters or {}, query_ids)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
