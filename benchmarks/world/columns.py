"""Every estimator's P(correct) on the same rows, each calibrated on the calibration split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.calibration import apply, fit
from ct_guard.estimators import features
from ct_guard.estimators.methods.verbalized import VerbalizedMethod
from ct_guard.evidence.question_prior import QuestionPrior
from ct_guard.query import build_query
from tools.mini_world.answers import Row, question_of, split_rows
from tools.mini_world.measure import STYLE, Part, graded, make, measure, prior_of
from tools.mini_world.world import content_of

from .asking import PARTS, labels_of, to_tune_on
from .attempts import Attempt

__all__ = [
    "Column",
    "Columns",
    "Rows",
    "answered_by_prior",
    "baselines",
    "measure_rows",
    "of_hybrid",
    "of_hybrid_without_prior",
    "of_query",
    "through",
    "verbalized",
]

Floats = NDArray[np.float64]
Column = tuple[Floats, Floats]
"""P(correct) on the rows of the test, and of the held-out parts."""
Columns = dict[str, Column]
"""By estimator."""


@dataclass(frozen=True)
class Rows:
    """Graded rows to tune on, and parts that the base model has read."""

    tuning: list[Row]
    prior: QuestionPrior
    """Fitted on the rows to tune on."""
    calibration: Part
    test: Part
    held_out: Part

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        return self.calibration, self.test, self.held_out


def measure_rows(backend: TransformersBackend, rows: Sequence[Row]) -> Rows:
    query = build_query(STYLE, backend.encoder)
    calibration, test, held_out = (measure(backend, split_rows(rows, s), query) for s in PARTS)
    tuning = split_rows(rows, "tuning")
    return Rows(tuning, prior_of(tuning), calibration, test, held_out)


def baselines(rows: Rows, with_prior: Rows) -> Columns:
    """The estimators that need no tuning; among them the hybrid with the question prior in place of
    the tuned query."""
    return {
        "question prior": of_query(with_prior),
        "likelihood": _method(rows, "likelihood"),
        "perplexity": _method(rows, "perplexity"),
        "sampling (5)": _calibrated(rows, _agreement),
        "zero-shot query": _method(rows, "zero-shot"),
        "prior + likelihood": _logistic(
            with_prior, [features(part.tuned, COMBINED) for part in with_prior.parts]
        ),
        "hybrid of the prior": _method(with_prior, "hybrid"),
    }


def verbalized(backend: TransformersBackend, rows: Rows) -> str:
    """In words, for how many answers the base model states a probability when asked for one."""
    asked = [made.qa for made in graded(rows.test.rows[::STRIDE])]
    found = VerbalizedMethod(STYLE, backend).judge(asked)
    stated = sum(isinstance(one, float) for one in found)
    kept = "too few to measure" if stated < len(asked) / 2 else "not in the tables"
    return (
        f"Verbalized: the base model states a probability for {stated:,} of {len(asked):,} answers"
        f" (every {STRIDE}th of the test), {kept}."
    )


def through(rows: Rows, way: Attempt, runs: Path, seed: int) -> Rows:
    """The rows with the query asked through what was tuned in this way, on its own rows."""
    found = {part: labels_of(runs, way, seed, part) for part in PARTS}
    tuning = to_tune_on(rows.tuning, way, seed)
    return Rows(
        tuning,
        rows.prior if len(tuning) == len(rows.tuning) else prior_of(tuning),
        rows.calibration.with_labels(found["calibration"]),
        rows.test.with_labels(found["test"]),
        rows.held_out.with_labels(found["held_out"]),
    )


def of_query(rows: Rows) -> Column:
    """The tuned query, or a probe."""
    return _method(rows, "query")


def of_hybrid(rows: Rows) -> Column:
    """As it is committed: its layer also reads the question prior."""
    return _method(rows, "hybrid", rows.prior)


def of_hybrid_without_prior(rows: Rows) -> Column:
    return _method(rows, "hybrid")


def _method(rows: Rows, method: str, prior: QuestionPrior | None = None) -> Column:
    made = make(method, rows.calibration, prior)
    return made.p(rows.test), made.p(rows.held_out)


def _calibrated(rows: Rows, scores: Callable[[Part], Floats]) -> Column:
    state = fit("platt", scores(rows.calibration), rows.calibration.correct)
    return apply(state, scores(rows.test)), apply(state, scores(rows.held_out))


def _agreement(part: Part) -> Floats:
    """Share of the question's other four answers with the same content."""
    contents = [_content(row) for row in part.rows]
    by_question: dict[str, list[str]] = {}
    for row, content in zip(part.rows, contents, strict=True):
        by_question.setdefault(question_of(row), []).append(content)
    shares = []
    for row, content in zip(part.rows, contents, strict=True):
        others = by_question[question_of(row)]
        shares.append((others.count(content) - 1) / max(1, len(others) - 1))
    return np.array(shares)


def _content(row: Row) -> str:
    parsed = content_of(row["answer"])
    return parsed[0] if parsed else str(row["answer"])


def answered_by_prior(rows: Rows) -> Rows:
    """The rows with the question prior's logit where the query's would be."""

    def answered(part: Part) -> Part:
        z = rows.prior.logits(part.asked).astype(np.float32)
        return part.with_labels(np.column_stack([np.zeros_like(z), z]))

    return Rows(rows.tuning, rows.prior, *map(answered, rows.parts))


def _logistic(rows: Rows, inputs: Sequence[Floats]) -> Column:
    """Over inputs for the calibration, the test and the held-out parts."""
    calibration, test, held_out = inputs
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(calibration, rows.calibration.correct)
    p, p_held_out = (np.asarray(model.predict_proba(part)[:, 1]) for part in (test, held_out))
    return p, p_held_out


COMBINED = ("z", "log_p", "mean_log_p", "worst_log_p", "z_log_p", "p", "z_p")
"""Prior, likelihood and their products."""
STRIDE = 50
