"""The settings of `tune`: what a recipe, and the fields that change it, come to."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ct_guard.backends import Activation, Backend
from ct_guard.datasets.answerers import Style, style_of
from ct_guard.errors import FieldError
from ct_guard.methods import METHODS
from ct_guard.query import ContextStyle
from ct_guard.store import EMBEDDED

from .settings import Bits, bits_of

if TYPE_CHECKING:
    from ct_guard.tuning import TuningConfig

__all__ = ["HELD_OUT", "OF_PAPER", "TuneConfig", "check_settings", "settings_of", "style_for"]

HELD_OUT = 0.15
"""Share of the questions of each part that is drawn."""
SETTINGS = (
    "activation", "rank", "alpha", "dropout", "start", "learning_rate", "batch_size", "accumulate",
    "steps", "warmup", "weight_decay", "loss", "pair_weight", "kl", "kappa",
    "gradient_checkpointing",
    "evaluate_every", "patience", "keep", "label_orders", "budget", "seed",
)  # fmt: skip
"""Fields of the tuning configuration, of the same name."""
OF_LORA = (
    "activation", "rank", "alpha", "dropout", "targets", "start", "kl", "kappa",
    "gradient_checkpointing",
)  # fmt: skip
"""Fields of the LoRA and of its divergence from the base: a probe has none."""
OF_PAPER: dict[str, Any] = {"quantization": "8bit", "calibrator": "temperature"}
OF_OTHERS: dict[str, Any] = {"quantization": "none", "calibrator": "platt"}


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """What is tuned, and how. None, but where it says otherwise: as in the recipe.

    `ct-guard tune --help` says what each field does; `TuningConfig`, what its values may be.
    """

    base: str
    """The language model underneath: a directory, a GGUF file, a hub id,
    `hub:owner/name/FILE.gguf`, or `mini`."""
    method: Literal["query", "probe", "lora_probe", "hybrid"] = "query"
    recipe: Literal["default", "small", "paper"] = "default"
    validation: str | Path | None = None
    """Graded rows of a part, None: drawn from the source; so are the next two."""
    calibration: str | Path | None = None
    layer: str | Path | None = None
    held_out: float | None = None
    """Share of the source's questions for each part that is drawn, in (0, 0.3]; None: 0.15."""
    calibrator: str | None = None
    """Kind; `none`: the estimator is left uncalibrated."""
    twins: float = 0.0
    """Share of the tuning rows that get a twin that forges, in [0, 1]."""
    fields: bool = False
    """Learn from the grades of fields, too (column `fields_correct`), and calibrate them."""
    question_prior: bool = False
    style: Style = "auto"
    activation: Activation | None = None
    label_orders: Literal["fixed", "both"] | None = None
    rank: int | None = None
    alpha: int | None = None
    dropout: float | None = None
    targets: str | None = None
    """`all-linear`, or names with commas."""
    start: Literal["zero", "probe"] | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    accumulate: int | None = None
    steps: int | None = None
    warmup: int | None = None
    weight_decay: float | None = None
    loss: Literal["cross_entropy", "brier"] | None = None
    pair_weight: float | None = None
    kl: Literal["jsd", "forward", "reverse"] | None = None
    kappa: float | None = None
    gradient_checkpointing: bool | None = None
    evaluate_every: int | None = None
    patience: int | None = None
    keep: Literal["best", "last"] | None = None
    budget: int | None = None
    """Most tokens of a row; None: what the base reads."""
    seed: int | None = None
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    quantization: Bits | None = None
    cache_gb: float | None = None
    """Memory for what the base has read, in 10^9 bytes; None: a quarter of what is free."""
    plot: str | Path | None = None
    """The curves, as .png or .svg."""
    resume: bool = False
    overwrite: bool = False

    @property
    def bits(self) -> Literal["8bit", "4bit"] | None:
        """What the base is loaded in; None: as it is."""
        return bits_of(self._chosen("quantization"))

    @property
    def fitted(self) -> str | None:
        """The kind of calibrator that is fitted, if one is."""
        kind: str = self._chosen("calibrator")
        return None if kind == "none" else kind

    def _chosen(self, name: str) -> Any:
        given = getattr(self, name)
        return (OF_PAPER if self.recipe == "paper" else OF_OTHERS)[name] if given is None else given


