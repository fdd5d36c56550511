"""Evaluating, calibrating and certifying scored files."""

from .evaluation import Difference, Evaluated, Evaluation, Options, evaluate_files
from .figures import METRICS, Figure, Metric, differences, evaluate
from .question_prior import cross_fitted_prior, question_prior
from .remarks import remarks
from .scored import Scored, read_scored

__all__ = [
    "METRICS",
    "Difference",
    "Evaluated",
    "Evaluation",
    "Figure",
    "Metric",
    "Options",
    "Scored",
    "cross_fitted_prior",
    "differences",
    "evaluate",
    "evaluate_files",
    "question_prior",
    "read_scored",
    "remarks",
]
