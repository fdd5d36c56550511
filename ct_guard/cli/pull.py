"""`ct-guard pull`: an estimator from the hub."""

from pathlib import Path

import click

from .shown import say, shown

__all__ = ["command"]


@click.command("pull")
@click.argument("repo", metavar="OWNER/NAME")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=None,
    help="Directory to make. Default: NAME.",
)  # fmt: skip
@click.option("--revision", default=None, help="Branch, tag or commit. Default: main.")
@click.option("--offline", is_flag=True, help="From the local cache only.")
@click.option("--overwrite", is_flag=True, help="Replace an estimator that is there.")
def command(
    repo: str, output: Path | None, revision: str | None, offline: bool, overwrite: bool
) -> None:
    """Fetch the estimator OWNER/NAME from the Hugging Face hub, and verify every file against its
    manifest.

    A private or gated one needs a token in the environment variable HF_TOKEN. Commands that take an
    estimator also take OWNER/NAME (or OWNER/NAME@REVISION) itself; what was fetched once loads
    offline with HF_HUB_OFFLINE=1.
    """
    from ct_guard.store import pull_estimator

    folder = output or Path(repo.rpartition("/")[2])
    manifest = pull_estimator(repo, folder, revision=revision, offline=offline, overwrite=overwrite)
    verified = f"{len(manifest.files)} files verified"
    say(f"{folder}: {shown(manifest.name)}, {verified}", out=True)
