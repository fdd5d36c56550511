"""What is tuned for the bench: the committed way, and others that differ in one setting each.

Every `Attempt` is tuned on the rows of the tuning split alone.
"""

from dataclasses import dataclass, replace

from ct_guard.tuning import TuningConfig
from tools.mini_world.estimators import TUNING

__all__ = [
    "ATTEMPTS",
    "CURVE",
    "EVERYWHERE",
    "LORA_PROBE",
    "ORDERS",
    "PROBE",
    "QUERY",
    "SAMPLES",
    "WITHOUT_KL",
    "Attempt",
]


@dataclass(frozen=True)
class Attempt:
    """One way to tune."""

    slug: str
    """Names its folders."""
    what: str
    config: TuningConfig
    method: str = "query"
    greedy_only: bool = False
    """One answer a question instead of five."""
    rows: int | None = None
    """Only so many graded rows, all answers to a question together."""


QUERY = Attempt("query", "committed: five answers, pairwise term times 0.3, 1,600 steps", TUNING)
SHORT = replace(TUNING, steps=400, evaluate_every=100)
LONG = replace(TUNING, steps=800, evaluate_every=100, pair_weight=1.0)
PLAIN = replace(SHORT, pair_weight=0.0)
SAMPLES = Attempt("samples", "five answers, 400 steps", PLAIN)
ORDERS = Attempt(
    "orders", "the same, asked in both label orders", replace(PLAIN, label_orders="both")
)
EVERYWHERE = Attempt("all", "the same, the adapter on all tokens", replace(PLAIN, activation="all"))
WITHOUT_KL = Attempt(
    "all-without-kl",
    "the same, no divergence from the base",
    replace(PLAIN, activation="all", kappa=0.0),
)
PROBE = Attempt("probe", "probe", PLAIN, "probe")
LORA_PROBE = Attempt("lora-probe", "lora_probe", replace(PLAIN, activation="all"), "lora_probe")

ATTEMPTS = (
    Attempt(
        "greedy", "greedy answers only, 400 steps", PLAIN, greedy_only=True,
    ),
    SAMPLES,
    EVERYWHERE,
    Attempt("pairs-1", "pairwise term, 400 steps", replace(SHORT, pair_weight=1.0)),
    Attempt("pairs-3", "pairwise term times 3, 400 steps", replace(SHORT, pair_weight=3.0)),
    Attempt("long", "pairwise term, 800 steps", LONG),
    Attempt(
        "slow", "pairwise term, 800 steps, half the learning rate",
        replace(LONG, learning_rate=1e-3),
    ),
    QUERY,
)  # fmt: skip
"""Ways to make the query see the answer, and not the question alone."""

CURVE = tuple(
    Attempt(
        f"rows-{rows}", f"{rows:,} rows", replace(TUNING, steps=800, evaluate_every=25), rows=rows
    )
    for rows in (100, 300, 1000, 3000)
)
"""How many graded rows it takes, in the steps of the recipe `small`."""
