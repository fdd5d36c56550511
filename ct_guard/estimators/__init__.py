"""Estimators of P(correct), and how they are loaded."""

from .estimator import Estimator, OutOfScopeWarning
from .load import load_estimator
from .methods import FEATURES, METHODS, Method, features

__all__ = [
    "FEATURES",
    "METHODS",
    "Estimator",
    "Method",
    "OutOfScopeWarning",
    "features",
    "load_estimator",
]
