"""Served models as a backend: vLLM, SGLang and llama-server over HTTP."""

from .backend import ServerBackend, key_of
from .dialect import About, Dialect
from .kinds import open_server
from .patience import Patience
from .pool import Ask, Pool

__all__ = ["About", "Ask", "Dialect", "Patience", "Pool", "ServerBackend", "key_of", "open_server"]
