"""The verbs, and where each stands: the one list of them."""

from .agent_runs import (
    CalibrateRunsConfig,
    CalibrateRunsResult,
    calibrate_runs,
)
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
from .costing import (
    CostConfig,
    CostResult,
    cost,
)
from .deciding import (
    CalibrateDecisionsConfig,
    CalibrateDecisionsResult,
    calibrate_decisions,
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
from .presenting import (
    ReportConfig,
    ReportResult,
    report,
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
from .score_settings import (
    ScoreConfig,
)
from .scoring import (
    ScoreResult,
    score,
)
from .serving import (
    ServeConfig,
    ServeResult,
    serve,
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
    "CalibrateDecisionsConfig",
    "CalibrateDecisionsResult",
    "CalibrateResult",
    "CalibrateRunsConfig",
    "CalibrateRunsResult",
    "CertifyConfig",
    "CertifyResult",
    "CostConfig",
    "CostResult",
    "EvaluateConfig",
    "EvaluateResult",
    "GradeConfig",
    "GradeResult",
    "MonitorConfig",
    "MonitorResult",
    "OutcomesConfig",
    "OutcomesResult",
    "ReportConfig",
    "ReportResult",
    "Reporter",
    "ScoreConfig",
    "ScoreResult",
    "ServeConfig",
    "ServeResult",
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
    "calibrate_decisions",
    "calibrate_runs",
    "certify",
    "cost",
    "evaluate",
    "grade",
    "monitor",
    "outcomes",
    "report",
    "score",
    "serve",
    "split",
    "tune",
    "weigh",
]
