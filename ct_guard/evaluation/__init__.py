"""Evaluating, calibrating and certifying scored files."""

from .beside import Beside, Pair, beside
from .evaluation import Difference, Evaluated, Evaluation, Options, evaluate_files
from .figures import METRICS, Figure, Metric, differences, evaluate
from .question_prior import cross_fitted_prior, question_prior
from .remarks import remarks
from .scored import Scored, read_scored

__all__ = [
    "METRICS",
    "Beside",
    "Difference",
    "Evaluated",
    "Evaluation",
    "Figure",
    "Metric",
    "Options",
    "Pair",
    "Scored",
    "beside",
    "cross_fitted_prior",
    "differences",
    "evaluate",
    "evaluate_files",
    "question_prior",
    "read_scored",
    "remarks",
]
