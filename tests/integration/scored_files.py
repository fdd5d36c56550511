"""Scored files as `ct-guard score` writes them, and its siblings run on them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from scipy.special import expit

from ct_guard.cli import cli
from tests.commands import ct_guard

__all__ = ["inside", "rows", "run", "write"]


def run(
    folder: Path, *arguments: str | Path, columns: int = 100
) -> "subprocess.CompletedProcess[str]":
    """The command in `folder`, on a terminal of so many columns."""
    return ct_guard(*arguments, folder=folder, environment={"COLUMNS": str(columns)})


def inside(*arguments: str | Path) -> Result:
    """The command in this process."""
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, [*map(str, arguments)])


def rows(prefix: str, questions: int, *, answers: int = 1, seed: int = 0) -> list[dict[str, Any]]:
    """Scored by `tiny`; the truth is P(correct) = sigma(1.5 logit - 1)."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(questions * answers):
        z = float(rng.normal(0, 3))
        made.append(
            {
                "question": f"{prefix} {n // answers}?",
                "answer": str(n),
                "sample": n % answers,
                "kind": "long" if n % 4 else "short",
                "correct": bool(rng.random() < expit(1.5 * z - 1)),
                "confidence": float(expit(z)),
                "logit": z,
                "action": "pass",
                "status": "ok",
                "calibrated": False,
                "estimator": "tiny",
            }
        )
    return made


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path
