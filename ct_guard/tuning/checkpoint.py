"""A run on disk, so that it can go on after an interruption to the same result: one safetensors
file with the weights, the optimizer's moments, the best weights so far, and what was measured."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ct_guard.errors import TuningError
from ct_guard.files.replacing import replacing

from .writing import writing

__all__ = ["Identity", "Progress", "Run", "load_run", "read_history", "run_identity", "save_run"]

Identity = dict[str, str]
"""A hash of each thing that a run's result depends on, by what it is called."""

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW remembers of each weight."""


@dataclass(frozen=True)
class Progress:
    """One evaluation: losses in nats, that of the steps before it None where there were none; AUROC
    None when a class is missing; rate in rows/s."""

    step: int
    steps: int
    loss: float | None
    validation_log_loss: float
    validation_auroc: float | None
    rows_per_second: float


@dataclass
class Run:
    """How far a run has come."""

    step: int = 0
    kept_loss: float = math.inf
    """Validation log loss of the evaluation that is kept: the least so far, or the last."""
    kept_step: int = 0
    kept_weights: list[torch.Tensor] = field(default_factory=list)
    history: list[Progress] = field(default_factory=list)


def run_identity(parts: dict[str, object]) -> Identity:
    """What a checkpoint belongs to: 16 hex digits of each thing that the result depends on, so that
    a refusal can name what differs."""
    return {
        name: hashlib.sha256(repr(part).encode("utf-8", "replace")).hexdigest()[:16]
        for name, part in parts.items()
    }


def save_run(
    path: Path,
    identity: Identity,
    run: Run,
    weights: Sequence[torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the checkpoint in one step: until it is whole, the one before it stays.

    Raises TuningError where it cannot be written, for instance on a full disk.
    """
    tensors = {f"weight.{at}": weight.detach() for at, weight in enumerate(weights)}
    tensors |= {f"kept.{at}": weight for at, weight in enumerate(run.kept_weights)}
    for at, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"{name}.{at}": moments[name] for name in MOMENTS}
    told = {
        "identity": identity,
        "step": run.step,
        "kept_loss": run.kept_loss,
        "kept_step": run.kept_step,
        "history": [asdict(progress) for progress in run.history],
    }
    way_on = "`resume` goes on from the one before" if path.exists() else "start again"
    with writing(path, way_on):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as building:
            save_file(
                {name: tensor.contiguous().cpu() for name, tensor in tensors.items()},
                building,
                {"run": json.dumps(told)},
            )


def load_run(
    path: Path,
    identity: Identity,
    weights: Sequence[torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> Run:
    """Put `weights` and `optimizer` where the checkpoint left off.

    Raises TuningError where there is none, it is damaged, or it is of another run.
    """
    with _opened(path) as file:
        told = _told(file)
        known = told["identity"]
        if other := [name for name, part in identity.items() if known[name] != part]:
            raise TuningError(
                f"{path} is of a run that differs in {' and '.join(other)}: resume with the command"
                " that started it, or start anew with `overwrite`"
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stepped = range(len(weights) if told["step"] else 0)  # there are no moments before a step
        state = {at: {name: tensors[f"{name}.{at}"] for name in MOMENTS} for at in stepped}
        kept_weights = [tensors[f"kept.{at}"] for at in range(len(weights))]
        history = [Progress(**progress) for progress in told["history"]]
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    with torch.no_grad():
        for at, weight in enumerate(weights):
            weight.copy_(tensors[f"weight.{at}"])
    return Run(told["step"], told["kept_loss"], told["kept_step"], kept_weights, history)


def read_history(path: Path) -> list[Progress]:
    """The evaluations of the run in a checkpoint. Raises TuningError where there is none, or it is
    damaged."""
    with _opened(path) as file:
        return [Progress(**progress) for progress in _told(file)["history"]]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise TuningError(
            f"there is no interrupted run to resume, or it was stopped before its first evaluation:"
            f" {path} does not exist; start without `resume`"
        )
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise TuningError(
            f"{path} is no checkpoint of a run, or a damaged one: start anew with `overwrite`"
        ) from error


def _told(file: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((file.metadata() or {})["run"])
    return told
