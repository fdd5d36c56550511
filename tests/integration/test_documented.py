"""What README, docs/ and the examples show runs as shown."""

import ast
import io
import json
import re
import warnings
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from ct_guard import load_policy
from tests import documents
from tests.documents import PAGES, ROOT, Block, blocks, commands, parse, to_run

README = ROOT / "README.md"
ALL = [block for page in PAGES for block in blocks(page)]
RUNNING = [page for page in PAGES if to_run(page)]


def named(block: Block) -> str:
    return block.name


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the blocks that run here printed, by page."""
    folder = tmp_path_factory.mktemp("pages")
    with chdir(ROOT), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a page may show what warns
        documents.main(str(folder))
    found: dict[str, Any] = json.loads((folder / "ran.json").read_text())
    return found


@pytest.mark.parametrize("page", RUNNING, ids=shown)
def test_every_block_of_a_page_runs(page: Path, ran: dict[str, Any]) -> None:
    assert ran[shown(page)]["error"] is None, ran[shown(page)]["error"]
    printed = dict(zip(to_run(page), ran[shown(page)]["printed"], strict=True))
    assert all(text.strip() for block, text in printed.items() if block.language == "python")


def test_the_first_python_block_tells_the_right_sum_from_the_wrong_one(
    ran: dict[str, Any],
) -> None:
    first = [block.language for block in to_run(README)].index("python")
    right, wrong = ran["README.md"]["printed"][first].splitlines()
    p = [float(line.split("=")[1].split()[0]) for line in (right, wrong)]
    assert p[0] > p[1]


def test_an_existing_agent_is_guarded_by_adding_three_lines(ran: dict[str, Any]) -> None:
    there = to_run(README)
    (place,) = [i for i, block in enumerate(there) if "# added" in block.text]
    lines = there[place].text.splitlines(keepends=True)
    before = [line for line in lines if "# added" not in line]
    assert len(lines) - len(before) == 3
    with redirect_stdout(io.StringIO()) as out:
        exec(compile("".join(before), "README.md", "exec"), {"__name__": "__main__"})
    assert out.getvalue().split() == ["13"]
    answer, record = ran["README.md"]["printed"][place].splitlines()
    assert answer == "12"
    assert ast.literal_eval(record)["model_index"] == 1


@pytest.mark.parametrize(
    "block", [block for block in ALL if block.language == "bash"], ids=named
)  # fmt: skip
def test_every_command_shown_has_the_options_that_it_is_given(block: Block) -> None:
    for words in commands(block.text):
        if words[0] == "ct-guard":
            parse(words)
        elif words[0] == "make":
            makefile = (ROOT / "Makefile").read_text()
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words


@pytest.mark.parametrize("block", [block for block in ALL if block.included], ids=named)
def test_what_a_page_shows_of_the_examples_is_run_by_their_own_tests(block: Block) -> None:
    """`test_langchain_examples.py` runs every file of this pattern."""
    for path in block.included:
        assert (ROOT / path) in set((ROOT / "examples").glob("lang*.py")), path


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "json"], ids=named)
def test_every_policy_shown_loads(block: Block, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(block.text)
    assert load_policy(str(tmp_path / "policy.json")).name


def test_every_block_says_its_language() -> None:
    assert {block.language for block in ALL} <= {"python", "bash", "json"}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_page_names_commands_and_files_that_exist(page: Path) -> None:
    text = page.read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make ([\w-]+)", text)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in set(re.findall(r"[`(]((?:examples|ct_guard|docs|benchmarks)/[\w/.-]+)[`)]", text)):
        assert (ROOT / path).exists(), path


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 130
