"""What the README and the examples show runs as shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_python_block_tells_the_right_sum_from_the_wrong_one() -> None:
    right, wrong = run("-c", BLOCKS[0]).splitlines()
    p = [float(line.split("=")[1].split()[0]) for line in (right, wrong)]
    assert p[0] > p[1]


@pytest.mark.parametrize("block", BLOCKS[1:])
def test_every_other_python_block_runs(block: str) -> None:
    assert run("-c", block).strip()


def test_the_escalation_example_ends_with_every_answer_right() -> None:
    lines = run("examples/langchain_escalate.py").splitlines()
    assert len(lines) >= 6
    solved = [line for line in lines if "-> the solver:" in line]
    assert solved
    for line in solved:
        a, sign, b = re.search(r"(\d+) (plus|minus) (\d+)", line).groups()  # type: ignore[union-attr]
        exact = int(a) + int(b) if sign == "plus" else int(a) - int(b)
        assert line.endswith(f"the solver: {exact}")


def test_the_readme_names_commands_and_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^ +|`)make (\w+)", text, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    named = re.findall(r"[`(]((?:examples|ct_guard)/[\w/.]+)[`)]", text)
    assert "examples/demo.svg" in named
    for path in set(named):
        assert (ROOT / path).exists(), path
