"""What is tuned for the bench: the committed way, and others that differ in one setting each.

Every `Attempt` is tuned on the rows of the tuning split alone.
"""

from dataclasses import dataclass, replace

from ct_guard.tuning import TuningConfig
from examples.mini_world.estimators import TUNING

__all__ = [
    "ATTEMPTS",
    "CURVE",
    "EVERYWHERE",
    "LORA_PROBE",
    "PROBE",
    "QUERY",
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


QUERY = Attempt("query", "committed: five answers, pairwise term", TUNING)
EVERYWHERE = Attempt("all", "the adapter on all tokens", replace(TUNING, activation="all"))
WITHOUT_KL = Attempt(
    "all-without-kl",
    "the adapter on all tokens, no divergence from the base",
    replace(TUNING, activation="all", kappa=0.0),
)
PROBE = Attempt("probe", "probe", replace(TUNING, pair_weight=0.0), "probe")
LORA_PROBE = Attempt("lora-probe", "lora_probe", replace(TUNING, activation="all"), "lora_probe")

ATTEMPTS = (
    Attempt("greedy", "greedy answers only", replace(TUNING, pair_weight=0.0), greedy_only=True),
    Attempt("samples", "five answers", replace(TUNING, pair_weight=0.0)),
    QUERY,
    Attempt("pairs-3", "pairwise term times 3", replace(TUNING, pair_weight=3.0)),
    Attempt("long", "twice the steps", replace(TUNING, steps=800)),
    Attempt(
        "slow", "half the learning rate, twice the steps",
        replace(TUNING, learning_rate=1e-3, steps=800),
    ),
    EVERYWHERE,
)  # fmt: skip
"""Ways to make the query see the answer, and not the question alone."""

CURVE = tuple(
    Attempt(f"rows-{rows}", f"{rows:,} rows", replace(TUNING, evaluate_every=25), rows=rows)
    for rows in (100, 300, 1000, 3000)
)
"""How many graded rows it takes."""
