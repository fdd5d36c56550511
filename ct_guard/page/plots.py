"""The diagrams of a page as PNG and SVG, for slides and papers."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ct_guard.errors import InputError, MissingExtraError, OutputExistsError
from ct_guard.evaluation.plot import SUFFIXES
from ct_guard.files.replacing import replacing

from .content import Content

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PLOTS", "check_plots", "draw_plots"]

RISK = "risk-coverage"

Draw = Callable[["Axes", dict[str, Any], str], None]


def check_plots(folder: Path, *, overwrite: bool) -> None:
    """Whether the plots can be written into `folder`, before any work is done for them.

    Raises InputError where it is a file or its own folder is not there, OutputExistsError where one
    of them exists and may not be replaced, and MissingExtraError without matplotlib.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder for `plots`")
    if not folder.resolve().parent.is_dir():
        raise InputError(f"{folder}: its folder does not exist; create it first")
    for path in _paths(folder):
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists; name another folder or use `overwrite`")
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("a plot", "report") from error


def draw_plots(content: Content, folder: Path) -> list[Path]:
    """Write each of `PLOTS` as PNG and as SVG into `folder`, which is made; what was written."""
    import matplotlib
    from matplotlib.figure import Figure

    folder.mkdir(exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "ct-guard", "svg.fonttype": "none"}):
        for name, draw in PLOTS.items():
            figure = Figure(figsize=(5.5, 5), layout="constrained")
            axes = figure.subplots()
            for number, one in enumerate(content["estimators"]):
                draw(axes, one, f"C{number}")
            if name == RISK:
                axes.set_ylim(0, content["top_of_risk"])
            if len(content["estimators"]) > 1:
                axes.legend(fontsize="small")
            for suffix in SUFFIXES:
                kind = suffix.removeprefix(".")
                with replacing(folder / f"{name}{suffix}") as building:
                    figure.savefig(
                        building, format=kind, dpi=150,
                        metadata={"Date": None} if kind == "svg" else {},
                    )  # fmt: skip
    return _paths(folder)


def _paths(folder: Path) -> list[Path]:
    return [folder / f"{name}{suffix}" for name in PLOTS for suffix in SUFFIXES]


def _reliability(axes: "Axes", one: dict[str, Any], color: str) -> None:
    bins = one["reliability"]
    mean = [part["mean_p"] for part in bins]
    axes.plot([0, 1], [0, 1], color="0.8", zorder=0)
    axes.fill_between(
        mean, [part["low"] for part in bins], [part["high"] for part in bins], color=color,
        alpha=0.15, linewidth=0,
    )  # fmt: skip
    axes.plot(mean, [part["accuracy"] for part in bins], marker="o", color=color, label=one["name"])
    axes.set(
        title="Reliability", xlabel="mean P(correct) of the bin", ylabel="share correct",
        xlim=(0, 1), ylim=(0, 1),
    )  # fmt: skip


def _risk(axes: "Axes", one: dict[str, Any], color: str) -> None:
    points = one["risk"]
    coverage = [part["coverage"] for part in points]
    axes.fill_between(
        coverage, [part["low"] for part in points], [part["high"] for part in points], color=color,
        alpha=0.15, linewidth=0,
    )  # fmt: skip
    alone = "o" if len(points) == 1 else None
    axes.plot(
        coverage, [part["risk"] for part in points], marker=alone, color=color, label=one["name"]
    )
    for found in one["certificates"]:
        here = found["here"]
        axes.axhline(found["alpha"], color=color, linestyle=":", linewidth=1)
        if here["answered"]:
            axes.plot(
                here["answered"] / one["answered"][0], here["errors"] / here["answered"],
                marker="D", color=color, linestyle="none",
            )  # fmt: skip
    axes.set(
        title="Risk and coverage", xlabel="share of rows answered",
        ylabel="error rate among the answered", xlim=(0, 1),
    )  # fmt: skip


def _roc(axes: "Axes", one: dict[str, Any], color: str) -> None:
    axes.plot([0, 1], [0, 1], color="0.8", zorder=0)
    axes.plot(
        [part["wrong"] for part in one["roc"]], [part["right"] for part in one["roc"]],
        color=color, label=one["name"],
    )  # fmt: skip
    axes.set(
        title="ROC", xlabel="share of the wrong answers that pass",
        ylabel="share of the right answers that pass", xlim=(0, 1), ylim=(0, 1),
    )  # fmt: skip


PLOTS: dict[str, Draw] = {"reliability": _reliability, RISK: _risk, "roc": _roc}
"""By the name of the file."""
