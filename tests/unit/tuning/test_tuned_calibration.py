"""The calibrator of a tuned estimator is fitted on what that estimator says when it serves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.calibration import fit
from ct_guard.estimators import load_estimator
from ct_guard.records import GradedAnswer, QuestionAnswer
from ct_guard.store import BaseModelRef
from ct_guard.tuning import TuningConfig
from ct_guard.tuning.estimator import EstimatorPlan, make_estimator
from ct_guard.tuning.life import RunLife
from tests.unit.tuning.rows import graded

CONFIG = TuningConfig(
    rank=2, targets=("q_proj",), batch_size=8, steps=2, warmup=1, evaluate_every=2, patience=0
)


@pytest.mark.parametrize(("method", "orders"), [("query", "both"), ("hybrid", "fixed")])
def test_what_is_not_scored_is_not_calibrated_on(
    method: str, orders: str, backend: TransformersBackend, tiny_base: Path, tmp_path: Path
) -> None:
    declined = [
        GradedAnswer(
            qa=QuestionAnswer(question=f"Who wrote book {n}?", answer="I don't know."),
            correct=False,
        )
        for n in range(10)
    ]
    rows = [  # some grades are the other way round, as no two classes are perfectly apart
        row.model_copy(update={"correct": row.correct == (n % 5 > 0)})
        for n, row in enumerate(graded(40, offset=2000))
    ]
    parts = {
        "tuning": graded(24),
        "validation": graded(16, offset=500),
        "layer": [*graded(24, offset=1000), *declined],
        "calibration": [*rows, *declined],
    }
    if method == "query":
        del parts["layer"]
    said: list[tuple[str, int, int]] = []
    made = make_estimator(
        backend,
        parts,
        tmp_path / "made",
        EstimatorPlan(
            base=BaseModelRef(id=str(tiny_base)),
            method=method,
            style="chat_turn",
            config=replace(CONFIG, label_orders=orders),
            calibrator="platt",
        ),
        runs=tmp_path / "runs",
        life=RunLife(on_rows=lambda *heard: said.append(heard)),
    )
    assert made is not None
    assert ("calibrating", len(parts["calibration"]), len(parts["calibration"])) in said
    assert made.calibrators["*"].n == len(rows)

    served = load_estimator(tmp_path / "made", device="cpu")
    scored = served.score([row.qa for row in parts["calibration"]])
    assert [one.status for one in scored[len(rows) :]] == ["refusal"] * len(declined)
    logits = np.array([one.logit for one in scored[: len(rows)]])
    again = fit("platt", logits, np.array([row.correct for row in rows]))
    assert made.calibrators["*"].params == pytest.approx(again.params, rel=1e-2, abs=1e-3)
