"""Run the LangChain tests against the oldest and the newest versions that pyproject.toml allows.

    python -m tests.versions [oldest] [newest]

For each a virtual environment is made in `.versions/`: it holds LangChain's packages only, at the
declared lower bounds or at the newest release that the package index resolves, and borrows the rest
(PyTorch among it) from the environment that runs this script. Prints the versions and pytest's
last line; the exit code is 1 where a run fails.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
EXTRAS = ("langchain", "agents")
SUITES = (
    "tests/unit/langchain",
    "tests/integration/langchain",
    "tests/contract/test_langchain_standard.py",
    "tests/integration/test_langchain_examples.py",
    "tests/integration/test_documented.py",
)
FOLLOWING = ("langgraph-checkpoint", "langgraph-prebuilt", "langgraph-sdk", "langchain-tests")
"""Their versions are not declared; they are reported."""


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [Requirement(each) for extra in EXTRAS for each in extras[extra]]


def pinned(which: str) -> Iterator[str]:
    """What pip is asked for."""
    for requirement in declared():
        if which == "newest":
            yield str(requirement)
            continue
        lowest = [each.version for each in requirement.specifier if each.operator == ">="]
        if len(lowest) != 1:
            raise SystemExit(f"pyproject.toml: {requirement} declares no lower bound")
        yield f"{requirement.name}=={lowest[0]}"


def make(which: str) -> Path:
    """The environment's interpreter."""
    folder = ROOT / ".versions" / which
    venv.create(folder, clear=True, symlinks=True)
    borrowed = sysconfig.get_path("purelib")
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "borrowed.pth").write_text(f"{borrowed}\n", encoding="utf-8")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--upgrade", *pinned(which)], check=True)
    return python


def versions(python: Path) -> str:
    names = [*(requirement.name for requirement in declared()), *FOLLOWING]
    code = (
        "import sys; from importlib.metadata import version;"
        "print(', '.join(f'{name} {version(name)}' for name in sys.argv[1:]))"
    )
    found = subprocess.run([python, "-c", code, *names], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def passes(which: str) -> bool:
    python = make(which)
    print(f"{which}: {versions(python)}", flush=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "integrations")])
    run = subprocess.run(
        [python, "-m", "pytest", "-q", "-r", "fE", "--tb=short", "-p", "no:cacheprovider", *SUITES],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        capture_output=True,
        text=True,
    )
    print(run.stdout + run.stderr if run.returncode else run.stdout.splitlines()[-1], flush=True)
    return run.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", nargs="*", default=["oldest", "newest"])
    chosen = parser.parse_args().which
    if unknown := set(chosen) - {"oldest", "newest"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are oldest and newest")
    passed = [passes(which) for which in chosen]  # also the second where the first fails
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
