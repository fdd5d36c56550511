"""The verbs, and where each stands: the one list of them."""

from .auditing import (
    AuditConfig,
    AuditResult,
    audit,
)
from .baselines import (
    BaselineConfig,
    BaselineResult,
    baseline,
)
from .calibrating import (
    CalibrateConfig,
    CalibrateResult,
    calibrate,
)
from .certifying import (
    CertifyConfig,
    CertifyResult,
    certify,
)
from .evaluating import (
    EvaluateConfig,
    EvaluateResult,
    evaluate,
)
from .grade_settings import (
    GradeConfig,
)
from .grading import (
    GradeResult,
    grade,
)
from .monitoring import (
    MonitorConfig,
    MonitorResult,
    OutcomesConfig,
    OutcomesResult,
    monitor,
    outcomes,
)
from .recipes import (
    TuneConfig,
)
from .reporting import (
    Reporter,
    Work,
)
from .scoring import (
    ScoreConfig,
    ScoreResult,
    score,
)
from .splitting import (
    SplitConfig,
    SplitResult,
    split,
)
from .tuning import (
    TuneResult,
    tune,
)
from .weighing import (
    WeighConfig,
    WeighResult,
    weigh,
)

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
    "MonitorConfig",
    "MonitorResult",
    "OutcomesConfig",
    "OutcomesResult",
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
    "monitor",
    "outcomes",
    "score",
    "split",
    "tune",
    "weigh",
]
