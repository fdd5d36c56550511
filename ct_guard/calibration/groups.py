"""Calibration within groups: each group's slope and shift on the logit scale, shrunk to the whole.

A calibrator that is right on average can be wrong in a domain, a language or for a tenant. Wanted
is P(correct) that is calibrated in each of these groups, which may overlap (multicalibration:
Hebert-Johnson, Kim, Reingold & Rothblum 2018, ICML, definition 2). Their algorithm mends one group
after the other; here a logistic model has a slope and a shift for every group, all fitted at once
under a Gaussian prior around "as the whole" (empirical Bayes: the precision of the prior,
`penalty`, is chosen by cross-validation). A group with few rows hardly moves, one without not at
all.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.special import expit, logit  # type: ignore[import-untyped]

from ct_guard.errors import CalibrationError
from ct_guard.records import GroupCorrections

__all__ = ["EDGE", "Within", "apply_groups", "fit_groups"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

Within = Mapping[str, Sequence[str | None]]
"""By column, the value of each of n rows; None: it has none."""

EDGE = 1e-6
"""How near 0 and 1 a probability is read: calibrators in steps give these themselves."""
STEEPEST, FARTHEST = 2.0, 8.0
"""Of the logarithm of a slope and of a shift that are fitted: beyond, no group is believed."""
LIMIT = 30.0
"""Of corrected logits: their sigma is inside (0, 1) for a float."""


def fit_groups(
    p: Floats, correct: Bools, within: Within, *, penalty: float
) -> tuple[GroupCorrections, ...]:
    """A slope and a shift for every value of every column of `within`, by penalised likelihood.

    Args:
        p: calibrated P(correct) of n rows, shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        within: the groups that the rows are in.
        penalty: above 0; half of it times the squares of log slopes and shifts is added to the log
            loss, in nats, summed over rows.

    Raises:
        CalibrationError: a penalty that is not above 0, or lengths that differ.
    """
    if not penalty > 0:
        raise CalibrationError(f"a penalty must be above 0, not {penalty!r}")
    if any(len(values) != len(p) for values in within.values()) or len(correct) != len(p):
        raise CalibrationError("groups, labels and probabilities must be of the same rows")
    members = [_members(values) for values in within.values()]
    sizes = [len(names) for names, _ in members]
    z, target = _read(p), correct.astype(np.float64)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slopes, shifts = (np.split(half, np.cumsum(sizes)[:-1]) for half in np.split(parameters, 2))
        stretched = z * np.exp(_spread(slopes, members, len(z)))
        x = stretched + _spread(shifts, members, len(z))
        residual = expit(x) - target
        gradient = [_gathered(residual * stretched, members), _gathered(residual, members)]
        value = float(np.sum(np.logaddexp(0.0, x) - target * x))
        value += penalty / 2 * float(parameters @ parameters)
        return value, np.concatenate(gradient) + penalty * parameters

    count = sum(sizes)
    if not count:
        return ()
    bounds = [(-STEEPEST, STEEPEST)] * count + [(-FARTHEST, FARTHEST)] * count
    found = scipy.optimize.minimize(
        loss, np.zeros(2 * count), jac=True, method="L-BFGS-B", bounds=bounds
    ).x
    slopes, shifts = (np.split(half, np.cumsum(sizes)[:-1]) for half in np.split(found, 2))
    return tuple(
        GroupCorrections(
            column=column,
            slopes=_by_name(names, slopes[at]),
            shifts=_by_name(names, shifts[at]),
            penalty=penalty,
        )
        for at, (column, (names, _)) in enumerate(zip(within, members, strict=True))
    )


def apply_groups(corrections: Sequence[GroupCorrections], p: Floats, within: Within) -> Floats:
    """P(correct) within groups, shape (n,). Rows in no known group keep their p as it is; others
    are in (0, 1), and within one group never decrease in p."""
    slope, shift, known = np.zeros(len(p)), np.zeros(len(p)), np.zeros(len(p), np.bool_)
    for one in corrections:
        names, code = _members(within.get(one.column) or [None] * len(p))
        there = np.array([name in one.slopes for name in (*names, "")], np.bool_)
        there[-1] = False  # where a row has no value, whose code is -1
        slope += np.array([one.slopes.get(name, 0.0) for name in names] + [0.0])[code]
        shift += np.array([one.shifts.get(name, 0.0) for name in names] + [0.0])[code]
        known |= there[code]
    found = np.asarray(p, np.float64).copy()
    x = _read(found[known]) * np.exp(np.clip(slope[known], -LIMIT, LIMIT)) + shift[known]
    found[known] = expit(np.clip(x, -LIMIT, LIMIT))
    return found


def _read(p: Floats) -> Floats:
    return np.asarray(logit(np.clip(p, EDGE, 1.0 - EDGE)), np.float64)


def _members(values: Sequence[str | None]) -> tuple[tuple[str, ...], Ints]:
    """(names of the groups, the number of each row's, -1 for none)."""
    known: dict[str, int] = {}
    code = [-1 if one is None else known.setdefault(one, len(known)) for one in values]
    return tuple(known), np.array(code, np.intp)


def _spread(
    parameters: Sequence[Floats], members: Sequence[tuple[tuple[str, ...], Ints]], n: int
) -> Floats:
    """What all groups of each row add up to, shape (n,)."""
    total = np.zeros(n)
    for some, (_, code) in zip(parameters, members, strict=True):
        total += np.append(some, 0.0)[code]
    return total


def _gathered(values: Floats, members: Sequence[tuple[tuple[str, ...], Ints]]) -> Floats:
    """The sum of the rows' values in each group, columns behind one another."""
    sums = [np.bincount(code + 1, values, len(names) + 1)[1:] for names, code in members]
    return np.concatenate(sums)


def _by_name(names: Sequence[str], values: Floats) -> dict[str, float]:
    return {name: round(float(one), 6) for name, one in zip(names, values, strict=True)}
