"""Estimators of P(correct), and how they are loaded."""

from .estimator import Estimator, OutOfScopeWarning
from .load import load_estimator
from .methods import FEATURES, METHODS, PRIOR_FEATURES, HybridMethod, Method, features

__all__ = [
    "FEATURES",
    "METHODS",
    "PRIOR_FEATURES",
    "Estimator",
    "HybridMethod",
    "Method",
    "OutOfScopeWarning",
    "features",
    "load_estimator",
]
