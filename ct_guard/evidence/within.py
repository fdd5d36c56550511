"""Numbers, and where each stands among those of the model that answered.

A stated 90% is much for one model and little for another, and so is a mean token probability:
beside the number itself stands its percentile among the numbers of that model's answers.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from ct_guard.errors import ManifestError
from ct_guard.records import Record

from .answers import Answers
from .model import codes
from .stated import Stated

if TYPE_CHECKING:
    from .kinds import Evidence

__all__ = ["Scaled", "ScaledSpread", "Spread", "Within", "WithinScale"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEW = 30
"""Numbers below which a model has no percentiles of its own, but the pool's."""
GRID = 50
"""Numbers that stand for all of a model's."""


class Spread(Record):
    """By model, the pool's under "": for each feature some of its numbers, in ascending order."""

    models: dict[str, tuple[tuple[float, ...], ...]]

    @model_validator(mode="after")
    def _are_of_the_same_features(self) -> Self:
        if "" not in self.models:
            raise ValueError("percentiles of the pool are missing")
        if len({len(grids) for grids in self.models.values()}) > 1:
            raise ValueError("models have percentiles of different features")
        return self


class ScaledSpread(Spread):
    """As `Spread`, with the scale of the column that it was learnt from."""

    percent: bool = False
    """Whether 1 in that column is 1%; else it is all."""


@dataclass(frozen=True)
class Within:
    """A kind of evidence that learns nothing itself, with the percentiles of its numbers."""

    kind: "Evidence"

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def features(self) -> tuple[str, ...]:
        return (*self.kind.features, *(f"{name}_within" for name in self.kind.features))

    def look(self, answers: Answers) -> tuple[Floats, Ints, tuple[str, ...]]:
        return (self._numbers(answers), *codes([name or "" for name in answers.model]))

    def learn(
        self, look: tuple[Floats, Ints, tuple[str, ...]], correct: Bools, rows: Bools
    ) -> Spread:
        numbers, code, names = look
        models = {"": _grids(numbers[rows])}
        for at, name in enumerate(names):
            own = rows & (code == at)
            if name and (~np.isnan(numbers[own])).sum(0).max() >= FEW:
                models[name] = _grids(numbers[own])
        return Spread(models=models)

    def read(self, look: tuple[Floats, Ints, tuple[str, ...]], state: Spread) -> Floats:
        numbers, code, names = look
        if len(state.models[""]) != numbers.shape[1]:
            raise ManifestError(f"{self.name} has percentiles of other features than its own")
        stands = np.full(numbers.shape, np.nan)
        for at, name in enumerate(names):
            own = code == at
            for column, grid in enumerate(state.models.get(name, state.models[""])):
                stands[own, column] = _percentile(numbers[own, column], grid)
        return np.hstack([numbers, stands])

    def _numbers(self, answers: Answers) -> Floats:
        read = np.asarray(self.kind.look(answers), np.float64)
        return read.reshape(len(answers), len(self.kind.features))


class Scaled(NamedTuple):
    """Numbers as `Within` looks at them, and what their scale decides."""

    within: tuple[Floats, Ints, tuple[str, ...]]
    small: Bools
    """Those of the numbers, shape (n,), that are a hundred times smaller in percent."""
    percent: bool
    """Whether the column is in percent, by itself."""

    def read_as(self, percent: bool) -> tuple[Floats, Ints, tuple[str, ...]]:
        numbers, code, names = self.within
        if percent:
            numbers = np.where(self.small[:, None], numbers / 100, numbers)
        return numbers, code, names


@dataclass(frozen=True)
class WithinScale:
    """As `Within`, of a confidence whose column is in percent or in shares: which of the two is
    learnt once, so that a row alone is read as it is among others."""

    kind: Stated

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def features(self) -> tuple[str, ...]:
        return self._within.features

    def look(self, answers: Answers) -> Scaled:
        small, percent = self.kind.scale(answers)
        return Scaled(self._within.look(answers), small, percent)

    def learn(self, look: Scaled, correct: Bools, rows: Bools) -> ScaledSpread:
        learnt = self._within.learn(look.read_as(look.percent), correct, rows)
        return ScaledSpread(models=learnt.models, percent=look.percent)

    def read(self, look: Scaled, state: ScaledSpread) -> Floats:
        return self._within.read(look.read_as(state.percent), state)

    @property
    def _within(self) -> Within:
        return Within(self.kind)


def _grids(numbers: Floats) -> tuple[tuple[float, ...], ...]:
    """For each column of `numbers`, shape (n, features); empty where it has none."""
    return tuple(_grid(column[~np.isnan(column)]) for column in numbers.T)


def _grid(values: Floats) -> tuple[float, ...]:
    if len(values) <= GRID:
        return tuple(np.sort(values).tolist())
    found = np.quantile(values, (np.arange(GRID) + 0.5) / GRID, method="nearest")
    return tuple(found.tolist())


def _percentile(values: Floats, grid: tuple[float, ...]) -> Floats:
    """In [0, 1], ties in their middle; NaN where there is no number, or none to compare with."""
    if not grid:
        return np.full(len(values), np.nan)
    low, high = (np.searchsorted(grid, values, side) for side in ("left", "right"))
    return np.where(np.isnan(values), np.nan, (low + high) / (2.0 * len(grid)))
