"""Selective-risk control: thresholds on P(correct) that come with a guarantee."""

from ct_guard.risk.certified import (
    GRID,
    certify,
    corrected_risk,
    graded_alpha,
    least_abstention,
    least_answered,
)

__all__ = [
    "GRID",
    "certify",
    "corrected_risk",
    "graded_alpha",
    "least_abstention",
    "least_answered",
]
