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


@pytest.fixture(scope="session")
def servers(estimator: Any) -> Iterator[Serving]:
    """Serves a policy and settings, each combination once."""
    known: dict[str, httpx.Client] = {}
    with ExitStack() as stack:

        def serve(policy: Any, **settings: Any) -> httpx.Client:
            named = repr((policy, sorted(settings.items())))
            if named not in known:
                guard = Guard(estimator, policy)
                url = stack.enter_context(listening(application(guard, Settings(**settings))))
                client = httpx.Client(base_url=url, timeout=60)
                known[named] = stack.enter_context(client)
            return known[named]

        yield serve


@pytest.fixture
def serving(estimator: Any, servers: Serving, api: ChatApi) -> Iterator[Serving]:
    """Serves a policy and settings, and gives a client of the server: with `upstream` one of its
    own in front of `api`."""
    with ExitStack() as stack:

        def serve(policy: Any = 0.5, *, upstream: bool = True, **settings: Any) -> httpx.Client:
            if not upstream:
                return servers(policy, **settings)
            about = {name: settings.pop(name) for name in ("key", "stronger") if name in settings}
            behind = Upstream(f"{stack.enter_context(listening(api.app))}/v1", **about)
            guard = Guard(estimator, policy)
            app = application(guard, Settings(upstream=behind, **settings))
            url = stack.enter_context(listening(app))
            return stack.enter_context(httpx.Client(base_url=url, timeout=60))

        yield serve
