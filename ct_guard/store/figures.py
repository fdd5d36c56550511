"""A manifest's figures: a value under its name, with its interval under `NAME low` and `NAME high`
where one was computed."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["KnownFigure", "Value", "known_figures", "with_interval"]

Value = float | int | str | None


@dataclass(frozen=True)
class KnownFigure:
    """A figure as cards and `ct-guard inspect` show it."""

    name: str
    value: str
    interval: str
    """`LOW to HIGH`; `not recorded` where there is none; empty for counts and words."""
    has_interval: bool


def with_interval(
    name: str, value: float | None, low: float | None, high: float | None
) -> dict[str, Value]:
    """The entries of one figure; without bounds where there are none."""
    bounds = {} if low is None or high is None else {f"{name} low": low, f"{name} high": high}
    return {name: value, **bounds}


def known_figures(figures: Mapping[str, Value]) -> list[KnownFigure]:
    """The figures in the order of the manifest, each joined with its interval."""
    ends = {
        name: (f"{name} low", f"{name} high")
        for name in figures
        if f"{name} low" in figures and f"{name} high" in figures
    }
    bounds = {end for both in ends.values() for end in both}
    return [_known(name, figures, ends.get(name)) for name in figures if name not in bounds]


def _known(name: str, figures: Mapping[str, Value], ends: tuple[str, str] | None) -> KnownFigure:
    value = figures[name]
    low, high = (None, None) if ends is None else (figures[ends[0]], figures[ends[1]])
    has = low is not None and high is not None
    measured = isinstance(value, float) or value is None
    without = "not recorded" if measured else ""
    interval = f"{_text(low)} to {_text(high)}" if has else without
    return KnownFigure(name, _text(value), interval, has)


def _text(value: Value) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
