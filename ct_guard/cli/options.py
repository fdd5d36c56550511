"""Options that several commands share, and how the fields of a workflow are spelled as options."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from .shown import say, shown

__all__ = [
    "FORMATS",
    "assignments",
    "backend_option",
    "config_of",
    "device_options",
    "disjoint_option",
    "field_paths",
    "given_options",
    "in_options",
    "overwrite_option",
    "quantization_option",
    "remark",
    "resumable",
    "resume_option",
    "server_options",
    "shape_options",
    "spreadsheet_option",
    "where_option",
]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Command = TypeVar("Command", bound=Callable[..., Any])
Settings = TypeVar("Settings", bound="DataclassInstance")
GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)

spreadsheet_option = click.option(
    "--spreadsheet", is_flag=True,
    help="For CSV that is opened in a spreadsheet: text that it would run as a formula (=, +, -, @"
    " in front) gets an apostrophe. Without it every value is written exactly, for programs.",
)  # fmt: skip
resume_option = click.option(
    "--resume", is_flag=True, help="Go on where an interrupted run to OUTPUT stopped."
)


def overwrite_option(help: str = "Replace an existing output.") -> Callable[[Command], Command]:
    return click.option("--overwrite", is_flag=True, help=help)


def backend_option(help: str) -> Callable[[Command], Command]:
    return click.option("--backend", default="transformers", show_default=True, help=help)


def field_paths(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    """Paths of fields with commas between them; none for a bare option, None without it."""
    if text is None:
        return None
    from ct_guard.errors import UsageError
    from ct_guard.fields import parse_path

    paths = tuple(path.strip() for path in text.split(",") if path.strip())
    try:
        for path in paths:
            parse_path(path)
    except UsageError as error:
        raise click.BadParameter(str(error)) from error
    return paths


def device_options(command: Command) -> Command:
    """`--device` and `--dtype`."""
    dtype = click.option(
        "--dtype",
        default="auto",
        show_default=True,
        help="auto, float32, bfloat16, float16. With llama_cpp: auto as the file has it, float16"
        " unpacks it: scores without the noise of 8 bits, in more memory.",
    )
    device = click.option(
        "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."
    )
    return device(dtype(command))


def server_options(command: Command) -> Command:
    """`--server`, and what goes with it."""
    for option in (
        click.option(
            "--timeout", type=click.FloatRange(min=0, min_open=True), default=None,
            help="With --server: seconds for a request, attempts and waits included. Default: 60.",
        ),
        click.option(
            "--key-file", default=None, metavar="FILE", help="As --key-env: a file that holds it."
        ),
        click.option(
            "--key-env", default=None, metavar="NAME",
            help="With --server: environment variable that holds its key.",
        ),
        click.option(
            "--server-adapter", default=None, metavar="NAME",
            help="With --server: its name for the estimator's LoRA, if not that of the directory.",
        ),
        click.option(
            "--server-model", default=None, metavar="NAME",
            help="With --server: its name for the base, where it has several.",
        ),
        click.option(
            "--server", default=None, metavar="URL",
            help="A vLLM, SGLang or llama-server that runs the base, instead of --backend. Of the"
            " base, only the tokenizer is read here.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def quantization_option(help: str) -> Callable[[Command], Command]:
    return click.option("--quantization", type=click.Choice(["none", "8bit", "4bit"]), help=help)


def where_option(help: str) -> Callable[[Command], Command]:
    """`--where`, as the mapping of column to value that workflows take."""
    return click.option(
        "--where", multiple=True, metavar="COLUMN=VALUE", help=help, callback=_assignments
    )


def one_each_options(command: Command) -> Command:
    """`--drawn` and `--first`: which of several answers to a question counts."""
    for option in (
        click.option("--first", is_flag=True, help="Take the first answer to each question."),
        click.option(
            "--drawn", is_flag=True,
            help="Take one at random, always the same: of several models' answers the first may all"
            " be of those that the file begins with.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def disjoint_option(help: str) -> Callable[[Command], Command]:
    return click.option("--disjoint-from", multiple=True, metavar="FILE", help=help)


FORMATS = ("lm-eval", "openai-batch", "promptfoo", "inspect", "langsmith")
"""Names of the tools whose files are read."""


def shape_options(command: Command) -> Command:
    """`--format`, the fields by which it is overruled, and `--requests`."""
    for option in (
        click.option(
            "--requests", metavar="FILE",
            help="With --format openai-batch: the requests that were sent (JSONL), which say what"
            " was asked.",
        ),
        click.option(
            "--correct-field", metavar="FIELD", help="As --question-field, of the grade."
        ),
        click.option(
            "--answer-field", metavar="FIELD", help="As --question-field, of the answer."
        ),
        click.option(
            "--question-field", metavar="FIELD",
            help="Where the question stands, if not in `question`: prompt, or doc.question for one"
            " field in another.",
        ),
        click.option(
            "--format", type=click.Choice(FORMATS),
            help="FILE is another tool's: samples of lm-evaluation-harness, the output of an OpenAI"
            " batch, results of promptfoo, a log of Inspect (JSON), runs of LangSmith.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _assignments(
    context: click.Context, option: click.Parameter, texts: Sequence[str]
) -> dict[str, str]:
    return assignments(texts)


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """`COLUMN=VALUE` texts by column. Raises click.BadParameter for another text."""
    chosen = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not COLUMN=VALUE", param_hint="--where")
        chosen[name] = value
    return chosen


def config_of(kind: type[Settings], options: Mapping[str, Any]) -> Settings:
    """The settings of a workflow, a dataclass, from the options of the same names."""
    made: Callable[..., Settings] = kind
    return made(**{field.name: options[field.name] for field in fields(kind)})


def given_options(context: click.Context) -> set[str]:
    """Names of the options that the user gave, defaults not counted: what the settings of a
    workflow refuse when nothing would read it."""
    return {
        name
        for name in (option.name or "" for option in context.command.params)
        if context.get_parameter_source(name) in GIVEN
    }


def in_options(message: str, options: Iterable[click.Parameter]) -> str:
    """A message about fields, `quoted` like this, about the options that they come from."""
    spelled = {option.name: _spelled(option) for option in options}
    return re.sub(r"`(\w+)`", lambda found: spelled.get(found[1], found[0]), message)


def remark(line: str, mark: str = "! ") -> None:
    """Says what a workflow remarked on, its fields as the options of the command that runs."""
    context = click.get_current_context(silent=True)
    options = context.command.params if context is not None else ()
    say(f"{mark}{shown(in_options(line, options))}")


def _spelled(option: click.Parameter) -> str:
    if isinstance(option, click.Argument):
        return option.metavar or str(option.name).upper()
    return "/".join([max(option.opts, key=len), *option.secondary_opts])


@contextmanager
def resumable(goes_on: Callable[[], bool], where: str = "here") -> Iterator[None]:
    """Says after Ctrl-C how the run goes on, if it does."""
    try:
        yield
    except KeyboardInterrupt:
        if goes_on():
            say(f"Stopped. The same command with --resume goes on from {where}.")
        raise
