"""The package loads lazily and says what to install."""

import subprocess
import sys

import pytest

import ct_guard_langchain


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_public_names():
    assert {"GuardedChatModel", "ConfidenceMiddleware", "wrap"} < set(ct_guard_langchain.__all__)
    assert all(getattr(ct_guard_langchain, name) for name in ct_guard_langchain.__all__)
    assert set(ct_guard_langchain.__all__) <= set(dir(ct_guard_langchain))
    with pytest.raises(AttributeError, match="nothing"):
        _ = ct_guard_langchain.nothing


@pytest.mark.slow
def test_importing_the_package_loads_no_library_and_its_models_no_torch():
    code = (
        "import sys, ct_guard_langchain; print('langchain_core' in sys.modules);"
        "ct_guard_langchain.GuardedChatModel, ct_guard_langchain.ChatLocal;"
        "print('torch' in sys.modules)"
    )
    assert run(code).split() == ["False", "False"]


def test_without_langchain_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "import ct_guard_langchain\n"
        "from ct_guard.errors import MissingExtraError\n"
        "try: ct_guard_langchain.GuardedChatModel\n"
        "except MissingExtraError as error: print(error)"
    )
    assert run(code) == (
        "ct_guard_langchain needs an optional dependency: pip install 'ct-guard[langchain]'"
    )
