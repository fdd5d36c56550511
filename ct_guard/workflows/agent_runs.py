"""Learn how likely an agent's run is to succeed, from labelled runs, into a copy of the
estimator."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ct_guard.evaluation.agent_runs import FittedRuns

__all__ = ["CalibrateRunsConfig", "CalibrateRunsResult", "calibrate_runs"]


@dataclass(frozen=True, kw_only=True)
class CalibrateRunsConfig:
    """Whose confidences the runs hold."""

    estimator: str | Path
    """The estimator that judged their turns, as it is calibrated now."""
    overwrite: bool = False
    seed: int = 0
    """Of the folds."""


@dataclass(frozen=True)
class CalibrateRunsResult:
    """A layer over runs, and what is worth knowing of it."""

    fitted: "FittedRuns"
    remarks: tuple[str, ...]


def calibrate_runs(
    source: str | Path, output: str | Path, config: CalibrateRunsConfig
) -> CalibrateRunsResult:
    """Fit P(the run succeeds) on the labelled runs of `source`; the estimator directory `output` is
    a copy of the estimator that knows it. No model is needed.

    A row is what an agent's state held at the end of a run, `state["ct_guard_run"]`, with its label
    in `correct`. Of several runs of one task, a file should hold one.

    Raises:
        InputError: rows that are no runs, or of which none has a label and a score.
        CalibrationError: runs that are too few or of one outcome only.
        OutputExistsError: `output` is there; ManifestError: the estimator is not whole.
    """
    from ct_guard.evaluation.agent_runs import MOST, fit_runs, read_runs
    from ct_guard.evaluation.disjoint import recorded
    from ct_guard.store import check_target, load_manifest, locate, revise_estimator

    folder, target = locate(config.estimator), Path(output)
    manifest = load_manifest(folder)
    check_target(target, overwrite=config.overwrite)
    found = read_runs(source)
    fitted = fit_runs(found.runs, seed=config.seed)
    layer = fitted.layer
    others = [one for one in manifest.promises if one.subject != layer.subject]
    changed = manifest.model_copy(update={"promises": (layer, *others)})
    questions = recorded(folder, manifest)
    revise_estimator(folder, target, changed, questions=questions, overwrite=config.overwrite)
    said = []
    if found.unlabelled:
        said.append(f"{found.unlabelled:,} runs have no label and do not count.")
    if found.unscored:
        said.append(f"{found.unscored:,} runs have no turn with a score and do not count.")
    rarer = min(layer.succeeded, layer.n - layer.succeeded)
    if rarer < MOST:
        said.append(
            f"{rarer:,} runs of the rarer outcome leave the layer much to chance: {MOST} would do."
        )
    if layer.log_loss >= layer.base_rate:
        said.append(
            "On held-out runs it says no more than the share of runs that succeed: do not let it"
            " decide."
        )
    return CalibrateRunsResult(fitted, tuple(said))
