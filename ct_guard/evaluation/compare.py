"""The same rows in several scored files."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ct_guard.errors import InputError

from .scored import Scored

__all__ = ["align"]

Identity = tuple[str, str, int]


def align(files: Sequence[Scored]) -> list[Scored]:
    """The rows that all `files` have, in the order of the first: row n of each is the same answer.

    Rows are matched by `id` where every row of every file has one of its own, else by question and
    answer (equal ones in order).

    Raises:
        InputError: no row in common, or a row that is graded differently in two files.
    """
    by_id = all(_has_ids(scored) for scored in files)
    places = [
        {name: at for at, name in enumerate(_identities(scored, by_id=by_id))} for scored in files
    ]
    common = [name for name in places[0] if all(name in other for other in places[1:])]
    if not common:
        raise InputError(
            f"{files[1].path} has no row of {files[0].path}: give files of the same rows, scored by"
            " different estimators"
        )
    taken = [
        scored.take([place[name] for name in common])
        for scored, place in zip(files, places, strict=True)
    ]
    first = taken[0]
    for other in taken[1:]:
        differing = np.flatnonzero(other.correct != first.correct)
        if differing.size:
            at = int(differing[0])
            here, there = other.graded[at].where, first.graded[at].where
            raise InputError(
                f"{here}: field 'correct' is not what {there} says of the same answer: compare"
                " files with the same grades"
            )
    return taken


def _has_ids(scored: Scored) -> bool:
    ids = {row.id for row in scored.graded}
    return None not in ids and len(ids) == len(scored)


def _identities(scored: Scored, *, by_id: bool) -> list[Identity]:
    if by_id:
        return [(str(row.id), "", 0) for row in scored.graded]
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for row in scored.graded:
        key = (scored.keys[row.question], row.answer)
        names.append((*key, seen[key]))
        seen[key] += 1
    return names
