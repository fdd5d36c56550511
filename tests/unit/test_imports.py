"""What `import ct_guard` gives, and what it does not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ct_guard
from ct_guard import workflows

HEAVY = (
    "torch", "transformers", "peft", "langchain", "langchain_core", "llama_cpp", "sklearn",
    "scipy", "numpy",
)  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_library() -> None:
    assert loaded_by("import ct_guard").isdisjoint(HEAVY)


def test_records_and_errors_need_no_numbers() -> None:
    statement = "from ct_guard import QuestionAnswer, CtGuardError, Confidence"
    assert loaded_by(statement).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "name", ["Guard", "Estimator", "load_estimator", "load_policy", "TuneConfig", "tune", "score"]
)
@pytest.mark.slow
def test_a_model_library_is_loaded_with_a_model_only(name: str) -> None:
    engines = {"torch", "transformers", "peft", "langchain", "langchain_core", "llama_cpp"}
    assert loaded_by(f"from ct_guard import {name}").isdisjoint(engines)


def test_every_verb_is_public_with_its_configuration_and_its_result() -> None:
    reporting = {"Reporter", "Work"}
    verbs = {name for name in workflows.__all__ if name.islower()}
    settings = {f"{_title(verb)}{kind}" for verb in verbs for kind in ("Config", "Result")}
    assert verbs | settings | reporting == set(workflows.__all__)
    assert verbs | settings <= set(ct_guard.__all__)


def _title(verb: str) -> str:
    return "".join(word.capitalize() for word in verb.split("_"))


def test_the_stub_exports_what_it_imports() -> None:
    """Types and the reference of the documents read its `__all__`, the package its imports."""
    stub = ast.parse(Path(ct_guard.__file__).with_suffix(".pyi").read_text())
    (exported,) = [
        ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)
    ]
    assert exported == ct_guard.__all__


@pytest.mark.parametrize("name", ct_guard.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ct_guard, name).__name__ == name
    assert name in dir(ct_guard)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ct_guard.nonsense  # type: ignore[attr-defined]
