"""ct-guard: how likely an LLM's answer is to be correct, and what to do about it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ct_guard.errors import CtGuardError
    from ct_guard.estimators import Estimator, load_estimator
    from ct_guard.guard import Guard
    from ct_guard.policies import load_policy
    from ct_guard.records import (
        Assessment,
        Confidence,
        Decision,
        GradedAnswer,
        Message,
        QuestionAnswer,
    )
    from ct_guard.workflows import (
        AuditConfig,
        AuditResult,
        BaselineConfig,
        BaselineResult,
        CalibrateConfig,
        CalibrateResult,
        CertifyConfig,
        CertifyResult,
        EvaluateConfig,
        EvaluateResult,
        GradeConfig,
        GradeResult,
        ScoreConfig,
        ScoreResult,
        SplitConfig,
        SplitResult,
        TuneConfig,
        TuneResult,
        WeighConfig,
        WeighResult,
        audit,
        baseline,
        calibrate,
        certify,
        evaluate,
        grade,
        score,
        split,
        tune,
        weigh,
    )

_EXPORTS = {
    "Assessment": "ct_guard.records",
    "AuditConfig": "ct_guard.workflows",
    "AuditResult": "ct_guard.workflows",
    "BaselineConfig": "ct_guard.workflows",
    "BaselineResult": "ct_guard.workflows",
    "CalibrateConfig": "ct_guard.workflows",
    "CalibrateResult": "ct_guard.workflows",
    "CertifyConfig": "ct_guard.workflows",
    "CertifyResult": "ct_guard.workflows",
    "Confidence": "ct_guard.records",
    "CtGuardError": "ct_guard.errors",
    "Decision": "ct_guard.records",
    "Estimator": "ct_guard.estimators",
    "EvaluateConfig": "ct_guard.workflows",
    "EvaluateResult": "ct_guard.workflows",
    "WeighConfig": "ct_guard.workflows",
    "WeighResult": "ct_guard.workflows",
    "GradeConfig": "ct_guard.workflows",
    "GradeResult": "ct_guard.workflows",
    "GradedAnswer": "ct_guard.records",
    "Guard": "ct_guard.guard",
    "Message": "ct_guard.records",
    "QuestionAnswer": "ct_guard.records",
    "ScoreConfig": "ct_guard.workflows",
    "ScoreResult": "ct_guard.workflows",
    "SplitConfig": "ct_guard.workflows",
    "SplitResult": "ct_guard.workflows",
    "TuneConfig": "ct_guard.workflows",
    "TuneResult": "ct_guard.workflows",
    "audit": "ct_guard.workflows",
    "baseline": "ct_guard.workflows",
    "calibrate": "ct_guard.workflows",
    "certify": "ct_guard.workflows",
    "evaluate": "ct_guard.workflows",
    "grade": "ct_guard.workflows",
    "load_estimator": "ct_guard.estimators",
    "load_policy": "ct_guard.policies",
    "score": "ct_guard.workflows",
    "split": "ct_guard.workflows",
    "tune": "ct_guard.workflows",
    "weigh": "ct_guard.workflows",
}

__all__ = [
    "Assessment",
    "AuditConfig",
    "AuditResult",
    "BaselineConfig",
    "BaselineResult",
    "CalibrateConfig",
    "CalibrateResult",
    "CertifyConfig",
    "CertifyResult",
    "Confidence",
    "CtGuardError",
    "Decision",
    "Estimator",
    "EvaluateConfig",
    "EvaluateResult",
    "GradeConfig",
    "GradeResult",
    "GradedAnswer",
    "Guard",
    "Message",
    "QuestionAnswer",
    "ScoreConfig",
    "ScoreResult",
    "SplitConfig",
    "SplitResult",
    "TuneConfig",
    "TuneResult",
    "WeighConfig",
    "WeighResult",
    "audit",
    "baseline",
    "calibrate",
    "certify",
    "evaluate",
    "grade",
    "load_estimator",
    "load_policy",
    "score",
    "split",
    "tune",
    "weigh",
]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use: importing ct_guard loads no library."""
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
