"""Rows scored once, with and without the tuned adapter; every estimator and figure follows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ct_guard.backends import Item, ScoreBatch, Want
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.calibration import apply, fit
from ct_guard.calibration.folds import folds_by_question
from ct_guard.estimators import HybridMethod, Method, TextMethod, make_method
from ct_guard.evidence.question_prior import QuestionPrior, fit_question_prior
from ct_guard.metrics import (
    auroc,
    coverage_at_risk,
    ece,
    log_loss,
    pair_accuracy,
    within_auroc,
)
from ct_guard.query import ContextStyle, Query, render
from ct_guard.records import CalibratorState, GradedAnswer, QuestionAnswer
from ct_guard.store import BaseModelRef, LogisticLayer, Manifest
from ct_guard.tuning import Tuned, fit_hybrid

from .answers import Row, question_of

Floats = NDArray[np.float64]
Pairs = NDArray[np.float32]

Figures = dict[str, float | int | str | None]

STYLE: ContextStyle = "chat_turn"
BUDGET = 512


@dataclass(frozen=True)
class Part:
    """Rows of one split with what the backend says of them, tuned and not."""

    rows: list[Row]
    tuned: ScoreBatch
    plain: ScoreBatch

    @property
    def correct(self) -> NDArray[np.bool_]:
        return np.array([row["correct"] for row in self.rows], dtype=np.bool_)

    @property
    def question(self) -> NDArray[np.str_]:
        """The question's id, by row: the cluster."""
        return np.array([question_of(row) for row in self.rows])

    @property
    def asked(self) -> list[str]:
        return [row["question"] for row in self.rows]

    def with_labels(self, labels: Pairs) -> "Part":
        """The same rows, the query answered by these label logits."""
        return replace(self, tuned=replace(self.plain, label_logits=labels))

    def batch(self, method: str) -> ScoreBatch:
        return self.plain if method == "zero-shot" else self.tuned

    def take(self, keep: Callable[[Row], bool]) -> "Part":
        return self.at([number for number, row in enumerate(self.rows) if keep(row)])

    def at(self, rows: ArrayLike) -> "Part":
        """The rows of these numbers."""
        index = np.asarray(rows, dtype=int)
        kept = [self.rows[n] for n in index]
        return Part(kept, _take(self.tuned, index), _take(self.plain, index))


def _take(batch: ScoreBatch, index: NDArray[np.int_]) -> ScoreBatch:
    logprobs = batch.answer_logprobs
    return ScoreBatch(
        label_logits=None if batch.label_logits is None else batch.label_logits[index],
        answer_logprobs=None if logprobs is None else [logprobs[n] for n in index],
        hidden=None if batch.hidden is None else batch.hidden[index],
        cached_tokens=batch.cached_tokens[index],
        prefilled_tokens=batch.prefilled_tokens[index],
    )


def graded(rows: Sequence[Row]) -> list[GradedAnswer]:
    return [
        GradedAnswer(
            qa=QuestionAnswer(question=row["question"], answer=row["answer"], id=row["id"]),
            correct=row["correct"],
        )
        for row in rows
    ]


def measure(backend: TransformersBackend, rows: list[Row], query: Query) -> Part:
    """Rows as the base model alone reads them: its query, and the answers' log-probabilities."""
    plain = _scored(backend, rows, query, None, frozenset({"labels", "answer_logprobs"}))
    return Part(rows, plain, plain)


def tuned_labels(
    backend: TransformersBackend, rows: Sequence[Row], query: Query, tuned: Tuned
) -> Pairs:
    """Label logits [rows, 2], (no, yes), of a tuned query, or of a probe's head."""
    if tuned.head is None:
        labels = _scored(backend, rows, query, tuned, frozenset({"labels"})).label_logits
    else:
        hidden = _scored(backend, rows, query, tuned, frozenset({"hidden"})).hidden
        labels = None if hidden is None else tuned.head.logits(hidden)
    if labels is None:
        raise ValueError("the backend gave no label logits or hidden states")
    return labels


