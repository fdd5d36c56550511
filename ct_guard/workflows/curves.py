"""The curves of a tuning run: as a log of JSON lines, and as a plot."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.files.replacing import replacing

if TYPE_CHECKING:
    from ct_guard.tuning import Progress

__all__ = ["draw_curves", "write_line", "write_log"]


def write_line(path: Path, progress: "Progress") -> None:
    """Add an evaluation to the log: one line of JSON. Raises TuningError where it cannot."""
    from ct_guard.tuning.writing import writing

    with writing(path), path.open("a", encoding="utf-8") as stream:
        stream.write(_line(progress))


def write_log(path: Path, history: Sequence["Progress"]) -> None:
    """The whole log anew: what an interruption left may lack its last line, or hold a part of it.
    Raises as `write_line`."""
    from ct_guard.tuning.writing import writing

    with writing(path), replacing(path) as building:
        building.write_text("".join(map(_line, history)), encoding="utf-8")


def _line(progress: "Progress") -> str:
    return json.dumps(asdict(progress)) + "\n"


def draw_curves(path: Path, history: Sequence["Progress"]) -> None:
    """Losses and validation AUROC by step, as PNG or SVG. Raises as `check_plot`."""
    from ct_guard.evaluation.plot import check_plot

    check_plot(path)
    import matplotlib
    from matplotlib.figure import Figure

    steps = [progress.step for progress in history]
    best = min(history, key=lambda progress: progress.validation_log_loss)
    with matplotlib.rc_context({"svg.hashsalt": "ct-guard", "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        trained = [one for one in history if one.loss is not None]
        left.plot(
            [one.step for one in trained], [one.loss for one in trained], marker="o",
            label="training loss, all terms",
        )  # fmt: skip
        left.plot(
            steps, [one.validation_log_loss for one in history], marker="o",
            label="validation log loss",
        )  # fmt: skip
        left.set(title="Loss", xlabel="step", ylabel="nats", ylim=(0, None))
        left.legend(fontsize="small")
        known = [one for one in history if one.validation_auroc is not None]
        right.plot([one.step for one in known], [one.validation_auroc for one in known], marker="o")
        right.set(title="Validation AUROC", xlabel="step")
        for axes in (left, right):
            axes.axvline(best.step, color="0.8", zorder=0)
        kind = path.suffix.lower().removeprefix(".")
        with replacing(path) as building:
            figure.savefig(
                building, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {}
            )
