"""Public names, and where each comes from: the one list of them."""

from .callbacks import (
    ConfidenceCallbackHandler as ConfidenceCallbackHandler,
    get_confidence_callback as get_confidence_callback,
)
from .chat_model import (
    GuardedChatModel as GuardedChatModel,
)
from .guarding import (
    Guarded as Guarded,
)
from .local import (
    ChatLocal as ChatLocal,
)
from .middleware import (
    ConfidenceMiddleware as ConfidenceMiddleware,
)
from .node import (
    confidence_node as confidence_node,
    route_by_confidence as route_by_confidence,
)
from .record import (
    ConfidenceRecord as ConfidenceRecord,
    get_confidence as get_confidence,
)
from .router import (
    confidence_router as confidence_router,
)
from .runnable import (
    ConfidenceGuard as ConfidenceGuard,
)
from .tools import (
    low_confidence as low_confidence,
)
from .wrapping import (
    wrap as wrap,
)
