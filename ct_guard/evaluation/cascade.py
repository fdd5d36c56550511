"""Graded answers of several models to the same questions, from their scored files: certified
cascades, and what asking the stronger ones is worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ct_guard import risk
from ct_guard.certificates import Arithmetic
from ct_guard.errors import InputError
from ct_guard.estimators.weighing import Weighing
from ct_guard.promises import CascadeCertificate, Costs, Handover
from ct_guard.store import Manifest, question_hash, set_hash

from .certify import arithmetic_of
from .probabilities import probabilities
from .scored import Scored

__all__ = ["Joined", "certify_cascade", "handover_of", "join"]


@dataclass(frozen=True)
class Joined:
    """The questions that every model has answered."""

    names: tuple[str, ...]
    p: NDArray[np.float64]
    """P(correct), shape (n, K)."""
    correct: NDArray[np.bool_]
    keys: tuple[str, ...]
    """Of the questions."""
    first: Scored
    """The first model's rows, in the same order."""
    left_out: int
    """Questions that some model has no graded answer to."""
    arithmetic: Arithmetic | None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def split_hash(self) -> str:
        return set_hash(self.keys)


def join(files: Sequence[Scored], manifest: Manifest, weighing: Weighing | None = None) -> Joined:
    """Join scored files by question: one of each model, in the order in which models are asked,
    each with one answer a question (see `certify.independent`) and read with `need="logit"`.

    Raises:
        InputError: files that share no question, or were scored in different arithmetics.
    """
    at = [{one.keys[row.question]: place for place, row in enumerate(one.graded)} for one in files]
    shared = [key for key in at[0] if all(key in places for places in at[1:])]
    if not shared:
        names = ", ".join(one.path for one in files)
        raise InputError(
            f"{names}: share no graded question: a cascade is judged by answers of all its models"
            " to the same questions, word for word"
        )
    taken = [one.take(places[key] for key in shared) for one, places in zip(files, at, strict=True)]
    computed = [arithmetic_of(one) for one in files]
    for one, other in zip(computed[1:], files[1:], strict=True):
        if one and computed[0] and not one.same_as(computed[0]):
            raise InputError(
                f"{other.path}: scored by {one}, and {files[0].path} by {computed[0]}: score both"
                " in the same one"
            )
    return Joined(
        names=_names(taken),
        p=np.column_stack([probabilities(one, manifest, weighing) for one in taken]),
        correct=np.column_stack([one.correct for one in taken]),
        keys=tuple(shared),
        first=taken[0],
        left_out=len({key for places in at for key in places}) - len(shared),
        arithmetic=computed[0],
    )


def certify_cascade(
    joined: Joined,
    costs: Costs,
    *,
    alpha: float,
    delta: float,
    grader_false_pass: float = 0.0,
) -> CascadeCertificate:
    """The cheapest certified cascade of these models (`risk.certify_cascade`). What it is learnt on
    is a part of the questions by their hashes, which no label has a say in.

    Raises:
        UsageError: a value outside its range.
    """
    stricter = risk.graded_alpha(alpha, grader_false_pass)
    found = risk.certify_cascade(
        joined.p,
        joined.correct,
        _to_learn(joined.keys),
        models=joined.names,
        costs=costs,
        alpha=stricter,
        delta=delta,
        split_hash=joined.split_hash,
    )
    return found.model_copy(
        update={
            "alpha": alpha,
            "grader_false_pass": grader_false_pass,
            "arithmetic": joined.arithmetic,
        }
    )


def handover_of(joined: Joined) -> Handover:
    """What is known of asking each next model (`risk.fit_handover`)."""
    return risk.fit_handover(
        joined.p, joined.correct, models=joined.names, split_hash=joined.split_hash
    )


def _to_learn(keys: Sequence[str]) -> NDArray[np.bool_]:
    order = np.argsort([question_hash(key) for key in keys], kind="stable")
    learn = np.zeros(len(keys), dtype=np.bool_)
    learn[order[: round(len(keys) * risk.LEARN_SHARE)]] = True
    return learn


def _names(files: Sequence[Scored]) -> tuple[str, ...]:
    """The answering model of each file where it has one, else the file's own name; told apart by
    their place where they are the same."""
    names: list[str] = []
    for place, one in enumerate(files, start=1):
        models = {row.model for row in one.graded}
        only = models.pop() if len(models) == 1 else None
        name = " ".join((only or one.path.rpartition("/")[2]).split())
        names.append(f"{name} ({place})" if name in names else name)
    return tuple(names)
