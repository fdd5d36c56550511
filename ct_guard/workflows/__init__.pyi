"""The verbs, and where each stands: the one list of them."""

from .auditing import (
    AuditConfig as AuditConfig,
    AuditResult as AuditResult,
    audit as audit,
)
from .baselines import (
    BaselineConfig as BaselineConfig,
    BaselineResult as BaselineResult,
    baseline as baseline,
)
from .calibrating import (
    CalibrateConfig as CalibrateConfig,
    CalibrateResult as CalibrateResult,
    calibrate as calibrate,
)
from .certifying import (
    CertifyConfig as CertifyConfig,
    CertifyResult as CertifyResult,
    certify as certify,
)
from .evaluating import (
    EvaluateConfig as EvaluateConfig,
    EvaluateResult as EvaluateResult,
    evaluate as evaluate,
)
from .grade_settings import (
    GradeConfig as GradeConfig,
)
from .grading import (
    GradeResult as GradeResult,
    grade as grade,
)
from .recipes import (
    TuneConfig as TuneConfig,
)
from .reporting import (
    Reporter as Reporter,
    Work as Work,
)
from .scoring import (
    ScoreConfig as ScoreConfig,
    ScoreResult as ScoreResult,
    score as score,
)
from .splitting import (
    SplitConfig as SplitConfig,
    SplitResult as SplitResult,
    split as split,
)
from .tuning import (
    TuneResult as TuneResult,
    tune as tune,
)
from .weighing import (
    WeighConfig as WeighConfig,
    WeighResult as WeighResult,
    weigh as weigh,
)
