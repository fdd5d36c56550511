"""What the product does, as functions: the verbs that `ct-guard` has commands for.

    from ct_guard import ScoreConfig, score

    done = score("answers.jsonl", "scored.jsonl", ScoreConfig(policy=0.7, overwrite=True))
    print(done.summary.rows, *done.remarks)

Each is one function of its files and one frozen configuration, and returns a result with figures
and remarks. The commands of the same names parse, call, and print.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auditing import AuditConfig, AuditResult, audit
    from .baselines import BaselineConfig, BaselineResult, baseline
    from .calibrating import CalibrateConfig, CalibrateResult, calibrate
    from .certifying import CertifyConfig, CertifyResult, certify
    from .evaluating import EvaluateConfig, EvaluateResult, evaluate
    from .grade_settings import GradeConfig
    from .grading import GradeResult, grade
    from .recipes import TuneConfig
    from .reporting import Reporter, Work
    from .scoring import ScoreConfig, ScoreResult, score
    from .splitting import SplitConfig, SplitResult, split
    from .tuning import TuneResult, tune
    from .weighing import WeighConfig, WeighResult, weigh

_EXPORTS = {
    "AuditConfig": "auditing",
    "AuditResult": "auditing",
    "BaselineConfig": "baselines",
    "BaselineResult": "baselines",
    "CalibrateConfig": "calibrating",
    "CalibrateResult": "calibrating",
    "CertifyConfig": "certifying",
    "CertifyResult": "certifying",
    "EvaluateConfig": "evaluating",
    "EvaluateResult": "evaluating",
    "WeighConfig": "weighing",
    "WeighResult": "weighing",
    "GradeConfig": "grade_settings",
    "GradeResult": "grading",
    "Reporter": "reporting",
    "ScoreConfig": "scoring",
    "ScoreResult": "scoring",
    "SplitConfig": "splitting",
    "SplitResult": "splitting",
    "TuneConfig": "recipes",
    "TuneResult": "tuning",
    "Work": "reporting",
    "audit": "auditing",
    "baseline": "baselines",
    "calibrate": "calibrating",
    "certify": "certifying",
    "evaluate": "evaluating",
    "grade": "grading",
    "score": "scoring",
    "split": "splitting",
    "tune": "tuning",
    "weigh": "weighing",
}

__all__ = [
    "AuditConfig",
    "AuditResult",
    "BaselineConfig",
    "BaselineResult",
    "CalibrateConfig",
    "CalibrateResult",
    "CertifyConfig",
    "CertifyResult",
    "EvaluateConfig",
    "EvaluateResult",
    "GradeConfig",
    "GradeResult",
    "Reporter",
    "ScoreConfig",
    "ScoreResult",
    "SplitConfig",
    "SplitResult",
    "TuneConfig",
    "TuneResult",
    "WeighConfig",
    "WeighResult",
    "Work",
    "audit",
    "baseline",
    "calibrate",
    "certify",
    "evaluate",
    "grade",
    "score",
    "split",
    "tune",
    "weigh",
]


def __getattr__(name: str) -> Any:
    """Verbs load their libraries when they are asked for."""
    if name in _EXPORTS:
        return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
