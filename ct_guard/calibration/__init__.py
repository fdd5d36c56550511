"""Post-hoc calibration: from a raw logit to P(correct), with what was learnt kept as plain data.

state = calibration.fit("platt", logits, correct)
p = calibration.apply(state, new_logits)
"""

from ct_guard.calibration.base import MIN_ROWS, Calibrator
from ct_guard.calibration.registry import CALIBRATORS, apply, check, fit
from ct_guard.calibration.select import Choice, choose

__all__ = ["CALIBRATORS", "MIN_ROWS", "Calibrator", "Choice", "apply", "check", "choose", "fit"]
