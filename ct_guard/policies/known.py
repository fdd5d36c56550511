"""Policies that rest on what an estimator knows: its certificates, its other promises, and what it
knows of asking stronger models and of runs of agents."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from ct_guard.certificates import Certificate
from ct_guard.errors import PolicyError
from ct_guard.promises import (
    AnsweredWrong,
    CascadeCertificate,
    FieldCertificate,
    GroupCertificates,
    Handover,
    Promise,
)
from ct_guard.records import Action, Probability, Record
from ct_guard.runs import RunLayer

from .base import Policy
from .cost import Cost
from .fields import Fields
from .promised import BelowAnsweredWrong, Cascade
from .rules import Certified, OnVoid
from .run import Run

__all__ = ["RESTING", "Known"]

Known = Certificate | Promise
"""What an estimator's manifest holds that policies rest on."""


class _Certified(Record):
    """Which of the estimator's certificates is meant: the first that fits."""

    kind: Literal["certified"]
    alpha: Probability | None = None
    delta: Probability | None = None
    group: str | None = None
    """Of certificates by group: the one of this group; their `delta` is that of all together."""
    below: Action = "abstain"
    on_void: OnVoid = "abstain"


class _Cascade(Record):
    kind: Literal["cascade"]
    alpha: Probability | None = None
    delta: Probability | None = None
    below: Literal["abstain", "human"] = "abstain"
    on_void: OnVoid = "abstain"


class _AnsweredWrong(Record):
    kind: Literal["answered_wrong"]
    alpha: Probability | None = None
    below: Action = "abstain"
    on_void: OnVoid = "abstain"


def _certified(data: dict[str, Any], known: Sequence[Known], where: str) -> Policy:
    asked = _Certified.model_validate(data)
    if asked.group is None:
        fitting = [
            one
            for one in known
            if isinstance(one, Certificate) and _fits(asked, one.alpha, one.delta)
        ]
    else:
        fitting = [
            one.certificates[asked.group]
            for one in known
            if isinstance(one, GroupCertificates)
            and _fits(asked, one.alpha, one.delta)
            and asked.group in one.certificates
        ]
    if not fitting:
        of = "" if asked.group is None else f" of group {asked.group!r}"
        raise PolicyError(
            f"{where}: the estimator holds no such certificate{of} (it holds {_held(known)}):"
            " make one with 'ct-guard certify', or use a threshold such as 0.7"
        )
    passed = [one for one in fitting if one.threshold is not None]
    if not passed:
        raise PolicyError(f"{where}: no threshold could be certified: {fitting[0].reason}")
    return Certified(certificate=passed[0], below=asked.below, on_void=asked.on_void)


def _cascade(data: dict[str, Any], known: Sequence[Known], where: str) -> Policy:
    asked = _Cascade.model_validate(data)
    fitting = [
        one
        for one in known
        if isinstance(one, CascadeCertificate) and _fits(asked, one.alpha, one.delta)
    ]
    if not fitting:
        raise PolicyError(
            f"{where}: the estimator holds no such cascade (it holds {_held(known)}): make one with"
            " 'ct-guard certify --cascade'"
        )
    passed = [one for one in fitting if one.stages]
    if not passed:
        raise PolicyError(f"{where}: no cascade could be certified: {fitting[0].reason}")
    return Cascade(certificate=passed[0], below=asked.below, on_void=asked.on_void)


def _answered_wrong(data: dict[str, Any], known: Sequence[Known], where: str) -> Policy:
    asked = _AnsweredWrong.model_validate(data)
    fitting = [
        one for one in known if isinstance(one, AnsweredWrong) and asked.alpha in (None, one.alpha)
    ]
    if not fitting:
        raise PolicyError(
            f"{where}: the estimator holds no such promise (it holds {_held(known)}): make one with"
            " 'ct-guard certify --answered-wrong'"
        )
    passed = [one for one in fitting if one.threshold is not None]
    if not passed:
        raise PolicyError(f"{where}: no threshold keeps it: {fitting[0].reason}")
    return BelowAnsweredWrong(promise=passed[0], below=asked.below, on_void=asked.on_void)


