"""The whole server as an ASGI application."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ct_guard.errors import CtGuardError
from ct_guard.guard import Guard
from ct_guard.policies import refuse_draws

from .access import Access
from .bodies import Refused, answer_error, answer_refused
from .chat import Chat
from .confidences import Confidences
from .decisions import Decisions
from .guardrail import Guardrail
from .presence import while_there
from .settings import Settings
from .status import Counted, Status
from .upstream import Forwarder, UpstreamFailed, answer_failed

__all__ = ["application"]

_NO_UPSTREAM = "no upstream is set: start the server with --upstream URL"
_NO_MODEL = "the estimator reads no model, and decides nothing: use one with a base model"
_ABSENT = {
    "/v1/chat/completions": _NO_UPSTREAM,
    "/v1/models": _NO_UPSTREAM,
    "/v1/systemone": _NO_MODEL,
    "/v1/decisions": _NO_MODEL,
}
"""Why a path may be there elsewhere, and not here."""

_GONE = 499
"""As other servers count requests whose client did not wait."""


def application(guard: Guard, settings: Settings | None = None) -> ASGIApp:
    """Everything that `ct-guard serve` answers, for any ASGI server.

        app = application(Guard("mini", 0.7), Settings(upstream=Upstream("http://…/v1")))

    Raises PolicyError for a policy that wants further answers, which nobody draws here.
    """
    settings = settings or Settings()
    refuse_draws(guard.policy, "a server")
    status, guardrail = Status(guard), Guardrail(guard, settings)
    decisions = None if guard.estimator.backend is None else Decisions(guard)
    forwarder = None
    routes = [
        Route("/health", status.health),
        Route("/metrics", status.metrics),
        Route("/v1/confidence", while_there(Confidences(guard).answer), methods=["POST"]),
        Route("/beta/litellm_basic_guardrail_api", while_there(guardrail.answer), methods=["POST"]),
    ]
    if decisions is not None:
        routes += [
            Route("/v1/systemone", while_there(decisions.systemone), methods=["POST"]),
            Route("/v1/decisions", while_there(decisions.decisions), methods=["POST"]),
        ]
    if (upstream := settings.upstream) is not None:
        forwarder = Forwarder(upstream, keeps_clients_key=not settings.token)
        chat = Chat(guard, settings, upstream, forwarder)
        routes += [
            Route("/v1/chat/completions", while_there(chat.answer), methods=["POST"]),
            Route("/v1/models", chat.models),
        ]
    app = Starlette(
        routes=routes,
        lifespan=_closing(forwarder),
        exception_handlers={
            Refused: answer_refused,
            UpstreamFailed: answer_failed,
            CtGuardError: answer_error,
            HTTPException: _answer_unknown,
            ClientDisconnect: _answer_nobody,
            Exception: answer_error,
        },
    )
    paths = [route.path for route in routes]
    status.counted = Counted(Access(app, settings), paths)
    return status.counted


def _closing(
    forwarder: Forwarder | None,
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        if forwarder is not None:
            await forwarder.close()

    return lifespan


async def _answer_unknown(request: Request, error: Exception) -> Response:
    """No such path, or not by this method."""
    assert isinstance(error, HTTPException)  # noqa: S101  # handlers are typed for any error
    path = request.url.path
    said = f"{path} is not served, or not by {request.method}"
    said = _ABSENT.get(path, said) if error.status_code == 404 else said
    return Refused(error.status_code, said, "not_found").response()


async def _answer_nobody(request: Request, error: Exception) -> Response:
    """The client went away while it asked: there is only the count to be told."""
    return Response(status_code=_GONE)
