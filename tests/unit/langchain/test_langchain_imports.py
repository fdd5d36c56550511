"""The package loads lazily and says what to install."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

import ct_guard_langchain

DECISION_MODELS = {"CalibratedDecisionModel", "CtGuardDecisionModel"}


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_public_names() -> None:
    assert {"GuardedChatModel", "ConfidenceMiddleware", "wrap"} < set(ct_guard_langchain.__all__)
    newer = set() if find_spec("langchain_core.decisions") else DECISION_MODELS
    assert all(
        getattr(ct_guard_langchain, name) for name in set(ct_guard_langchain.__all__) - newer
    )
    assert set(ct_guard_langchain.__all__) <= set(dir(ct_guard_langchain))
    with pytest.raises(AttributeError, match="nothing"):
        _ = ct_guard_langchain.nothing  # type: ignore[attr-defined]


@pytest.mark.slow
def test_importing_the_package_loads_no_library_and_its_models_no_torch() -> None:
    code = (
        "import sys, ct_guard_langchain; print('langchain_core' in sys.modules);"
        "ct_guard_langchain.GuardedChatModel, ct_guard_langchain.ChatLocal;"
        "print('torch' in sys.modules)"
    )
    assert run(code).split() == ["False", "False"]


def test_without_langchain_the_error_names_the_extra() -> None:
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


def test_an_older_langchain_is_told_which_version_has_decision_models() -> None:
    code = (
        "import sys; sys.modules['langchain_core.decisions'] = None\n"
        "import ct_guard_langchain\n"
        "from ct_guard.errors import MissingExtraError\n"
        "try: ct_guard_langchain.CtGuardDecisionModel\n"
        "except MissingExtraError as error: print(error)"
    )
    assert run(code) == (
        "ct_guard_langchain.CtGuardDecisionModel needs a newer version: pip install -U"
        " 'langchain-core>=1.8'"
    )
