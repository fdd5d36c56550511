"""Policies by what users write: a number, a word, a file, or the policy itself."""

import os.path
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ct_guard.certificates import Certificate
from ct_guard.errors import PolicyError
from ct_guard.files.untrusted_json import JsonError, read_json
from ct_guard.promises import Voidable
from ct_guard.records import Action

from .base import Policy, parts
from .budget import Budget
from .gate import ToolGate
from .known import RESTING, Known
from .promised import BelowAnsweredWrong, Cascade
from .require import Require
from .resample import Resample
from .rules import Annotate, Certified, Escalate, Retry, Review, Threshold

__all__ = ["default_policy", "load_policy"]

_Kind = Annotate | Threshold | Escalate | Retry | Review | ToolGate | Require | Resample | Budget

_KINDS: dict[str, type[_Kind]] = {
    "annotate": Annotate,
    "threshold": Threshold,
    "escalate": Escalate,
    "retry": Retry,
    "review": Review,
    "tools": ToolGate,
    "require": Require,
    "resample": Resample,
    "budget": Budget,
}

_INNER = ("answers", "otherwise", "policy")
"""Fields that hold another policy."""


def load_policy(
    spec: "str | float | Path | dict[str, Any] | Policy", certificates: Sequence[Known] = ()
) -> Policy:
    """A policy from `0.7`, `"annotate"`, `"certified"`, a JSON file or its content.

    `certificates` are what the estimator knows (`Manifest.known`), for policies that rest on it:
    "certified", and the kinds certified, cascade, answered_wrong, cost and run. Raises PolicyError
    that says what to write.
    """
    try:
        policy = _load(spec, certificates)
    except RecursionError:  # more than one file may nest: a policy may name another's file
        raise PolicyError(
            "a policy is nested too deeply, or its file names itself: combine fewer"
        ) from None
    for part in parts(policy):
        if isinstance(part, Certified | Cascade | BelowAnsweredWrong):
            promise: Voidable = (
                part.promise if isinstance(part, BelowAnsweredWrong) else part.certificate
            )
            if part.on_void == "raise" and promise.void is not None:
                again = " --from-outcomes" if isinstance(part, Certified) else ""
                raise PolicyError(
                    f"{promise.void.reason}: make a new one with 'ct-guard certify{again}'"
                )
    return policy


def _load(
    spec: "str | float | Path | dict[str, Any] | Policy", certificates: Sequence[Known]
) -> Policy:
    if isinstance(spec, int | float) and not isinstance(spec, bool):
        return _threshold(spec)
    if isinstance(spec, dict):
        return _from_json(spec, certificates, "policy")
    if not isinstance(spec, str | Path):
        if isinstance(spec, bool) or not hasattr(spec, "decide"):
            raise PolicyError("a policy is a number, 'certified', 'annotate' or a JSON file")
        return spec
    text = str(spec)
    if text in ("annotate", "certified"):
        return _from_json({"kind": text}, certificates, text)
    try:
        return _threshold(float(text))
    except ValueError as error:
        if isinstance(error, PolicyError):
            raise
    path = Path(text)
    if not os.path.isfile(path):  # False for whatever is no path at all
        if path.suffix == ".json":
            raise PolicyError(f"no policy file {text[:200]!r}: check the path")
        raise PolicyError(
            f"no policy {text!r}: give a threshold such as 0.7, 'certified', 'annotate', or a JSON"
            " file"
        )
    try:
        data = read_json(path)
    except JsonError as error:
        raise PolicyError(
            f'{path} is not valid JSON: {error}; it holds one such as {{"kind": "threshold", …}}'
        ) from error
    return _from_json(data, certificates, str(path))


def default_policy(certificates: Sequence[Known]) -> Policy:
    """The estimator's certified threshold where it has one, else `Annotate`. A void certificate is
    not passed over: behind it, nothing passes."""
    usable = [
        known
        for known in certificates
        if isinstance(known, Certificate) and known.threshold is not None
    ]
    return Certified(certificate=usable[0]) if usable else Annotate()


def _threshold(value: float) -> Threshold:
    if not 0 <= value <= 1:
        raise PolicyError(f"a threshold is a probability between 0 and 1, not {str(value)[:20]}")
    return Threshold(threshold=value)


def _from_json(data: dict[str, Any], certificates: Sequence[Known], where: str) -> Policy:
    kind = data.get("kind")
    try:
        if isinstance(kind, str) and kind in RESTING:
            return RESTING[kind](_with_inner(data, certificates, where), certificates, where)
        if not isinstance(kind, str) or kind not in _KINDS:
            known = ", ".join([*_KINDS, *RESTING])
            raise PolicyError(f"{where}: unknown kind {kind!r}: there are {known}")
        return _KINDS[kind].model_validate(_with_inner(data, certificates, where))
    except OverflowError as error:
        raise PolicyError(f"{where}: a number is out of range") from error
    except ValidationError as error:
        raise PolicyError(f"{where}: {_problem(error, _KINDS.get(str(kind)))}") from error


def _problem(error: ValidationError, kind: type[BaseModel] | None) -> str:
    """What is wrong first: a field that does not exist, since a misspelt one leaves another out."""
    errors = error.errors()
    unknown = next((one for one in errors if one["type"] == "extra_forbidden"), None)
    first = unknown or errors[0]
    field = ".".join(map(str, first["loc"])) or "value"
    if unknown is None:
        return f"field {field!r}: {first['msg']}"
    if kind is None or len(unknown["loc"]) > 1:
        return f"no field {field!r}: leave it out, or check its name"
    return f"no field {field!r}: there are {', '.join(kind.model_fields)}"


def _with_inner(data: dict[str, Any], certificates: Sequence[Known], where: str) -> dict[str, Any]:
    """The fields, with every policy in them loaded; plain actions stay."""
    loaded = dict(data)
    for field in [name for name in _INNER if name in data]:
        value: Any = data[field]
        if isinstance(value, dict):
            loaded[field] = _from_json(value, certificates, f"{where}: {field}")
        elif not (isinstance(value, str) and value in get_args(Action)):
            loaded[field] = _load(value, certificates)
    return loaded
