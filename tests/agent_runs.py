"""Runs of agents whose outcome is known: each call and answer is right with its own P, and a run
succeeds where all of them are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ct_guard.evaluation.agent_runs import LabelledRun
from ct_guard.records import LogisticLayer
from ct_guard.runs import RUN_FEATURES, RunLayer, RunTurn

__all__ = ["drawn_runs", "layer", "run_layer", "write_runs"]


def drawn_runs(count: int, *, seed: int = 0) -> list[LabelledRun]:
    random = np.random.default_rng(seed)
    runs = []
    for _ in range(count):
        turns, right = [], True
        last = int(random.integers(1, 5)) - 1
        for at in range(last + 1):
            p = tuple(random.beta(6, 1, size=int(random.integers(1, 3))).round(4).tolist())
            right &= bool(np.all(random.random(len(p)) < p))
            said: Literal["answer", "tool_call"] = "answer" if at == last else "tool_call"
            turns.append(RunTurn(turn=said, p=p, retries=int(random.random() < 0.2)))
        runs.append(LabelledRun(tuple(turns), right))
    return runs


def write_runs(path: Path, runs: Sequence[LabelledRun], *further: dict[str, Any]) -> Path:
    """As an application writes them, a row a run: state["ct_guard_run"], with its label."""
    rows: list[dict[str, Any]] = [
        {
            "p": None,
            "reason": "the estimator knows nothing of runs",
            "turns": [turn.model_dump(mode="json") for turn in run.turns],
            "correct": run.correct,
        }
        for run in runs
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *further]))
    return path


def layer(**coef: float) -> LogisticLayer:
    """With these weights; the features are taken about 0.5, in steps of 2."""
    count = len(RUN_FEATURES)
    return LogisticLayer(
        features=RUN_FEATURES,
        low=(-9.0,) * count,
        high=(9.0,) * count,
        mean=(0.5,) * count,
        scale=(2.0,) * count,
        coef=tuple(coef.get(name, 0.0) for name in RUN_FEATURES),
        intercept=0.25,
    )


def run_layer(**coef: float) -> RunLayer:
    return RunLayer(layer=layer(**coef), n=100, succeeded=60, log_loss=0.5, base_rate=0.67)