def style_for(backend: Backend, config: TuneConfig) -> ContextStyle:
    """The style that is meant: what `auto` comes to on a chat model depends on the recipe. Raises
    MismatchError for a chat style where the model has no chat template."""
    found = style_of(backend, config.style)
    if config.style == "auto" and config.recipe == "paper" and found == "chat_turn":
        return "chat_user"
    return found


def settings_of(config: TuneConfig) -> "TuningConfig":
    """What the training loop is given. Raises UsageError for settings that make no sense."""
    from ct_guard.tuning import RECIPES, TuningConfig

    settings = {**RECIPES[config.recipe], "activation": _activation(config)}
    if settings["activation"] == "query":
        settings["kappa"] = None  # a recipe's: with `query` there is nothing to weigh
    if settings["activation"] == "all" or config.label_orders == "both":
        settings["start"] = "zero"  # a recipe's, again
    given = {name: getattr(config, name) for name in SETTINGS}
    settings |= {name: value for name, value in given.items() if value is not None}
    if config.targets is not None:
        names = tuple(name.strip() for name in config.targets.split(",") if name.strip())
        settings["targets"] = names[0] if names == ("all-linear",) else names
    return TuningConfig(**settings)


def check_settings(config: TuneConfig, needed: tuple[str, ...]) -> None:
    """Raise FieldError for a field that the method, its activation, the base, or the parts that it
    `needed` have no use for."""
    method, spec = config.method, METHODS[config.method]
    if config.label_orders == "both" and not spec.both_orders:
        raise FieldError(f"`label_orders` both is for the method query, not for {method}")
    if config.fields and (
        spec.learner != "query" or _activation(config) != "query" or config.label_orders == "both"
    ):
        raise FieldError(
            "`fields` are asked about by queries of their own: it goes with `method` query or"
            " hybrid, `activation` query, and `label_orders` fixed"
        )
    if config.question_prior and spec.prior == "none":
        raise FieldError(f"`question_prior` is for the method hybrid, not for {method}")
    for name in () if spec.adapter else OF_LORA:
        if getattr(config, name) is not None:
            raise FieldError(
                f"`{name}` is about a LoRA, and the method {method} has none: leave it out, or use"
                " `method` lora_probe"
            )
    if config.kl is not None:
        if _activation(config) == "query":
            raise FieldError(
                f"`kl` is for activation all: the method {method} with activation query leaves the"
                " base's distribution as it is, by construction: leave it out"
            )
        if config.kappa == 0:
            raise FieldError("`kl` is of no use with `kappa` 0: leave it out")
    if spec.acts_on_answers and config.activation == "query":
        raise FieldError(
            f"`activation` query is not for {method}, which reads the answer through its LoRA:"
            " leave it out"
        )
    if config.revision is not None and (config.base == EMBEDDED or Path(config.base).is_dir()):
        raise FieldError(
            f"`revision` is for a base of the hub's, not for {config.base}: leave it out"
        )
    if config.held_out is not None and all(getattr(config, name) is not None for name in needed):
        raise FieldError(
            "`held_out` is for parts that are drawn, and all are given as files: leave it out"
        )
    for name in ("layer", "calibration"):
        if getattr(config, name) is not None and name not in needed:
            why = "`method` hybrid" if name == "layer" else "a `calibrator`"
            raise FieldError(f"`{name}` is for {why}: leave it out")


def _activation(config: TuneConfig) -> Activation:
    """As given, else what the method needs, else the recipe's."""
    from ct_guard.tuning import RECIPES

    if config.activation is not None or METHODS[config.method].acts_on_answers:
        return config.activation or "all"
    of_recipe: Activation = RECIPES[config.recipe].get("activation", "query")
    return of_recipe
