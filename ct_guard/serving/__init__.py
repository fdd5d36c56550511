"""Confidence over HTTP: of rows, of chats that are forwarded, and as a guardrail of LiteLLM's.

    from ct_guard import Guard
    from ct_guard.serving import Settings, Upstream, application

    app = application(Guard("mini", 0.7), Settings(upstream=Upstream("http://localhost:8000/v1")))

`ct-guard serve` runs this application under uvicorn. It needs the extra `serve`.
"""

from .access import is_loopback
from .application import application
from .settings import Settings, Upstream
from .sockets import listening_socket

__all__ = ["Settings", "Upstream", "application", "is_loopback", "listening_socket"]
