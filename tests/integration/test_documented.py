"""What the README and the examples show runs as shown."""

import ast
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


def test_an_existing_agent_is_guarded_by_adding_three_lines() -> None:
    (block,) = [block for block in BLOCKS if "# added" in block]
    lines = block.splitlines(keepends=True)
    before = [line for line in lines if "# added" not in line]
    assert len(lines) - len(before) == 3
    assert run("-c", "".join(before)).split() == ["13"]
    answer, record = run("-c", block).splitlines()
    assert answer == "12"
    assert ast.literal_eval(record)["model_index"] == 1


def test_the_readme_names_commands_and_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^ +|`)make (\w+)", text, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    named = re.findall(r"[`(]((?:examples|ct_guard)/[\w/.]+)[`)]", text)
    assert "examples/demo.svg" in named
    for path in set(named):
        assert (ROOT / path).exists(), path
