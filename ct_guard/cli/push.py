"""`ct-guard push`: an estimator to the hub."""

import click

__all__ = ["command"]


@click.command("push")
@click.argument("estimator")
@click.argument("repo", metavar="OWNER/NAME")
@click.option(
    "--base", default=None, metavar="OWNER/NAME",
    help="The base model's id on the hub, where the manifest names a directory.",
)  # fmt: skip
@click.option("--revision", default=None, help="Branch to push to. Default: main.")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("-m", "--message", default=None, help="Of the commit.")
def command(
    estimator: str,
    repo: str,
    base: str | None,
    revision: str | None,
    private: bool,
    message: str | None,
) -> None:
    """Put ESTIMATOR (a directory) on the Hugging Face hub as OWNER/NAME, with a model card.

    Every file is verified against the manifest first. The token comes from the environment variable
    HF_TOKEN and needs write access; HF_ENDPOINT names another hub.
    """
    from ct_guard.store import locate, push_estimator

    url = push_estimator(
        locate(estimator), repo, base_id=base, revision=revision, private=private, message=message
    )
    click.echo(f"Pushed: {url}")
    click.echo(f"  ct-guard score answers.jsonl --estimator {repo}")
