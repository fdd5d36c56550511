"""Which questions an estimator has not seen."""

from collections.abc import Callable

from ct_guard import Estimator
from ct_guard.evaluation.disjoint import recorded
from ct_guard.store import question_hash

__all__ = ["fresh_for"]


def fresh_for(*estimators: Estimator) -> Callable[[str], bool]:
    """Whether a question, by its key (`QuestionAnswer.question_key`), was in no split of theirs, as
    far as they keep records."""
    seen = frozenset(
        found
        for one in estimators
        if one.folder is not None
        for split in recorded(one.folder, one.manifest).values()
        for found in split
    )
    return lambda key: question_hash(key) not in seen
