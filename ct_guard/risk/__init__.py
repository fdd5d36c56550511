"""Selective-risk control: thresholds on P(correct) that come with a guarantee."""

from ct_guard.risk.binned import BIN_EDGES, bin_of, binned
from ct_guard.risk.certified import (
    GRID,
    certify,
    corrected_risk,
    graded_alpha,
    least_abstention,
    least_answered,
)

__all__ = [
    "BIN_EDGES",
    "GRID",
    "bin_of",
    "binned",
    "certify",
    "corrected_risk",
    "graded_alpha",
    "least_abstention",
    "least_answered",
]
