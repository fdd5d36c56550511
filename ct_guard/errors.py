"""Every error that ct-guard raises on purpose.

    CtGuardError
    ├── UsageError                what was asked for makes no sense; also a ValueError
    │   ├── FieldError            a setting of a workflow that does not fit the others
    │   └── PolicyError           a policy that cannot be read or does not fit the estimator
    ├── InputError                a file or row that cannot be used: names file, line and field
    │   └── OutputExistsError     an existing output would be overwritten
    ├── EstimatorError            an estimator that cannot be used
    │   ├── ManifestError         its manifest is missing, broken, or its hashes do not fit
    │   ├── MismatchError         base model, query, labels or adapter do not fit each other
    │   └── HubError              a repository that cannot be had, or not be written
    ├── BackendError              the engine failed
    │   ├── NonFiniteScoreError   a score is NaN or infinite
    │   ├── SelfTestError         the start-up check found wrong arithmetic
    │   └── ServerError           a server cannot be had, is late, or sends what is no answer
    ├── CalibrationError          a calibrator cannot be fitted or applied
    ├── TuningError               training cannot start or went wrong
    ├── ExportError               a model or adapter that another format cannot express
    ├── DeadlineError             scoring did not finish in time; also a TimeoutError
    ├── OverloadedError           too much waits to be scored already
    ├── LowConfidenceError        a policy was told to raise instead of passing an answer
    └── MissingExtraError         an optional dependency is absent: says what to install

Each message is one line that says what is wrong and what to do next. It names the settings of a
workflow as fields, `between` these quotes; the command line shows them as its options.
"""

__all__ = [
    "BackendError",
    "CalibrationError",
    "CtGuardError",
    "DeadlineError",
    "EstimatorError",
    "ExportError",
    "FieldError",
    "HubError",
    "InputError",
    "LowConfidenceError",
    "ManifestError",
    "MismatchError",
    "MissingExtraError",
    "NonFiniteScoreError",
    "OutputExistsError",
    "OverloadedError",
    "PolicyError",
    "SelfTestError",
    "ServerError",
    "TuningError",
    "UsageError",
]


class CtGuardError(Exception):
    """Base of all errors here."""


class UsageError(CtGuardError, ValueError):
    """What was asked for makes no sense."""


class FieldError(UsageError):
    """A setting of a workflow that does not fit the others."""


class PolicyError(UsageError):
    """A policy that cannot be read or does not fit the estimator."""


class InputError(CtGuardError):
    """A file or row that cannot be used."""


class OutputExistsError(InputError):
    """An existing output would be overwritten."""


class EstimatorError(CtGuardError):
    """An estimator that cannot be used."""


class ManifestError(EstimatorError):
    """The manifest is missing or broken, or a file differs from its hash."""


class MismatchError(EstimatorError):
    """Base model, query, labels or adapter do not fit each other."""


class HubError(EstimatorError):
    """A repository of the hub cannot be had, or not be written."""


class BackendError(CtGuardError):
    """The engine failed."""


class NonFiniteScoreError(BackendError):
    """A score is NaN or infinite."""


class SelfTestError(BackendError):
    """The start-up check found wrong arithmetic."""


class ServerError(BackendError):
    """A server cannot be had, does not answer in time, or sends what is no answer."""


class CalibrationError(CtGuardError):
    """A calibrator cannot be fitted or applied."""


class TuningError(CtGuardError):
    """Training cannot start or went wrong."""


class ExportError(CtGuardError):
    """A model or adapter that another format cannot express."""


class DeadlineError(CtGuardError, TimeoutError):
    """Scoring did not finish in time."""


class OverloadedError(CtGuardError):
    """Too much waits to be scored already."""


class LowConfidenceError(CtGuardError):
    """A policy was told to raise instead of passing an answer."""


class MissingExtraError(CtGuardError, ImportError):
    """An optional dependency is absent, or older than what is asked of it."""

    def __init__(self, what: str, extra: str, *, newer: str | None = None) -> None:
        """`newer` is the requirement that the installed version does not meet."""
        way = f"an optional dependency: pip install 'ct-guard[{extra}]'"
        if newer is not None:
            way = f"a newer version: pip install -U '{newer}'"
        super().__init__(f"{what} needs {way}")
