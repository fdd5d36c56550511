"""`ct-guard adapters`: what the paper's authors published."""

import json
from dataclasses import asdict

import click

__all__ = ["command"]


@click.command("adapters")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def command(as_json: bool) -> None:
    """List the paper's twelve adapters. Nothing is fetched.

    \b
    Each id is an estimator, and works wherever one is asked for:
      ct-guard inspect calibration-tuning/Mistral-7B-v0.1-ct-oe
      ct-guard score answers.jsonl -e calibration-tuning/Mistral-7B-v0.1-ct-oe -o scored.jsonl

    The first use fetches the adapter and its base model from the Hugging Face hub; afterwards both
    are in its cache, also without a network. Llama 2 asks for its licence to be accepted on the
    hub first. A directory that holds an adapter's files works like its id.
    """
    from ct_guard.store import PUBLISHED

    if as_json:
        click.echo(json.dumps([asdict(known) for known in PUBLISHED.values()], indent=1))
        return
    width = max(map(len, PUBLISHED)) + 2
    click.echo(f"{'adapter':<{width}}{'answers':<17}base model")
    for known in PUBLISHED.values():
        click.echo(f"{known.id:<{width}}{known.answers:<17}{known.base}")
