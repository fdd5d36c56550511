"""The command line. One file per command; commands load their libraries when they run."""

import os
import signal
import sys
import warnings
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from ct_guard import __version__
from ct_guard.errors import CtGuardError, FieldError, MissingExtraError

from . import stopping
from .options import in_options
from .shown import one_line, say

__all__ = ["cli", "main"]

COMMANDS = {
    "grade": "answer questions that have gold answers, and grade the answers",
    "audit": "have a person check the grader: its error rates",
    "split": "divide a file into parts of different questions",
    "tune": "make an estimator of your own from graded answers",
    "baseline": "make an estimator without tuning, to compare with",
    "score": "score a file of answers: how likely is each to be correct?",
    "serve": "answer over HTTP: confidences, guarded chats, a guardrail",
    "calibrate": "fit calibrators on a scored file that has grades",
    "certify": "find a threshold with a guarantee",
    "monitor": "does what was certified still hold?",
    "outcomes": "record what came of answers that were scored",
    "evaluate": "evaluate a scored file that has grades",
    "report": "show a scored file that has grades as a page for a browser",
    "cost": "what policies do on scored files that have grades, and what that costs",
    "export": "write an estimator and its base in the format of another engine",
    "push": "put an estimator on the Hugging Face hub, with a model card",
    "pull": "fetch an estimator from the hub, and verify it",
    "doctor": "what can this machine run?",
    "adapters": "list the paper's adapters, which load by their ids",
    "inspect": "show what an estimator is, and verify its files",
}


EXTRAS = {
    "accelerate": "torch",
    "bitsandbytes": "quant",
    "datasets": "datasets",
    "gguf": "gguf",
    "huggingface_hub": "torch",
    "jinja2": "torch",
    "langchain": "agents",
    "langchain_core": "langchain",
    "langgraph": "agents",
    "llama_cpp": "gguf",
    "matplotlib": "report",
    "opentelemetry": "otel",
    "peft": "torch",
    "pyarrow": "parquet",
    "ray": "ray",
    "relplot": "report",
    "safetensors": "torch",
    "starlette": "serve",
    "tokenizers": "torch",
    "torch": "torch",
    "transformers": "torch",
    "uvicorn": "serve",
    "vl_convert": "report",
    "zstandard": "zstd",
}
"""The extra that brings a module."""


class _Commands(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"ct_guard.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A misspelt command is told the nearest one, as a misspelt option is."""
        near = get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Errors name fields as the options that they come from, and a library that is not
        installed is an error of ours, whichever command needs it."""
        try:
            return super().invoke(ctx)
        except CtGuardError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            said = in_options(str(error), _options_of(command))
            if isinstance(error, FieldError):
                raise click.UsageError(said) from error
            error.args = (said, *error.args[1:])
            raise
        except ModuleNotFoundError as error:
            extra = EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None or isinstance(error, CtGuardError):
                raise
            raise MissingExtraError(f"ct-guard {ctx.invoked_subcommand}", extra) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _options_of(command: click.Command | None) -> list[click.Parameter]:
    """The options of a command, and of the commands below it."""
    if command is None:
        return []
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return [*command.params, *(option for one in below for option in _options_of(one))]


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok; 2 usage or unreadable input; 3 finished, but some rows are invalid"
    " or failed; 4 no threshold could be certified; 5 an alarm; 130 Ctrl-C; 143 SIGTERM.",
)
@click.version_option(__version__, "--version", prog_name="ct-guard")
def cli() -> None:
    """Know how likely an LLM's answer is to be correct.

    \b
    Try the embedded miniature model:
      ct-guard score answers.jsonl --estimator mini -o scored.jsonl
      ct-guard evaluate scored.jsonl
      ct-guard inspect mini
    """


def main() -> None:
    """Entry point: errors of ours become one line on stderr and exit code 2, Ctrl-C and SIGTERM the
    exit codes 130 and 143."""
    warnings.showwarning = lambda message, *_, **__: say(f"Note: {one_line(str(message))}")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    try:
        stopping.listen()
        sys.exit(cli(standalone_mode=False))
    except (click.Abort, KeyboardInterrupt):
        say("Interrupted.")
        stopping.leave()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # as of `| head`: what is still buffered has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except CtGuardError as error:
        _complain(str(error))
        sys.exit(2)
    except OSError as error:
        _complain(_reason(error))
        sys.exit(2)


def _complain(problem: str) -> None:
    from ct_guard.remote.secrets import without_credentials

    say(f"Error: {one_line(without_credentials(problem))}")


def _reason(error: OSError) -> str:
    from ct_guard.files.replacing import FULL

    if error.errno not in FULL:
        return str(error)
    return (
        f"{error.filename or 'the output'}: cannot be written: {error.strerror}: make room, and"
        " give the same command again; what stood there before is whole"
    )