def _scored(
    backend: TransformersBackend,
    rows: Sequence[Row],
    query: Query,
    tuned: Tuned | None,
    wants: frozenset[Want],
) -> ScoreBatch:
    """Every answer is read once, however often it was given."""
    texts = [(row["question"], row["answer"]) for row in rows]
    different = {text: at for at, text in reversed(list(enumerate(texts)))}
    firsts = sorted(different.values())
    rendered = [
        render(row.qa, style=STYLE, encoder=backend.encoder, query=query, budget=BUDGET)
        for row in graded([rows[at] for at in firsts])
    ]
    items = [Item(made.context, made.answer) for made in rendered]
    found = backend.score(items, query, None if tuned is None else tuned.adapter, wants)
    place = {at: number for number, at in enumerate(firsts)}
    return _take(found, np.array([place[different[text]] for text in texts], dtype=int))


@dataclass(frozen=True)
class Behind:
    """What a threshold lets through of n answers."""

    n: int
    answered: int
    errors: int

    @classmethod
    def of(cls, p: Floats, threshold: float, correct: NDArray[np.bool_]) -> "Behind":
        passed = p >= threshold
        return cls(len(p), int(passed.sum()), int((passed & ~correct).sum()))

    @property
    def cells(self) -> tuple[str, str, str]:
        """Answers, share answered, share wrong among the answered."""
        wrong = f"{self.errors / self.answered:.3f}" if self.answered else "-"
        return f"{self.n:,}", f"{self.answered / self.n:.3f}" if self.n else "-", wrong


@dataclass(frozen=True)
class Made:
    """One estimator before it is written."""

    method: str
    fitted: Method
    calibrator: CalibratorState
    selection_log_loss: float

    @property
    def layer(self) -> LogisticLayer | None:
        return self.fitted.layer if isinstance(self.fitted, HybridMethod) else None

    @property
    def prior(self) -> QuestionPrior | None:
        return self.fitted.prior if isinstance(self.fitted, HybridMethod) else None

    def logits(self, part: Part) -> Floats:
        return self.fitted.logits(part.batch(self.method), part.asked)

    def p(self, part: Part) -> Floats:
        return apply(self.calibrator, self.logits(part))


def prior_of(rows: Sequence[Row]) -> QuestionPrior:
    """Fitted on the questions of graded rows: no model, no answer."""
    return fit_question_prior([row["question"] for row in rows], [row["correct"] for row in rows])


def make(method: str, calibration: Part, prior: QuestionPrior | None = None) -> Made:
    """Fit the layer (hybrid only, over a prior that was fitted on other rows where one is
    given) and the calibrator. The layer learns from all rows; the calibrator, and the log loss to
    choose a method by, see each question through a layer that was fitted without it."""
    correct = calibration.correct
    out_of_fold = np.empty(len(correct))
    for fitted, left_out in folds_by_question(correct, calibration.question):
        left = calibration.at(left_out)
        scorer = _fitted(method, calibration.at(fitted), prior)
        out_of_fold[left_out] = scorer.logits(left.batch(method), left.asked)
    calibrator = fit("platt", out_of_fold, correct)
    loss = log_loss(apply(calibrator, out_of_fold), correct)
    return Made(method, _fitted(method, calibration, prior), calibrator, loss)


def _fitted(method: str, rows: Part, prior: QuestionPrior | None) -> Method:
    if method == "hybrid":
        return fit_hybrid(rows.tuned, rows.asked, rows.correct, prior)
    made = make_method(Manifest(name="", method=method, base=BaseModelRef(id=".")))
    if isinstance(made, TextMethod):
        raise TypeError(f"{method} reads no figures of the base model")
    return made


def figures(made: Made, part: Part) -> Figures:
    """Figures on one part: ranking overall, within kinds and within questions; calibration."""
    return figures_of(made.p(part), part.rows)


def figures_of(p: Floats, rows: Sequence[Row]) -> Figures:
    correct = np.array([row["correct"] for row in rows])
    question = np.array([question_of(row) for row in rows])
    kind = np.array([row["kind"] for row in rows])
    pairs = pair_accuracy(p, correct, question)
    return {
        "rows": len(rows),
        "questions": len(set(question)),
        "accuracy of the answers": float(correct.mean()),
        "AUROC": auroc(p, correct),
        "AUROC within kinds": within_auroc(p, correct, kind),
        "pair accuracy": pairs.value,
        "questions with pairs": pairs.questions,
        "ECE": ece(p, correct),
        "log loss": log_loss(p, correct),
        "coverage at 10% risk": coverage_at_risk(p, correct, 0.10),
    }
