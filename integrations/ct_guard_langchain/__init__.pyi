"""Public names, and where each comes from: the one list of them."""

from .callbacks import (
    ConfidenceCallbackHandler,
    get_confidence_callback,
)
from .chat_model import (
    GuardedChatModel,
)
from .guarding import (
    Guarded,
)
from .local import (
    ChatLocal,
)
from .middleware import (
    ConfidenceMiddleware,
)
from .node import (
    confidence_node,
    route_by_confidence,
)
from .record import (
    ConfidenceRecord,
    get_confidence,
)
from .router import (
    confidence_router,
)
from .runnable import (
    ConfidenceGuard,
)
from .tools import (
    low_confidence,
)
from .wrapping import (
    wrap,
)

__all__ = [
    "ChatLocal",
    "ConfidenceCallbackHandler",
    "ConfidenceGuard",
    "ConfidenceMiddleware",
    "ConfidenceRecord",
    "Guarded",
    "GuardedChatModel",
    "confidence_node",
    "confidence_router",
    "get_confidence",
    "get_confidence_callback",
    "low_confidence",
    "route_by_confidence",
    "wrap",
]