def _cost(data: dict[str, Any], known: Sequence[Known], where: str) -> Policy:
    """With the first handover that tells of as many models, by the same names where they have
    any."""
    models = data.get("models")
    if "handover" in data or not isinstance(models, list) or len(models) < 2:
        return Cost.model_validate(data)
    names = [model.get("name") if isinstance(model, dict) else None for model in models]
    for one in known:
        if isinstance(one, Handover) and len(one.models) == len(names):
            pairs = zip(names, one.models, strict=True)
            if all(name in (None, knows) for name, knows in pairs):
                return Cost.model_validate({**data, "handover": one})
    return Cost.model_validate(data)


def _fields(data: dict[str, Any], known: Sequence[Known], where: str) -> Policy:
    """With the certificate that `threshold` "certified" means, or that of `alpha`; without either
    and without a number, the first that the estimator holds."""
    asked = {name: value for name, value in data.items() if name not in ("alpha", "delta")}
    certified = asked.get("threshold") == "certified" or data.keys() & {"alpha", "delta"}
    if not certified and ("threshold" in data or "certificate" in data):
        return Fields.model_validate(asked)
    fitting = [
        one
        for one in known
        if isinstance(one, FieldCertificate)
        and data.get("alpha") in (None, one.alpha)
        and data.get("delta") in (None, one.delta)
    ]
    passed = [one for one in fitting if one.threshold is not None]
    if passed:
        return Fields.model_validate({**asked, "threshold": None, "certificate": passed[0]})
    if not certified:
        return Fields.model_validate(asked)
    if fitting:
        raise PolicyError(f"{where}: no threshold could be certified: {fitting[0].reason}")
    raise PolicyError(
        f"{where}: the estimator holds no such certificate of fields (it holds {_held(known)}):"
        " make one with 'ct-guard certify --fields', or give a threshold such as 0.9"
    )


def _run(data: dict[str, Any], known: Sequence[Known], where: str) -> Policy:
    layer = next((one for one in known if isinstance(one, RunLayer)), None)
    if layer is None and "layer" not in data:
        raise PolicyError(
            f"{where}: the estimator knows nothing of runs: label some, and fit that by 'ct-guard"
            " calibrate --runs runs.jsonl -e DIR -o DIR'"
        )
    return Run.model_validate({"layer": layer, **data})


RESTING: dict[str, Callable[[dict[str, Any], Sequence[Known], str], Policy]] = {
    "certified": _certified,
    "cascade": _cascade,
    "answered_wrong": _answered_wrong,
    "cost": _cost,
    "fields": _fields,
    "run": _run,
}
"""By kind, what makes the policy of its JSON and of what the estimator knows."""


def _fits(asked: _Certified | _Cascade, alpha: float, delta: float) -> bool:
    return asked.alpha in (None, alpha) and asked.delta in (None, delta)


def _held(known: Sequence[Known]) -> str:
    """What there is, in a few words each."""
    said = []
    for one in known:
        if isinstance(one, Certificate):
            said.append(f"alpha={one.alpha:g} delta={one.delta:g}")
        elif isinstance(one, GroupCertificates):
            groups = ", ".join(one.certificates)
            said.append(f"by {one.column} alpha={one.alpha:g} delta={one.delta:g}: {groups}")
        elif isinstance(one, CascadeCertificate):
            said.append(f"a cascade alpha={one.alpha:g} delta={one.delta:g}")
        elif isinstance(one, FieldCertificate):
            said.append(f"fields alpha={one.alpha:g} delta={one.delta:g}")
        elif isinstance(one, AnsweredWrong):
            said.append(f"answered and wrong at most {one.alpha:g}")
    return ", ".join(said) or "none"
