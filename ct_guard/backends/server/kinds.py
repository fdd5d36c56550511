"""Which kind of server answers at a URL?"""

from ct_guard.errors import ServerError

from .dialect import Dialect, Opener
from .llama_server import open_llama_server
from .pool import Pool
from .sglang import open_sglang
from .vllm import open_vllm

__all__ = ["open_server"]

OPENERS: tuple[Opener, ...] = (open_llama_server, open_vllm, open_sglang)


def open_server(pool: Pool, model: str | None) -> Dialect:
    """Raises ServerError for a server of another kind, MismatchError where it has no base named
    `model`."""
    for opener in OPENERS:
        dialect = opener(pool, model)
        if dialect is not None:
            return dialect
    raise ServerError(
        f"{pool.url} is neither vLLM nor SGLang nor llama-server: give the server's root, without"
        " /v1; other servers do not say the log-probabilities of given tokens"
    )
