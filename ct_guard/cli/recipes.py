"""What a recipe of `ct-guard tune` and the options that change it come to."""

from pathlib import Path
from typing import Any

import click

from ct_guard.adapters import EMBEDDED
from ct_guard.backends import Activation, Backend
from ct_guard.datasets.answerers import Style, style_of
from ct_guard.methods import METHODS
from ct_guard.query import ContextStyle
from ct_guard.tuning import RECIPES, TuningConfig

__all__ = ["check_options", "chosen_of", "config_of", "style_for"]

SETTINGS = (
    "activation", "rank", "alpha", "dropout", "learning_rate", "batch_size", "accumulate", "steps",
    "warmup", "weight_decay", "loss", "pair_weight", "kl", "kappa", "gradient_checkpointing",
    "evaluate_every", "patience", "keep", "label_orders", "budget", "seed",
)  # fmt: skip
"""Options that are fields of the tuning configuration, of the same name."""
OF_LORA = (
    "activation", "rank", "alpha", "dropout", "targets", "kl", "kappa", "gradient_checkpointing",
)  # fmt: skip
"""Options of the LoRA and of its divergence from the base: a probe has none."""
OF_PAPER: dict[str, Any] = {"quantization": "8bit", "calibrator": "temperature", "twins": 0.0}
OF_OTHERS: dict[str, Any] = {"quantization": "none", "calibrator": "platt", "twins": 0.2}


def chosen_of(recipe: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that are no field of the configuration: as given, else as in the recipe."""
    known = OF_PAPER if recipe == "paper" else OF_OTHERS
    return {name: known[name] if options[name] is None else options[name] for name in known}


def style_for(backend: Backend, recipe: str, style: Style) -> ContextStyle:
    """The style that is meant: what `auto` comes to on a chat model depends on the recipe. Raises
    MismatchError for a chat style where the model has no chat template."""
    found = style_of(backend, style)
    if style == "auto" and recipe == "paper" and found == "chat_turn":
        return "chat_user"
    return found


def config_of(method: str, recipe: str, options: dict[str, Any]) -> TuningConfig:
    """Raises UsageError for settings that make no sense."""
    settings = {**RECIPES[recipe], "activation": _activation(method, recipe, options)}
    if settings["activation"] == "query":
        settings["kappa"] = None  # a recipe's: with `query` there is nothing to weigh
    settings |= {name: options[name] for name in SETTINGS if options[name] is not None}
    if (targets := options["targets"]) is not None:
        names = tuple(name.strip() for name in targets.split(",") if name.strip())
        settings["targets"] = names[0] if names == ("all-linear",) else names
    return TuningConfig(**settings)


def check_options(
    method: str, recipe: str, base: str, needed: tuple[str, ...], options: dict[str, Any]
) -> None:
    """Raise click.UsageError for an option that the method, its activation, the base, or the parts
    it needs have no use for."""
    spec = METHODS[method]
    if options["label_orders"] == "both" and not spec.both_orders:
        raise click.UsageError(f"--label-orders both is for the method query, not for {method}")
    if options["question_prior"] and spec.prior == "none":
        raise click.UsageError(f"--question-prior is for the method hybrid, not for {method}")
    for name in () if spec.adapter else OF_LORA:
        if options[name] is not None:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is about a LoRA, and the method {method} has none:"
                " leave it out, or use --method lora_probe"
            )
    if options["kl"] is not None:
        if _activation(method, recipe, options) == "query":
            raise click.UsageError(
                f"--kl is for activation all: the method {method} with activation query leaves the"
                " base's distribution as it is, by construction: leave it out"
            )
        if options["kappa"] == 0:
            raise click.UsageError("--kl is of no use with --kappa 0: leave it out")
    if spec.acts_on_answers and options["activation"] == "query":
        raise click.UsageError(
            f"--activation query is not for {method}, which reads the answer through its LoRA:"
            " leave it out"
        )
    if options["revision"] is not None and (base == EMBEDDED or Path(base).is_dir()):
        raise click.UsageError(
            f"--revision is for a base of the hub's, not for {base}: leave it out"
        )
    if options["held_out"] is not None and all(options[name] is not None for name in needed):
        raise click.UsageError(
            "--held-out is for parts that are drawn, and all are given as files: leave it out"
        )
    for name in ("layer", "calibration"):
        if options[name] is not None and name not in needed:
            why = "--method hybrid" if name == "layer" else "a --calibrator"
            raise click.UsageError(f"--{name} is for {why}: leave it out")


def _activation(method: str, recipe: str, options: dict[str, Any]) -> Activation:
    """As given, else what the method needs, else the recipe's."""
    given: Activation | None = options["activation"]
    if given is not None or METHODS[method].acts_on_answers:
        return given or "all"
    of_recipe: Activation = RECIPES[recipe].get("activation", "query")
    return of_recipe
