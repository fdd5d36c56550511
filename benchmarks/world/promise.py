"""Is the certificate's promise kept? On the test, beyond it, and over many draws."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import markdown
from ct_guard.risk import certify
from ct_guard.store import MINI, load_manifest
from tools.mini_world.answers import HELD_OUT_PARTS, Row
from tools.mini_world.measure import Behind

from .columns import Column, Floats, Rows
from .report import Slice

__all__ = ["promise", "share_broken"]

DRAWS = 1000


def promise(hybrid: Column, rows: Rows) -> list[str]:
    """What the committed estimator's certified threshold lets through, of this bench's rows."""
    certificate = load_manifest(MINI / "hybrid").certificates[0]
    threshold, alpha, delta = certificate.threshold, certificate.alpha, certificate.delta
    if threshold is None:
        return [f"No threshold could be certified: {certificate.reason}", ""]
    test, held_out = rows.test.rows, rows.held_out.rows
    greedy = Slice.of("test", 0, test, lambda row: row["sample"] == 0)
    slices = [
        greedy,
        Slice.of(
            "misconceptions", 0, test, lambda row: row["sample"] == 0 and row["misconception"]
        ),
        *(_greedy_of(part, held_out) for part in HELD_OUT_PARTS[:-1]),
        Slice.of(
            f"held-out {HELD_OUT_PARTS[-1]}",
            1,
            held_out,
            lambda row: row["held_out"] == HELD_OUT_PARTS[-1],
        ),
    ]
    cells = [
        [part.name, *Behind.of(part.p(hybrid), threshold, part.correct).cells] for part in slices
    ]
    broken = share_broken(greedy.p(hybrid), greedy.correct, certificate.n, alpha, delta)
    return [
        f"Behind the certified threshold of `mini`, {threshold:.3f} (at most {alpha:.0%} wrong with"
        f" probability {1 - delta:.0%}, promised for greedy answers to questions like those of the"
        " test), greedy answers (sampled ones for the phrasing, which no greedy answer has):",
        "",
        markdown(["slice", "answers", "answered", "wrong among the answered"], cells),
        f"The promise is one about draws of certification rows. Of {DRAWS:,} draws of"
        f" {certificate.n:,} rows from the test's greedy answers, {broken:.1%} gave a threshold"
        f" behind which more than {alpha:.0%} of all of them are wrong ({delta:.0%} are allowed).",
        "",
    ]


def share_broken(
    p: Floats, correct: NDArray[np.bool_], n: int, alpha: float, delta: float, seed: int = 0
) -> float:
    """Share of draws of n rows (with replacement) whose certified threshold has a risk above alpha
    on the rows that they were drawn from, where the risk is known."""
    rng = np.random.default_rng(seed)
    broken = 0
    for _ in range(DRAWS):
        drawn = rng.integers(0, len(p), n)
        threshold = certify(p[drawn], correct[drawn], alpha=alpha, delta=delta).threshold
        broken += threshold is not None and float((~correct[p >= threshold]).mean()) > alpha
    return broken / DRAWS


def _greedy_of(held_out: str, rows: Sequence[Row]) -> Slice:
    return Slice.of(
        f"held-out {held_out}",
        1,
        rows,
        lambda row: row["sample"] == 0 and row["held_out"] == held_out,
    )
