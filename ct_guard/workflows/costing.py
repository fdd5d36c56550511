"""What policies do on held-out graded answers, and what that costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ct_guard.errors import FieldError

if TYPE_CHECKING:
    from ct_guard.evaluation import Scored
    from ct_guard.evaluation.cascade import Joined
    from ct_guard.evaluation.playing import Played
    from ct_guard.policies import Known, Policy
    from ct_guard.promises import Costs

__all__ = ["CostConfig", "CostResult", "cost"]


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """Which policies, and what happens to cost."""

    estimator: str | Path
    """The estimator that scored the rows, and whose promises policies rest on."""
    policy: Sequence[Any] = ()
    """Each as a guard takes it; none: all answers of the first model, what the estimator promises,
    and the policy `cost` with these costs."""
    error: float = 10.0
    """What an answer costs that is let through and is wrong."""
    abstain: float = 1.0
    """What a question without an answer costs, in the same unit."""
    price: Sequence[float] = ()
    """What a call of each model costs, in the order of the files; none: 0."""
    first: bool = False
    """Whether the first graded answer to each question counts, where there are several."""
    drawn: bool = False
    """Whether one at random does; always the same one."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column values that a row must have."""


@dataclass(frozen=True)
class CostResult:
    """What each policy did, in the order given."""

    played: "tuple[Played, ...]"
    models: tuple[str, ...]
    costs: "Costs"
    remarks: tuple[str, ...]


def cost(sources: Sequence[str | Path] | str | Path, config: CostConfig) -> CostResult:
    """Play policies on graded answers, as a guard would ask the models, and count errors, calls and
    costs.

    Args:
        sources: what `score` wrote, with grades: a file for each model, in the order in which they
            are asked, of answers to the same questions, none of which the estimator has seen in
            tuning, calibration or certification.
        config: the policies and the costs.

    Raises:
        InputError: rows that cannot be read, are not independent, or were used before.
        FieldError: costs that make no sense; PolicyError: a policy that makes none.
    """
    from ct_guard.estimators.weighing import weighing_of
    from ct_guard.evaluation import read_scored
    from ct_guard.evaluation.cascade import join
    from ct_guard.evaluation.certify import one_each
    from ct_guard.policies import load_policy
    from ct_guard.store import load_manifest, locate

    from .leakage import check_new
    from .promising import costs_of

    paths = [sources] if isinstance(sources, (str, Path)) else list(sources)
    if not paths:
        raise FieldError("give at least one scored file")
    prices = tuple(config.price) or (0.0,) * len(paths)
    costs = costs_of(len(paths), prices, config.abstain, config.error)
    folder = locate(config.estimator)
    manifest = load_manifest(folder)
    said: list[str] = []
    files: list[Scored] = []
    for path in paths:
        scored = read_scored(path, need="logit", where=config.where)
        said += check_new(scored, folder, manifest, allowed=("test",))
        files.append(one_each(scored, first=config.first, drawn=config.drawn))
    joined = join(files, manifest, weighing_of(manifest, folder))
    policies = [load_policy(one, manifest.known) for one in config.policy]
    if not policies:
        policies = [*_defaults(costs, manifest.known, said)]
    if joined.left_out:
        said.append(f"{joined.left_out:,} questions lack a graded answer of some model.")
    played = tuple(_played(one, joined, costs) for one in policies)
    return CostResult(played, joined.names, costs, tuple(dict.fromkeys(said)))


def _defaults(costs: "Costs", known: "Sequence[Known]", said: list[str]) -> "Iterator[Policy]":
    """Every answer of the first model, what was certified, and the least expected cost."""
    from ct_guard.certificates import Certificate
    from ct_guard.errors import PolicyError
    from ct_guard.policies import Annotate, Cascade, Certified, load_policy
    from ct_guard.promises import CascadeCertificate

    models = len(costs.prices)
    yield Annotate()
    for one in known:
        if isinstance(one, Certificate) and one.threshold is not None:
            yield Certified(certificate=one)
        if isinstance(one, CascadeCertificate) and one.stages and len(one.models) == models:
            yield Cascade(certificate=one)
    priced = [{"price": price} for price in costs.prices]
    spec = {"kind": "cost", "error": costs.error, "abstain": costs.abstain, "models": priced}
    try:
        yield load_policy(spec, known)
    except PolicyError as error:
        said.append(f"The policy `cost` is left out: {error}.")


def _played(policy: "Policy", joined: "Joined", costs: "Costs") -> "Played":
    """A certified cascade asks the models in its own order, whatever that of the files."""
    from ct_guard.evaluation.playing import play
    from ct_guard.policies import Cascade, parts

    order = list(range(len(joined.names)))
    for part in parts(policy):
        if isinstance(part, Cascade) and len(part.certificate.models) == len(order):
            models = part.certificate.models
            order = [models.index(stage.model) for stage in part.certificate.stages]
    return play(policy, joined.p, joined.correct, costs, order=order)
