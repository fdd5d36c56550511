"""A server of confidences over an estimator whose confidence is known, and an OpenAI API behind."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from ct_guard.guard import Guard
from ct_guard.serving import Settings, Upstream, application
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on
from tests.listening import ChatApi, answering, listening

Serving = Callable[..., httpx.Client]


@pytest.fixture(scope="session")
def estimator() -> Any:
    """`sure` has p = 0.95, `unsure` 0.05, anything else 0.5."""
    return estimator_on(FakeBackend(logit=by_word))


@pytest.fixture
def api() -> ChatApi:
    """Behind the server: it says the last word of what it was asked."""

    def says(body: dict[str, Any]) -> list[dict[str, Any]]:
        said = body["messages"][-1]["content"].split(": ")[-1]
        return [answering(said)] * body.get("n", 1)

    return ChatApi(says)


@pytest.fixture
def serving(estimator: Any, api: ChatApi) -> Iterator[Serving]:
    """Serve a policy and settings; a client of the server is returned."""
    with ExitStack() as stack:

        def serve(policy: Any = 0.5, *, upstream: bool = True, **settings: Any) -> httpx.Client:
            about = {name: settings.pop(name) for name in ("key", "stronger") if name in settings}
            guard = Guard(estimator, policy, on_error=settings.pop("on_error", None))
            behind = None
            if upstream:
                url = stack.enter_context(listening(api.app))
                behind = Upstream(f"{url}/v1", **about)
            app = application(guard, Settings(upstream=behind, **settings))
            url = stack.enter_context(listening(app))
            return stack.enter_context(httpx.Client(base_url=url, timeout=60))

        yield serve
