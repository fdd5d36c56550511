"""The options of `ct-guard serve`, by what they are about."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["answering_options", "listening_options", "upstream_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


def answering_options(command: Command) -> Command:
    """What is decided on answers."""
    for option in (
        click.option(
            "--cache", default=None, metavar="FILE",
            help="SQLite file of scores that outlives the server. Default: in memory.",
        ),
        click.option(
            "--deadline", type=float, default=30.0, show_default=True, metavar="SECONDS",
            help="For the scoring of an answer; a later one goes by --on-error.",
        ),
        click.option(
            "--abstain-message", default="I don't know.", show_default=True, metavar="TEXT",
            help="Said instead of an answer that is withheld.",
        ),
        click.option(
            "--on-error", type=click.Choice(["pass", "block"]), default=None,
            help="For answers that could not be scored: 'block' withholds them. Default: block, but"
            " pass under 'annotate'.",
        ),
        click.option(
            "-p", "--policy", default=None,
            help="0.7 (a threshold), 'certified' (the estimator's), 'annotate', or a JSON file."
            " Default: certified where the estimator has one, else annotate.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def upstream_options(command: Command) -> Command:
    """Where chats are forwarded to."""
    for option in (
        click.option(
            "--stronger", multiple=True, metavar="MODEL",
            help="A model of the upstream's that the policy may escalate to; several, from weak to"
            " strong.",
        ),
        click.option(
            "--upstream-timeout", type=float, default=None, metavar="SECONDS",
            help="For which the upstream may be silent. Default: 600.",
        ),
        click.option(
            "--upstream-key-file", default=None, metavar="FILE",
            help="As --upstream-key-env: a file that holds it.",
        ),
        click.option(
            "--upstream-key-env", default=None, metavar="NAME",
            help="Environment variable that holds the upstream's key. Default: the client's own"
            " goes on, unless clients show this server's token.",
        ),
        click.option(
            "--upstream", default=None, metavar="URL",
            help="The OpenAI API that chats are forwarded to: http://localhost:8000/v1.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def listening_options(command: Command) -> Command:
    """Who is answered, and where."""
    for option in (
        click.option(
            "--grace", type=float, default=30.0, show_default=True, metavar="SECONDS",
            help="For requests in flight, once the server is told to stop.",
        ),
        click.option(
            "--most-requests", type=int, default=256, show_default=True,
            help="Answered at a time; more are told to ask again (429).",
        ),
        click.option(
            "--most-bytes", type=int, default=4 << 20, show_default=True,
            help="Of a request; longer ones are refused (413).",
        ),
        click.option(
            "--token-file", default=None, metavar="FILE",
            help="As --token-env: a file that holds it.",
        ),
        click.option(
            "--token-env", default=None, metavar="NAME",
            help="Environment variable that holds the token that clients must show, as"
            " 'Authorization: Bearer …' or 'x-api-key: …'.",
        ),
        click.option(
            "--port", type=int, default=8077, show_default=True, help="0: any that is free."
        ),
        click.option(
            "--host", default="127.0.0.1", show_default=True,
            help="Another than this machine's own needs a token.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command
