"""Metrics of P(correct): ranking, calibration, proper scores, selective prediction, intervals.

All take `p`, shape (n,), in [0, 1], and `correct`, boolean, shape (n,); rows without a
probability are to be left out and reported beside. None stands for "not defined on these rows".
"""

from ct_guard.metrics.calibration_error import (
    Binning,
    ReliabilityCurve,
    adaptive_ece,
    debiased_squared_error,
    ece,
    ece_noise_floor,
    paper_folded_ece,
    reliability_curve,
    smooth_ece,
)
from ct_guard.metrics.intervals import Interval, bootstrap, paired_bootstrap
from ct_guard.metrics.ranking import (
    PairAccuracy,
    auprc_of_errors,
    auroc,
    pair_accuracy,
    within_auroc,
)
from ct_guard.metrics.scoring import MurphyDecomposition, brier, log_loss, murphy_decomposition
from ct_guard.metrics.selective import (
    RiskCoverageCurve,
    accuracy_at_coverage,
    augrc,
    aurc,
    coverage_at_risk,
    e_aurc,
    prr,
    risk_coverage_curve,
)

__all__ = [
    "Binning",
    "Interval",
    "MurphyDecomposition",
    "PairAccuracy",
    "ReliabilityCurve",
    "RiskCoverageCurve",
    "accuracy_at_coverage",
    "adaptive_ece",
    "augrc",
    "auprc_of_errors",
    "aurc",
    "auroc",
    "bootstrap",
    "brier",
    "coverage_at_risk",
    "debiased_squared_error",
    "e_aurc",
    "ece",
    "ece_noise_floor",
    "log_loss",
    "murphy_decomposition",
    "pair_accuracy",
    "paired_bootstrap",
    "paper_folded_ece",
    "prr",
    "reliability_curve",
    "risk_coverage_curve",
    "smooth_ece",
    "within_auroc",
]
