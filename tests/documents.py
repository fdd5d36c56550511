"""The code blocks of README and docs/: found in their pages, and run as a reader would.

`python -m tests.documents FOLDER` runs all of them in one process, which loads the libraries once:
each page with names and a folder of its own, in which `examples/` lies. What they printed is in
FOLDER/ran.json: of each page "printed", a list, and "error", what ended it early or None.
"""

import contextlib
import io
import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^>]+) -->\n)?"
    r"^```\{?\.?(?P<language>\w*)\}?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_INCLUDED = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. `reason` says why it does not run here; empty: it does."""

    page: Path
    line: int
    language: str
    text: str
    reason: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def included(self) -> list[str]:
        """The files of the repository that stand here whole."""
        return _INCLUDED.findall(self.text)


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["reason"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def to_run(page: Path) -> list[Block]:
    """The blocks that run here: Python of the page's own, and commands."""
    return [
        block
        for block in blocks(page)
        if block.language in ("python", "bash") and not block.reason and not block.included
    ]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in a block of shell, without comments and variables set for it."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            yield words


def parse(words: list[str]) -> None:
    """Read the arguments of a `ct-guard` command and run nothing. Raises click.UsageError."""
    from ct_guard.cli import cli

    command: click.Command = cli
    context = click.Context(cli, info_name="ct-guard")
    rest = words[1:]
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, name
        command = found
        context = click.Context(command, parent=context, info_name=name)
    command.parse_args(context, rest)


def run(block: Block, names: dict[str, object]) -> None:
    """One block, Python in the namespace of its page. Raises SystemExit where a command fails."""
    if block.language == "python":
        exec(compile(block.text, block.name, "exec"), names)
        return
    from ct_guard.cli import cli

    for words in commands(block.text):
        assert words[0] == "ct-guard", f"{block.name}: only ct-guard runs here: {words}"
        code = cli.main(words[1:], "ct-guard", standalone_mode=False)
        if code:
            sys.exit(f"{block.name}: {shlex.join(words)}: exit code {code}")


def main(folder: str) -> None:
    ran: dict[str, dict[str, object]] = {}
    for page in (page for page in PAGES if to_run(page)):
        name = str(page.relative_to(ROOT))
        here = Path(folder, name.replace("/", "-")).absolute()
        here.mkdir()
        (here / "examples").symlink_to(ROOT / "examples")
        os.chdir(here)
        names: dict[str, object] = {"__name__": "__main__"}
        printed: list[str] = []
        error = None
        try:
            for block in to_run(page):
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    run(block, names)
                printed.append(out.getvalue())
        except (Exception, SystemExit):  # the page's own; the other pages run nonetheless
            error = traceback.format_exc()
        ran[name] = {"printed": printed, "error": error}
    Path(folder, "ran.json").write_text(json.dumps(ran))


if __name__ == "__main__":
    main(*sys.argv[1:])
