"""Public names, and where each comes from: the one list of them."""

from .agents.gate import (
    low_confidence,
)
from .agents.middleware import (
    ConfidenceMiddleware,
)
from .callbacks import (
    ConfidenceCallbackHandler,
    get_confidence_callback,
)
from .chat_model import (
    GuardedChatModel,
)
from .decisions.calibrated import (
    CalibratedDecisionModel,
)
from .decisions.model import (
    CtGuardDecisionModel,
)
from .guarding import (
    Guarded,
)
from .local import (
    ChatLocal,
)
from .record import (
    ConfidenceRecord,
    get_confidence,
)
from .routing import (
    confidence_node,
    confidence_router,
    route_by_confidence,
)
from .runnable import (
    ConfidenceGuard,
)
from .wrapping import (
    wrap,
)

__all__ = [
    "CalibratedDecisionModel",
    "ChatLocal",
    "ConfidenceCallbackHandler",
    "ConfidenceGuard",
    "ConfidenceMiddleware",
    "ConfidenceRecord",
    "CtGuardDecisionModel",
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
