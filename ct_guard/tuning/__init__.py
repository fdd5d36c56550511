"""Calibration tuning: from graded answers to an adapter and a hybrid's layer."""

from .data import split_by_question, split_hash
from .hybrid import fit_layer
from .trainer import Progress, Tuned, TuningConfig, tune

__all__ = [
    "Progress",
    "Tuned",
    "TuningConfig",
    "fit_layer",
    "split_by_question",
    "split_hash",
    "tune",
]
