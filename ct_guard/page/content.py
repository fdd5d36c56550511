"""What a page says of scored, graded answers, as plain data: all of it is computed here, and the
page only shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ct_guard.certificates import Certificate
from ct_guard.evaluation import METRICS, Figure, Scored, differences, evaluate, remarks
from ct_guard.evaluation.evidence import WITHOUT
from ct_guard.evaluation.figures import PAIRS
from ct_guard.store import Manifest

from .curves import reliability, risk_coverage, roc, top_of_risk
from .examples import examples
from .promises import promised_thresholds, promises
from .provenance import Source, left_out, provenance, twice
from .slices import slices
from .tally import Tally, tally, thresholds_for

__all__ = ["FIGURES", "Content", "Costs", "Source", "content_of"]

FIGURES = (
    "accuracy of the answers", "AUROC", PAIRS, "ECE", "log loss", "Brier score", "AURC",
    "coverage at 10% risk",
)  # fmt: skip
"""What a reader looks for; `ct-guard evaluate` has more."""
PROMISE = (
    "alpha", "delta", "threshold", "n", "answered", "errors", "reason", "grader_false_pass", "void",
)  # fmt: skip
"""Of a certificate, what is shown."""

Content = dict[str, Any]


@dataclass(frozen=True)
class Costs:
    """In any unit."""

    error: float
    """Of a wrong answer that is given."""
    escalation: float
    """Of an answer that is not given: of asking a stronger model, a person, nobody."""


def content_of(
    sources: Sequence[Source],
    *,
    title: str,
    made: str,
    costs: Costs,
    columns: Sequence[str] = (),
    rows: int = 100,
    resamples: int = 200,
    seed: int = 0,
    said: Sequence[str] = (),
) -> Content:
    """Everything that a page shows.

    Args:
        sources: one or more estimators.
        title: of the page.
        made: when, as text.
        costs: that the page begins with; a reader may change them.
        columns: whose values are measured apart; `model` is who answered.
        rows: answers of each kind that are shown in clear.
        resamples: of the bootstrap.
        seed: of the bootstrap and the sample.
        said: remarks on the whole.
    """
    first = sources[0].rows
    promised = [
        threshold
        for source in sources
        if source.manifest is not None
        for threshold in promised_thresholds(source.manifest.known)
    ]
    thresholds = thresholds_for([source.rows.p for source in sources], promised)
    shown = examples(first, [source.rows.p for source in sources], rows, seed=seed)
    again: dict[str, Any] = {"resamples": resamples, "seed": seed}
    within = {column: _values(first, column) for column in columns}
    estimators = [_estimator(one, thresholds, within, again) for one in sources]
    allowed = [found["alpha"] for one in estimators for found in one["certificates"]]
    return {
        "title": title,
        "rows": len(first),
        "questions": len(np.unique(first.question)),
        "wrong": int((~first.correct).sum()),
        "costs": asdict(costs),
        "thresholds": thresholds.tolist(),
        "top_of_risk": top_of_risk([one["risk"] for one in estimators], allowed),
        "estimators": estimators,
        "differences": [
            {
                "one": other.name,
                "other": sources[0].name,
                "figures": _figures(
                    differences(
                        other.rows.p, first.p, first.correct, first.question, **again
                    )
                ),
            }
            for other in sources[1:]
        ],
        "answers": asdict(shown),
        "remarks": [*said, *twice(first)],
        "left_out": left_out(first, shown, within, resamples),
        "provenance": provenance(sources, made, again),
    }  # fmt: skip


def _estimator(
    source: Source, thresholds: Any, within: Mapping[str, Sequence[str]], again: dict[str, Any]
) -> Content:
    rows, manifest = source.rows, source.manifest
    counts = tally(rows.p, rows.correct, rows.question, thresholds, **again)
    found = evaluate(
        rows.p, rows.correct, rows.question,
        metrics=[metric for metric in METRICS if metric.name in FIGURES], **again,
    )  # fmt: skip
    return {
        "name": source.name,
        "answered": counts.answered.tolist(),
        "errors": counts.errors.tolist(),
        "figures": _figures(found),
        "reliability": reliability(rows.p, rows.correct, counts),
        "risk": risk_coverage(counts),
        "roc": roc(counts),
        "certificates": []
        if manifest is None
        else [_certificate(one, counts) for one in manifest.certificates],
        "promises": [] if manifest is None else promises(manifest.promises, rows),
        "slices": [
            {
                "column": column,
                "parts": slices(rows.p, rows.correct, rows.question, values, **again),
            }
            for column, values in within.items()
        ],
        "evidence": _evidence(manifest),
        "remarks": [*source.remarks, *remarks(rows, found)],
    }


def _figures(found: Sequence[Figure]) -> list[Content]:
    return [
        {
            "name": one.name,
            "value": one.interval.value,
            "low": one.interval.low,
            "high": one.interval.high,
            "better": one.better,
            "note": one.note,
        }
        for one in found
    ]


def _certificate(found: Certificate, counts: Tally) -> Content:
    """What was promised, and what came of it on these rows."""
    answered, errors = (0, 0) if found.threshold is None else counts.at(found.threshold)
    return {
        **found.model_dump(mode="json", include=set(PROMISE)),
        "arithmetic": None if found.arithmetic is None else str(found.arithmetic),
        "here": {"answered": answered, "errors": errors},
    }


def _evidence(manifest: Manifest | None) -> Content:
    """By name, how much log loss leaving it out would cost, as it was fitted; or why not known."""
    if manifest is None:
        return {"adds": [], "why": "Name the estimator (-e) to see what each evidence adds."}
    if manifest.evidence is None:
        return {"adds": [], "why": f"{manifest.name} weighs no evidence beside its raw score."}
    whole = manifest.figures.get("log loss")
    adds = [
        {"name": name.removeprefix(WITHOUT), "cost": loss - whole}
        for name, loss in manifest.figures.items()
        if name.startswith(WITHOUT) and isinstance(loss, float) and isinstance(whole, float)
    ]
    if not adds:
        return {"adds": [], "why": f"{manifest.name} does not record what each evidence adds."}
    return {"adds": sorted(adds, key=lambda one: -one["cost"]), "why": "", "log_loss": whole}


def _values(rows: Scored, column: str) -> list[str]:
    if column == "model" and column not in rows.kept:
        return [row.model or "(none)" for row in rows.graded]
    return rows.column(column)
