"""Scored files made up so that what must come out is known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from ct_guard.store import BaseModelRef, Manifest, save_estimator

Rows = list[dict[str, Any]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Rows], Path]:
    """Writes rows as JSONL below `tmp_path`."""

    def writing(name: str, rows: Rows) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return writing


@pytest.fixture
def make_rows() -> Callable[..., Rows]:
    return scored_rows


@pytest.fixture
def estimator(tmp_path: Path) -> Path:
    """An estimator without weights, which nothing here needs."""
    folder = tmp_path / "tiny"
    save_estimator(folder, Manifest(name="tiny", method="likelihood", base=BaseModelRef(id="base")))
    return folder


def scored_rows(
    count: int,
    *,
    answers: int = 2,
    signal: float = 2.0,
    scale: float = 1.0,
    bias: float = 0.0,
    seed: int = 1,
    prefix: str = "q",
    model: str | None = None,
) -> Rows:
    """Answers to `count / answers` questions. The true P(correct) is sigma(scale z + bias) of the
    logit z, whose spread is `signal`; the confidence is sigma(z)."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        z = float(rng.normal(0, signal))
        row: dict[str, Any] = {
            "id": f"{prefix}-{n}",
            "sample": n % answers,
            "question": f"{prefix} {n // answers}?",
            "answer": f"a{n}",
            "correct": bool(rng.random() < expit(scale * z + bias)),
            "status": "ok",
            "logit": z,
            "confidence": float(expit(z)),
            "estimator": "tiny",
        }
        rows.append(row | ({"model": model} if model is not None else {}))
    return rows
