"""Every backend, on a tiny real model where it runs one."""

from collections import Counter
from collections.abc import Generator, Iterator

import pytest

from ct_guard.backends import Backend
from ct_guard.testing import FakeBackend

OUTCOMES = pytest.StashKey[Counter[tuple[str, str]]]()
"""How often the tests of a class ended how: "passed", or the reason for which they were skipped."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    outcomes = item.config.stash.setdefault(OUTCOMES, Counter())
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        outcomes[item.cls.__name__ if item.cls else "", reason] += 1
    elif report.passed and report.when == "call":
        outcomes[item.cls.__name__ if item.cls else "", "passed"] += 1
    return report


@pytest.fixture
def outcomes(request: pytest.FixtureRequest) -> Counter[tuple[str, str]]:
    return request.config.stash.setdefault(OUTCOMES, Counter())


KINDS = ["fake", "transformers", "llama_cpp"]


def make_backend(kind: str, request: pytest.FixtureRequest) -> Backend:
    if kind == "transformers":
        from ct_guard.backends.transformers import TransformersBackend

        return TransformersBackend.load(request.getfixturevalue("tiny_base"), device="cpu")
    if kind == "llama_cpp":
        from ct_guard.backends.llama_cpp import LlamaCppBackend

        return LlamaCppBackend.load(request.getfixturevalue("tiny_gguf"), kv_type="f32", threads=1)
    return FakeBackend()


@pytest.fixture(scope="module", params=KINDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    made = make_backend(request.param, request)
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def own_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """One that a test may close."""
    made = make_backend(request.param, request)
    yield made
    made.close()
