"""Settings of a tuning run, and recipes of them by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from ct_guard.backends import Activation
from ct_guard.errors import UsageError

__all__ = ["RECIPES", "Divergence", "LabelLoss", "Start", "TuningConfig"]

LabelLoss = Literal["cross_entropy", "brier"]
Divergence = Literal["jsd", "forward", "reverse"]
Start = Literal["zero", "probe"]


@dataclass(frozen=True)
class TuningConfig:
    """Settings of one tuning run; equal settings and seed give equal weights on one machine.

    Raises UsageError for settings that make no sense, alone or together.
    """

    activation: Activation = "query"
    rank: int = 8
    alpha: int = 32
    dropout: float = 0.1
    targets: tuple[str, ...] | str | None = None
    """Linear layers that get a LoRA; None is PEFT's default for the architecture (q and v),
    "all-linear" is every one but the output."""
    start: Start = "zero"
    """What a LoRA adds before the first step: nothing, or what a linear probe of the base says (see
    `warm_start`), for activation `query` in one order of the labels. A LoRA that does not act on
    the last layer to write to the hidden state starts from nothing."""
    learning_rate: float = 1e-4
    batch_size: int = 32
    """Rows a step, over all processes; all answers to one question come together."""
    accumulate: int = 1
    """Parts that a process reads its rows of a step in, one after the other: memory falls, the
    step stays the same."""
    steps: int = 500
    warmup: int = 20
    weight_decay: float = 0.0
    loss: LabelLoss = "cross_entropy"
    pair_weight: float = 0.0
    """Weight of the pairwise term beside the loss of the labels."""
    kl: Divergence = "jsd"
    kappa: float | None = None
    """Weight of the divergence from the base model over the answer's tokens; None is 1.0 for
    activation `all`. With `query` the base model's distribution over them stays untouched by
    construction, and there is no such term."""
    gradient_checkpointing: bool = False
    """Only for activation `all`: activations are computed twice instead of kept."""
    evaluate_every: int = 50
    """Steps between two evaluations on the validation rows, each followed by a checkpoint."""
    patience: int = 6
    """Evaluations without a better validation log loss before tuning stops; 0: it never stops
    early."""
    keep: Literal["best", "last"] = "best"
    """The weights of which evaluation are saved: the best by validation log loss, or the last, for
    which a run goes to its end (`patience` 0)."""
    label_orders: Literal["fixed", "both"] = "fixed"
    """`both`, for the method `query`: it is asked with its labels exchanged as well, and learns
    from the average of the two logits."""
    budget: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rank", "alpha", "batch_size", "accumulate", "steps", "evaluate_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)} and must be at least 1")
        for name in ("warmup", "weight_decay", "pair_weight", "kappa", "patience"):
            value = getattr(self, name) or 0
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value} and must be finite and not negative")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout} and must be in [0, 1)")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(
                f"learning_rate is {self.learning_rate} and must be finite and above 0"
            )
        if self.keep == "last" and self.patience:
            raise UsageError(
                f"the last step is kept, and with patience {self.patience} a run may stop before"
                " it: use patience 0, or keep the best"
            )
        if self.activation == "query" and self.gradient_checkpointing:
            raise UsageError(
                "gradient checkpointing drops the cache that activation 'query' is tuned over:"
                " leave it out (it needs no more than the query's tokens), or use activation 'all'"
            )
        if self.activation == "query" and self.kappa:
            raise UsageError(
                "with activation 'query' the base model's distribution is untouched by"
                " construction: leave kappa out, or use activation 'all'"
            )

        if self.start == "probe" and (self.activation == "all" or self.label_orders == "both"):
            raise UsageError(
                "a LoRA starts as a linear probe with activation 'query' and label_orders 'fixed':"
                " use start 'zero'"
            )

    @property
    def divergence_weight(self) -> float:
        """What `kappa` comes to: 0 for activation `query`."""
        if self.activation == "query":
            return 0.0
        return 1.0 if self.kappa is None else self.kappa


RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": MappingProxyType({"targets": "all-linear", "start": "probe"}),
        "paper": MappingProxyType(
            {
                "activation": "all", "rank": 8, "alpha": 32, "dropout": 0.1, "targets": None,
                "learning_rate": 1e-4, "batch_size": 4, "steps": 5000, "warmup": 0,
                "weight_decay": 0.0, "loss": "cross_entropy", "pair_weight": 0.0, "kl": "jsd",
                "kappa": 1.0, "patience": 0, "keep": "last",
            }
        ),
        "small": MappingProxyType(
            {
                "rank": 16, "alpha": 32, "dropout": 0.2, "targets": "all-linear",
                "learning_rate": 2e-3, "batch_size": 40, "steps": 800, "pair_weight": 0.3,
            }
        ),
    }
)  # fmt: skip
"""`paper`: the reference's settings (Kapoor et al. 2024, appendix). `small`: for bases of a few
million weights, such as the embedded one."""
