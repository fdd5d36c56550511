"""Estimators of P(correct), and how they are loaded."""

from .estimator import Estimator
from .load import load_estimator
from .methods import (
    FEATURES,
    PRIOR_FEATURES,
    HybridMethod,
    Method,
    TextMethod,
    features,
    make_method,
)
from .scope import OutOfScopeWarning

__all__ = [
    "FEATURES",
    "PRIOR_FEATURES",
    "Estimator",
    "HybridMethod",
    "Method",
    "OutOfScopeWarning",
    "TextMethod",
    "features",
    "load_estimator",
    "make_method",
]
