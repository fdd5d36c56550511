"""Public names, and where each comes from: the one list of them."""

from .errors import (
    CtGuardError as CtGuardError,
)
from .estimators import (
    Estimator as Estimator,
    load_estimator as load_estimator,
)
from .guard import (
    Guard as Guard,
)
from .policies import (
    load_policy as load_policy,
)
from .records import (
    Assessment as Assessment,
    Confidence as Confidence,
    Decision as Decision,
    GradedAnswer as GradedAnswer,
    Message as Message,
    QuestionAnswer as QuestionAnswer,
)
from .workflows import (
    AuditConfig as AuditConfig,
    AuditResult as AuditResult,
    BaselineConfig as BaselineConfig,
    BaselineResult as BaselineResult,
    CalibrateConfig as CalibrateConfig,
    CalibrateResult as CalibrateResult,
    CertifyConfig as CertifyConfig,
    CertifyResult as CertifyResult,
    EvaluateConfig as EvaluateConfig,
    EvaluateResult as EvaluateResult,
    GradeConfig as GradeConfig,
    GradeResult as GradeResult,
    ScoreConfig as ScoreConfig,
    ScoreResult as ScoreResult,
    SplitConfig as SplitConfig,
    SplitResult as SplitResult,
    TuneConfig as TuneConfig,
    TuneResult as TuneResult,
    WeighConfig as WeighConfig,
    WeighResult as WeighResult,
    audit as audit,
    baseline as baseline,
    calibrate as calibrate,
    certify as certify,
    evaluate as evaluate,
    grade as grade,
    score as score,
    split as split,
    tune as tune,
    weigh as weigh,
)

__version__: str
