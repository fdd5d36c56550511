"""What the agents of the acceptance suite share: the estimator, and where their memory lies."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from ct_guard.errors import BackendError
from ct_guard.estimators import Estimator
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on


class Broken(FakeBackend):
    """Fails on every score."""

    def score(self, *args: Any, **kwargs: Any) -> Any:
        raise BackendError("the engine failed")


@pytest.fixture
def estimator() -> Estimator:
    """`sure` p = 0.95, `unsure` p = 0.05, anything else p = 0.5."""
    return estimator_on(FakeBackend(logit=by_word))


@pytest.fixture
def broken() -> Estimator:
    return estimator_on(Broken())


@pytest.fixture
def make_slow() -> Callable[[float], Estimator]:
    """`make_slow(seconds)`: each scoring takes that long."""

    class Slow(FakeBackend):
        def __init__(self, seconds: float) -> None:
            super().__init__(logit=by_word)
            self.seconds = seconds

        def score(self, *args: Any, **kwargs: Any) -> Any:
            time.sleep(self.seconds)
            return super().score(*args, **kwargs)

    return lambda seconds: estimator_on(Slow(seconds))


@pytest.fixture(params=["memory", "sqlite", "async sqlite"])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """A checkpointer; `ways` says which runs it serves."""
    path = str(tmp_path / "memory.sqlite")
    if request.param == "memory":
        yield InMemorySaver()
    elif request.param == "sqlite":
        with SqliteSaver.from_conn_string(path) as saver:
            yield saver
    else:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            yield saver


@pytest.fixture
def ways(memory: Any) -> list[str]:
    """Each saver of SQLite serves sync or async runs, the one in memory both."""
    served = {SqliteSaver: ["invoke"], AsyncSqliteSaver: ["ainvoke"]}
    return served.get(type(memory), ["invoke", "ainvoke"])
