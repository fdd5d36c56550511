"""What `smol` is compared with, over the same base and rows: the answer's likelihood, and a linear
probe of the base's hidden state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import log_loss  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from ct_guard import QuestionAnswer
from ct_guard.backends import Item
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import build_query, render
from ct_guard.store import base_place

from .parts import Row

__all__ = ["likelihood_and_probe"]

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
"""Inverse strengths that the validation rows choose from, by log loss."""

Floats = NDArray[np.float64]


def likelihood_and_probe(
    parts: Mapping[str, Sequence[Row]], kept: Path
) -> dict[str, list[float | None]]:
    """Scores of the test rows. Each is fitted to be a probability on the calibration rows by one
    slope and one intercept, as `smol` is. What the base said is kept in a file."""
    if not kept.exists():
        arrays: dict[str, Any] = dict(_read(parts))
        np.savez(kept, **arrays)
    read = np.load(kept)
    labels = {name: np.array([row["correct"] for row in rows]) for name, rows in parts.items()}
    best: tuple[float, object] = (np.inf, None)
    for penalty in PENALTIES:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=1000))
        probe.fit(read["hidden tuning"], labels["tuning"])
        loss = log_loss(labels["validation"], probe.predict_proba(read["hidden validation"])[:, 1])
        best = min(best, (loss, probe), key=lambda pair: pair[0])
    probe = best[1]
    return {
        "likelihood": _fitted(read["log_p calibration"], labels, read["log_p test"]),
        "linear probe": _fitted(
            probe.decision_function(read["hidden calibration"]),  # type: ignore[attr-defined]
            labels,
            probe.decision_function(read["hidden test"]),  # type: ignore[attr-defined]
        ),
    }


def _fitted(
    calibration: Floats, labels: Mapping[str, NDArray[np.bool_]], test: Floats
) -> list[float | None]:
    layer = make_pipeline(StandardScaler(), LogisticRegression())
    layer.fit(calibration[:, None], labels["calibration"])
    return [float(p) for p in layer.predict_proba(test[:, None])[:, 1]]


def _read(parts: Mapping[str, Sequence[Row]]) -> dict[str, NDArray[np.float32]]:
    """Of every row, the base's hidden state at the answer's last token, and the answer's
    log-probability."""
    backend = TransformersBackend.load(base_place("smol"))
    query = build_query("chat_turn", backend.encoder)
    found: dict[str, NDArray[np.float32]] = {}
    for name in ("tuning", "validation", "calibration", "test"):
        items = []
        for row in parts[name]:
            item = QuestionAnswer(
                question=row["question"], answer=row["answer"], context=row.get("context")
            )
            made = render(
                item,
                style="chat_turn",
                encoder=backend.encoder,
                query=query,
                budget=backend.max_tokens,
            )
            items.append(Item(made.context, made.answer))
        batch = backend.score(items, query, None, frozenset(("hidden", "answer_logprobs")))
        if batch.hidden is None or batch.answer_logprobs is None:
            raise RuntimeError("the backend returned no hidden states")
        found[f"hidden {name}"] = batch.hidden
        found[f"log_p {name}"] = np.array([row.sum() for row in batch.answer_logprobs])
    return found
