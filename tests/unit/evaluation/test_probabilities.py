"""P(correct) of scored rows under an estimator's present calibrators."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.special import expit

from ct_guard.evaluation import read_scored
from ct_guard.evaluation.probabilities import probabilities, with_confidences_of
from ct_guard.records import CalibratorState
from ct_guard.store import load_manifest

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


def platt(a: float, b: float) -> CalibratorState:
    return CalibratorState(kind="platt", params={"a": a, "b": b}, n=100)


def test_they_are_those_of_each_rows_answering_model(
    write: Write, make_rows: MakeRows, estimator: Path
) -> None:
    rows = make_rows(20, answers=1, model="a") + make_rows(20, answers=1, prefix="r")
    scored = read_scored(write("s.jsonl", rows), need="logit")
    plain = load_manifest(estimator)
    assert probabilities(scored, plain) == pytest.approx(expit(scored.logit))
    tuned = plain.model_copy(update={"calibrators": {"a": platt(1.0, 1.0), "*": platt(0.5, 0.0)}})
    p = probabilities(scored, tuned)
    assert p[:20] == pytest.approx(expit(scored.logit[:20] + 1.0))
    assert p[20:] == pytest.approx(expit(scored.logit[20:] / 2))
    changed = with_confidences_of(tuned, scored)
    assert changed.p.tolist() == p.tolist()
    assert changed.correct.tolist() == scored.correct.tolist()
