"""`ct-guard export`: estimators and base models in the formats of other engines."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from .progress import bytes_progress

if TYPE_CHECKING:
    from ct_guard.export import WeightType

__all__ = ["command"]


@click.group("export")
def command() -> None:
    """Write an estimator, or a base model, in the format of another engine."""


@command.command("gguf", short_help="for llama.cpp: an estimator and its base")
@click.argument("estimator")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="Directory for a copy that stands alone. Default: the files join what is there.",
)  # fmt: skip
@click.option(
    "--type", "kind", type=click.Choice(["f32", "f16", "q8_0"]), default=None,
    help="How the base's matrices are stored. Adapters are always f32. Default: f16, or as in the"
    " base's file where one is there.",
)  # fmt: skip
@click.option(
    "--base", type=click.Path(path_type=Path),
    help="The base model's directory or GGUF file, when the manifest names none on this machine.",
)  # fmt: skip
@click.option("--base-only", "only", flag_value="base", help="Export the base alone.")
@click.option("--adapter-only", "only", flag_value="adapter", help="Export the adapter alone.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def gguf(
    estimator: str,
    output: Path | None,
    kind: "WeightType | None",
    base: Path | None,
    only: Literal["base", "adapter"] | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Export ESTIMATOR (a directory, 'mini', …, or the directory of a base model) to GGUF.

    The base becomes model.gguf in its directory, the adapter adapter.gguf in the estimator's; of a
    base that is a GGUF file already, the adapter alone is written. Architectures: Llama, Mistral,
    Qwen 2 and 3, Gemma 3 and Phi-3. After converting, llama.cpp must read probe texts exactly as
    the original tokenizer does; if not, nothing is written.
    """
    from ct_guard.errors import MissingExtraError

    try:
        from ct_guard.export import export_estimator
    except ModuleNotFoundError as error:
        extra = "gguf" if error.name in ("gguf", "llama_cpp") else "torch"
        raise MissingExtraError("ct-guard export gguf", extra) from error
    with bytes_progress("writing", quiet=quiet) as report:
        made = export_estimator(
            estimator,
            output,
            base=base,
            kind=kind,
            only=only,
            overwrite=overwrite,
            on_progress=report,
        )
    for path in (made.base, made.adapter):
        if path is not None:
            note = " (was there already)" if path in made.kept else ""
            click.echo(f"{path}  {path.stat().st_size / 1e6:,.1f} MB{note}")
