"""`ct-guard doctor`: what can this machine run?"""

import json
import sys
from dataclasses import asdict

import click

from .options import server_options
from .shown import say, shown

__all__ = ["command"]

DOES_NOT_FIT = 3


@click.command(
    "doctor",
    epilog="Exit codes: 0 ok; 2 no such model here; 3 the named model does not fit, or the server"
    " cannot be used.",
)
@click.option(
    "--model", "--base", default=None, metavar="NAME",
    help="Does it fit? An estimator ('mini'), a base's directory, a GGUF file, a downloaded id,"
    " hub:owner/name/FILE.gguf.",
)  # fmt: skip
@click.option(
    "--check", is_flag=True,
    help="With --model: load it on each backend, or on the --server, check its arithmetic and"
    " measure its noise.",
)  # fmt: skip
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(
    model: str | None,
    check: bool,
    as_json: bool,
    server: str | None,
    server_model: str | None,
    server_adapter: str | None,
    key_env: str | None,
    key_file: str | None,
    timeout: float | None,
) -> None:
    """Show what this machine, or a server, can run, with a line of advice for each item."""
    from ct_guard.doctor import Remote, examine

    if check and model is None:
        raise click.UsageError("--check is about a model: name one with --model")
    of_server = (server_model, server_adapter, key_env, key_file, timeout)
    if server is None and any(value is not None for value in of_server):
        raise click.UsageError("a server's model, adapter, key and timeout go with --server")
    remote = None if server is None else Remote(server, *of_server)
    findings = examine(model, check=check, server=remote)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            mark = " " if finding.ok else "!"
            say(f"{mark} {finding.item:<13}{shown(finding.value)}", out=True)
            say(f"  {'':<13}-> {shown(finding.advice)}", out=True)
    if not all(finding.ok for finding in findings if finding.item in ("model", "server")):
        sys.exit(DOES_NOT_FIT)
