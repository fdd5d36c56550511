"""How far P(correct) is from the frequency of correct answers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ct_guard.errors import MissingExtraError, UsageError
from ct_guard.metrics._arrays import Floats, Ints, bin_index, check, check_p

__all__ = [
    "Binning",
    "ReliabilityCurve",
    "adaptive_ece",
    "debiased_squared_error",
    "ece",
    "ece_noise_floor",
    "paper_folded_ece",
    "reliability_curve",
    "smooth_ece",
]

Binning = Literal["width", "mass"]
"""`width`: bins of equal width on [0, 1]. `mass`: bins that hold about as many rows each, cut at
quantiles of p; rows with equal p are never separated."""


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """What a reliability diagram draws. One entry per bin that is not empty, ascending in p."""

    mean_p: Floats
    """Mean P(correct) of the bin's rows, shape (k,), in [0, 1]."""
    accuracy: Floats
    """Share of the bin's rows that are correct, shape (k,), in [0, 1]."""
    count: Ints
    """Rows in the bin, shape (k,), each >= 1."""


def reliability_curve(
    p: ArrayLike, correct: ArrayLike, *, bins: int = 10, binning: Binning = "width"
) -> ReliabilityCurve:
    """Mean P(correct) against accuracy, per bin; bins are [a, b), the last one [a, b].

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        bins: number of bins, >= 1; the empty ones are left out of the result.
        binning: equal width or equal mass.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1], bins < 1.
    """
    scores, labels = check(p, correct)
    index = bin_index(scores, _edges(scores, bins, binning))
    size = int(index.max()) + 1
    count = np.bincount(index, minlength=size)
    used = count > 0
    count = count[used]
    # Sorted sums, so that the order of the rows cannot change the last digit.
    order = np.argsort(scores, kind="stable")
    sum_p = np.bincount(index[order], weights=scores[order], minlength=size)[used]
    right = np.bincount(index[labels], minlength=size)[used]
    return ReliabilityCurve(np.clip(sum_p / count, 0.0, 1.0), right / count, count)


def ece(p: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error of P(correct), bins of equal width, the last one closed.

    The mean over rows of |accuracy - mean p| of their bin. Biased upwards on small samples: report
    `ece_noise_floor` beside it.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        bins: number of bins, >= 1.

    Returns:
        A number in [0, 1].

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1], bins < 1.

    Source: Naeini et al. 2015; Guo et al. 2017, equation 3, but for P(correct) instead of max(p).
    """
    return _weighted_gap(reliability_curve(p, correct, bins=bins))


def adaptive_ece(p: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error with bins of equal mass (quantiles of p, ties kept together).

    Arguments, range and errors as `ece`. Source: Nixon et al. 2019.
    """
    return _weighted_gap(reliability_curve(p, correct, bins=bins, binning="mass"))


def debiased_squared_error(p: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> float:
    """Squared calibration error with the sampling noise of each bin's accuracy taken off.

    The mean over rows of (accuracy - mean p)^2 - accuracy (1 - accuracy) / (rows - 1) of their bin,
    bins of equal mass; a bin with a single row counts 0, having no estimate of its noise.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        bins: number of bins, >= 1.

    Returns:
        About 0 for a calibrated predictor, and below 0 as often as above; at most 1.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1], bins < 1.

    Source: Kumar, Liang & Ma 2019 ("Verified uncertainty calibration"), section 5.
    """
    curve = reliability_curve(p, correct, bins=bins, binning="mass")
    noise = curve.accuracy * (1.0 - curve.accuracy) / np.maximum(curve.count - 1, 1)
    gap = np.where(curve.count > 1, (curve.accuracy - curve.mean_p) ** 2 - noise, 0.0)
    return float(np.average(gap, weights=curve.count))


def paper_folded_ece(p: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> float:
    """The ECE that Kapoor et al. 2024 report. For comparison with their tables only: use `ece`.

    It scores the confidence max(p, 1 - p) against "the judgement p > 1/2 was right", in bins
    [a, b). Two defects are kept:

    - Folding: where p is too high by the same amount on both sides of 1/2, the judgement is
      overconfident on one side and underconfident on the other, and both cancel in one bin.
    - A confidence of exactly 1.0 falls in no bin, and its error is not counted.

    Arguments and errors as `ece`.

    Returns:
        A number in [0, 1].
    """
    scores, labels = check(p, correct)
    edges = _edges(scores, bins, "width")
    confidence = np.maximum(scores, 1.0 - scores)
    judged_right = (scores > 0.5) == labels
    kept = confidence < 1.0
    if not kept.any():
        return 0.0
    index = bin_index(confidence[kept], edges)
    gap = np.bincount(index, weights=judged_right[kept] - confidence[kept])
    return float(np.abs(gap).sum() / scores.size)


def ece_noise_floor(p: ArrayLike, *, bins: int = 10, draws: int = 200, seed: int = 0) -> float:
    """The ECE that a perfectly calibrated predictor with exactly these p would show on average.

    Labels are drawn as Bernoulli(p) and scored with `ece`. An observed ECE near this floor is no
    evidence of miscalibration.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        bins: number of bins, as given to `ece`.
        draws: simulated label sets, >= 1.
        seed: of the simulation; the same arguments give the same number.

    Returns:
        A number in [0, 1], of the order of sqrt(bins / n).

    Raises:
        UsageError: an empty array, values outside [0, 1], bins < 1, draws < 1.
    """
    # Sorted, so that a row's draw depends on its p and not on its place.
    scores = np.sort(check_p(p))
    if draws < 1:
        raise UsageError(f"draws must be at least 1, not {draws}")
    rng = np.random.default_rng(seed)
    values = [ece(scores, rng.random(scores.size) < scores, bins=bins) for _ in range(draws)]
    return float(np.mean(values))


def smooth_ece(p: ArrayLike, correct: ArrayLike) -> float:
    """Calibration error by kernel regression instead of bins, at the bandwidth that equals it.

    Computed by `relplot`, the authors' library.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).

    Returns:
        A number in [0, 1].

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].
        MissingExtraError: relplot is not installed.

    Source: Blasiok & Nakkiran 2023, "Smooth ECE".
    """
    scores, labels = check(p, correct)
    try:
        from relplot.metrics import smECE  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingExtraError("the smooth ECE", "report") from error
    return float(smECE(scores, labels.astype(np.float64)))


def _edges(p: Floats, bins: int, binning: Binning) -> Floats:
    if bins < 1:
        raise UsageError(f"bins must be at least 1, not {bins}")
    if binning == "width":
        # arange / bins is exact where linspace is not: 3 / 10 is 0.3, linspace has 0.3 + 5e-17.
        return np.arange(bins + 1) / bins
    if binning == "mass":
        return np.quantile(p, np.arange(bins + 1) / bins)
    raise UsageError(f"binning must be 'width' or 'mass', not {binning!r}")


def _weighted_gap(curve: ReliabilityCurve) -> float:
    return float(np.average(np.abs(curve.accuracy - curve.mean_p), weights=curve.count))
