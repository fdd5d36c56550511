"""Calibration tuning: from graded answers to an adapter, a probe's head, a hybrid's layer."""

from .checkpoint import Progress
from .config import RECIPES, TuningConfig
from .data import split_by_question
from .hybrid import fit_hybrid
from .life import RunLife
from .trainer import Tuned, tune

__all__ = [
    "RECIPES",
    "Progress",
    "RunLife",
    "Tuned",
    "TuningConfig",
    "fit_hybrid",
    "split_by_question",
    "tune",
]
