"""What a recipe of `ct-guard tune` and the options that change it come to."""

from typing import Any

import click

from ct_guard.tuning import RECIPES, TuningConfig

__all__ = ["check_options", "chosen_of", "config_of"]

SETTINGS = (
    "activation", "rank", "alpha", "dropout", "learning_rate", "batch_size", "accumulate", "steps",
    "warmup", "weight_decay", "loss", "pair_weight", "kl", "kappa", "gradient_checkpointing",
    "evaluate_every", "patience", "budget", "seed",
)  # fmt: skip
"""Options that are fields of the tuning configuration, of the same name."""
OF_PAPER: dict[str, Any] = {"quantization": "8bit", "calibrator": "temperature", "twins": 0.0}
OF_OTHERS: dict[str, Any] = {"quantization": "none", "calibrator": "platt", "twins": 0.2}


def chosen_of(recipe: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that are no field of the configuration: as given, else as in the recipe."""
    known = OF_PAPER if recipe == "paper" else OF_OTHERS
    return {name: known[name] if options[name] is None else options[name] for name in known}


def config_of(method: str, recipe: str, options: dict[str, Any]) -> TuningConfig:
    """Raises click.UsageError for settings that a method does not have."""
    settings = dict(RECIPES[recipe])
    if method == "lora_probe":
        settings["activation"] = "all"
    if options["activation"] == "query":
        settings["kappa"] = None  # a recipe's: with `query` there is nothing to weigh
    settings |= {name: options[name] for name in SETTINGS if options[name] is not None}
    if method == "probe" and options["kappa"]:
        raise click.UsageError(
            "--kappa weighs the divergence of a LoRA from the base model, and a probe has none:"
            " leave it out"
        )
    if (targets := options["targets"]) is not None:
        names = tuple(name.strip() for name in targets.split(",") if name.strip())
        settings["targets"] = names[0] if names == ("all-linear",) else names
    return TuningConfig(**settings)


def check_options(method: str, needed: tuple[str, ...], options: dict[str, Any]) -> None:
    """Raise click.UsageError for an option that the method, or the parts it needs, have no use
    for."""
    if options["label_orders"] == "both" and method != "query":
        raise click.UsageError(f"--label-orders both is for the method query, not for {method}")
    if options["question_prior"] and method != "hybrid":
        raise click.UsageError(f"--question-prior is for the method hybrid, not for {method}")
    for name in ("layer", "calibration"):
        if options[name] is not None and name not in needed:
            why = "--method hybrid" if name == "layer" else "a --calibrator"
            raise click.UsageError(f"--{name} is for {why}: leave it out")
