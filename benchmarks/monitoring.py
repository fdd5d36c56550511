"""How often a monitor gives a false alarm, and how soon it finds a change.

`python -m benchmarks.monitoring` simulates streams whose truth is known, through the tests that
`ct_guard.monitoring` runs, and writes the tables into RESULTS.md (about two minutes of one core).
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from benchmarks.tables import between_markers, markdown
from ct_guard.monitoring import FALSE_ALARM
from ct_guard.monitoring.betting import limit
from ct_guard.monitoring.selective import RiskTest
from ct_guard.monitoring.shift import RankTest
from ct_guard.monitoring.stream import TESTED
from ct_guard.monitoring.watch import RISK, SCORES, STATUSES
from ct_guard.risk import bin_of, binned

__all__ = ["DISTRIBUTIONS", "Quiet", "false_alarms", "risk_delays", "shift_delays"]

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

RATES = {"scores": FALSE_ALARM * SCORES, "statuses": FALSE_ALARM * STATUSES,
         "risk": FALSE_ALARM * RISK}  # fmt: skip
NEVER = np.inf
SHARES = np.array([0.97, 0.01, 0.01, 0.002, 0.002, 0.002, 0.002, 0.002])
"""Of the status ok, and of the others."""


def _normal(rng: np.random.Generator, n: int) -> Floats:
    return np.asarray(expit(rng.normal(1.0, 1.5, n)))


def _tied(rng: np.random.Generator, n: int) -> Floats:
    return rng.choice(np.array([0.1, 0.4, 0.7, 0.85, 0.98]), n, p=[0.1, 0.1, 0.2, 0.2, 0.4])


def _saturated(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.6, 1.0, rng.beta(2.0, 1.0, n))


DISTRIBUTIONS: dict[str, Draw] = {
    "normal logits": _normal,
    "five values": _tied,
    "saturated": _saturated,
}


@dataclass(frozen=True)
class Quiet:
    """Shares of streams with a false alarm, by test, and with any."""

    streams: int
    shares: dict[str, float]
    any: float

    def most(self, rate: float) -> float:
        """The share that is within two standard errors of a rate."""
        return float(rate + 2 * np.sqrt(rate * (1 - rate) / self.streams))


def false_alarms(
    draw: Draw, *, sample: int, scores: int, labels: int, alpha: float, streams: int, seed: int = 0
) -> Quiet:
    """Streams in which nothing changes, with an error rate of exactly alpha among the answered: the
    most that the certificate allows."""
    raised = {name: np.zeros(streams, np.bool_) for name in RATES}
    for at in range(streams):
        rng = np.random.default_rng([seed, at])
        known, new = draw(rng, sample), draw(rng, scores)
        test = RankTest(counts=binned(known), salt=at)
        raised["scores"][at] = _first(test.observe(bin_of(new))[0], RATES["scores"]) < NEVER
        statuses = rng.choice(len(SHARES), sample + scores, p=SHARES)
        for status in range(1, len(TESTED) + 1):
            is_it = (statuses == status).astype(np.intp)
            such = int(is_it[:sample].sum())
            test = RankTest(counts=(sample - such, such), salt=at)
            wealth, _ = test.observe(is_it[sample:], shares=True)
            raised["statuses"][at] |= _first(wealth, RATES["statuses"] / len(TESTED)) < NEVER
        wealth, _ = RiskTest(alpha=alpha).observe(
            rng.random(labels) < alpha, goal=limit(RATES["risk"])
        )
        raised["risk"][at] = _first(wealth, RATES["risk"]) < NEVER
    together = np.any(list(raised.values()), axis=0)
    return Quiet(streams, {k: float(v.mean()) for k, v in raised.items()}, float(together.mean()))


def risk_delays(
    alpha: float, before: float, after: float, *, quiet: int, streams: int, seed: int = 1
) -> Floats:
    """Labels after the change until the certificate is void, shape (streams,), NEVER where 500 do
    not suffice; NaN where it was void before the change."""
    delays = np.empty(streams)
    for at in range(streams):
        rng = np.random.default_rng([seed, at])
        wrong = np.concatenate((rng.random(quiet) < before, rng.random(500) < after))
        wealth, _ = RiskTest(alpha=alpha).observe(wrong, goal=limit(RATES["risk"]))
        delays[at] = _delay(wealth, RATES["risk"], quiet)
    return delays


def shift_delays(
    shift: float, *, sd: float, sample: int, quiet: int, streams: int, seed: int = 2
) -> Floats:
    """As `risk_delays`, of scores that shift in the logit, within 1,000 of them."""
    delays = np.empty(streams)
    for at in range(streams):
        rng = np.random.default_rng([seed, at])
        known, new = rng.normal(1.0, sd, sample), rng.normal(1.0, sd, quiet + 1000)
        new[quiet:] += shift
        test = RankTest(counts=binned(expit(known)), salt=at)
        wealth, _ = test.observe(bin_of(expit(new)))
        delays[at] = _delay(wealth, RATES["scores"], quiet)
    return delays


def _first(wealth: Floats, rate: float) -> float:
    over = np.flatnonzero(wealth >= limit(rate))
    return float(over[0]) if over.size else NEVER


def _delay(wealth: Floats, rate: float, quiet: int) -> float:
    first = _first(wealth, rate)
    return np.nan if first < quiet else first - quiet + 1


class Found(NamedTuple):
    """How many of the streams were found, and how soon."""

    share: float
    median: float
    tenth: float
    """The delay that all but a tenth are found within."""

    @classmethod
    def of(cls, delays: Floats) -> "Found":
        known = delays[~np.isnan(delays)]
        at = np.sort(known)
        return cls(
            float(np.isfinite(known).mean()),
            float(at[len(at) // 2]),
            float(at[int(np.ceil(0.9 * len(at))) - 1]),
        )

    @property
    def cells(self) -> list[str]:
        return [f"{self.share:.1%}", *(_count(one) for one in (self.median, self.tenth))]


def _count(delay: float) -> str:
    return f"{delay:.0f}" if np.isfinite(delay) else "not found"


def _quiet_rows(streams: int) -> Iterator[list[str]]:
    for name, draw in DISTRIBUTIONS.items():
        found = false_alarms(
            draw, sample=1000, scores=1000, labels=2000, alpha=0.1, streams=streams
        )
        row = [name, "1,000", *(f"{found.shares[test]:.1%}" for test in RATES)]
        print(*row, found.any, flush=True)
        yield [*row, f"{found.any:.1%}"]


def _risk_rows(streams: int) -> Iterator[list[str]]:
    for alpha in (0.05, 0.1, 0.2):
        for before, quiet in ((1.0, 0), (1.0, 500), (0.7, 0), (0.7, 500)):
            delays = risk_delays(
                alpha, before * alpha, 2 * before * alpha, quiet=quiet, streams=streams
            )
            change = f"{before * alpha:.3g} to {2 * before * alpha:.3g}"
            yield [f"{alpha:g}", change, f"{quiet:,}", *Found.of(delays).cells]


def _shift_rows(streams: int) -> Iterator[list[str]]:
    for sd, sample, quiet in (
        (1.0, 1000, 0), (1.5, 1000, 0), (2.0, 1000, 0), (1.5, 300, 0), (1.5, 5000, 0),
        (1.5, 1000, 2000),
    ):  # fmt: skip
        for shift in (-0.6, 0.6):
            delays = shift_delays(shift, sd=sd, sample=sample, quiet=quiet, streams=streams)
            row = [f"{shift:+g}", f"{sd:g}", f"{sample:,}", f"{quiet:,}", *Found.of(delays).cells]
            print(*row, flush=True)
            yield row


def main() -> None:
    reading = argparse.ArgumentParser(description=__doc__)
    reading.add_argument("--streams", type=int, default=1000)
    reading.add_argument("--output", type=Path, default=Path(__file__).parent / "RESULTS.md")
    chosen = reading.parse_args()
    stated = ", ".join(f"{name} {rate:.2%}" for name, rate in RATES.items())
    error = 100 * np.sqrt(FALSE_ALARM * (1 - FALSE_ALARM) / chosen.streams)
    delays = ["found", "median delay", "90% within"]
    text = [
        "## Monitors of certificates",
        "",
        f"`python -m benchmarks.monitoring --streams {chosen.streams}`: simulated streams through"
        " the tests of `ct_guard.monitoring`, at their defaults.",
        "",
        f"False alarms over whole streams of 1,000 answers and 2,000 outcomes in which nothing"
        f" changes, with as many errors as alpha = 0.1 allows. Stated: {stated}, any"
        f" {FALSE_ALARM:.0%} (standard error of {chosen.streams:,} streams at that rate:"
        f" {error:.1f} points).",
        "",
        markdown(["scores", "sample", *RATES, "any"], list(_quiet_rows(chosen.streams))),
        "Outcomes of answers above the threshold until the certificate is void, within 500 of them"
        " after the change:",
        "",
        markdown(
            ["alpha", "error rate", "quiet outcomes before", *delays],
            list(_risk_rows(chosen.streams)),
        ),
        "Scores without labels until the alarm, within 1,000 of them after a shift in the logit:",
        "",
        markdown(
            ["shift", "SD of the logits", "sample", "quiet scores before", *delays],
            list(_shift_rows(min(chosen.streams, 200))),
        ),
    ]
    between_markers(chosen.output, "monitoring", "\n".join(text))


if __name__ == "__main__":
    main()
