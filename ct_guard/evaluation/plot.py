"""Reliability and risk-coverage diagrams of estimators on the same rows, as PNG or SVG."""

from pathlib import Path

from ct_guard.errors import InputError, MissingExtraError, UsageError
from ct_guard.files.replacing import replacing
from ct_guard.metrics import reliability_curve, risk_coverage_curve

from .evaluation import Evaluation

__all__ = ["SUFFIXES", "check_plot", "draw"]

SUFFIXES = (".png", ".svg")


def check_plot(path: Path) -> None:
    """Whether a plot can be written to `path`, before any work is done for it.

    Raises UsageError for another suffix, InputError for a folder that is not there, and
    MissingExtraError without matplotlib.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a plot is written as {' or '.join(SUFFIXES)}: change its suffix")
    if not path.resolve().parent.is_dir():
        raise InputError(f"{path}: its folder does not exist; create it first")
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("a plot", "report") from error


def draw(evaluation: Evaluation, path: Path) -> None:
    """Write both diagrams, side by side, with the question prior dashed. Raises as `check_plot`."""
    check_plot(path)
    import matplotlib
    from matplotlib.figure import Figure

    rows = evaluation.rows
    with matplotlib.rc_context({"svg.hashsalt": "ct-guard", "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 5), layout="constrained")
        reliability, risk = figure.subplots(1, 2)
        drawn = [(one, f"C{n}", "-") for n, one in enumerate(evaluation.estimators)]
        if evaluation.prior is not None:
            drawn.append((evaluation.prior, "0.5", "--"))
        for one, color, style in drawn:
            bins = reliability_curve(one.p, rows.correct)
            reliability.plot(
                bins.mean_p, bins.accuracy, style, marker="o", color=color, label=one.name
            )
            curve = risk_coverage_curve(one.p, rows.correct)
            alone = "o" if len(curve.coverage) == 1 else None  # one confidence: no line to see
            risk.plot(curve.coverage, curve.risk, style, marker=alone, color=color, label=one.name)
        reliability.plot([0, 1], [0, 1], color="0.8", zorder=0)
        reliability.set(
            title="Reliability", xlabel="mean P(correct) of the bin", ylabel="share correct",
            xlim=(0, 1), ylim=(0, 1), aspect="equal",
        )  # fmt: skip
        risk.axhline(float((~rows.correct).mean()), color="0.8", zorder=0)
        risk.set(
            title="Risk and coverage", xlabel="share of rows answered",
            ylabel="error rate among the answered", xlim=(0, 1),
        )  # fmt: skip
        # Some air above: a curve at the highest rate must not lie on the frame.
        risk.set_ylim(0, 1.05 * risk.dataLim.ymax or 1)
        for axes in (reliability, risk):
            axes.legend(fontsize="small")
        with replacing(path) as building:
            kind = path.suffix.lower().removeprefix(".")
            figure.savefig(building, format=kind, dpi=150, metadata=_metadata(path))


def _metadata(path: Path) -> dict[str, None]:
    """No date in an SVG: the same figures give the same file."""
    return {"Date": None} if path.suffix.lower() == ".svg" else {}
