"""Risk control: thresholds on P(correct), and cascades, that come with a guarantee."""

from ct_guard.risk.answered_wrong import answered_wrong_limit, control_answered_wrong
from ct_guard.risk.binned import BIN_EDGES, bin_of, binned
from ct_guard.risk.cascade import LEARN_SHARE, MOST_MODELS, certify_cascade
from ct_guard.risk.certified import (
    GRID,
    certify,
    corrected_risk,
    graded_alpha,
    least_abstention,
    least_answered,
)
from ct_guard.risk.fields import certify_fields
from ct_guard.risk.groups import certify_groups
from ct_guard.risk.handover import fit_handover

__all__ = [
    "BIN_EDGES",
    "GRID",
    "LEARN_SHARE",
    "MOST_MODELS",
    "answered_wrong_limit",
    "bin_of",
    "binned",
    "certify",
    "certify_cascade",
    "certify_fields",
    "certify_groups",
    "control_answered_wrong",
    "corrected_risk",
    "fit_handover",
    "graded_alpha",
    "least_abstention",
    "least_answered",
]
