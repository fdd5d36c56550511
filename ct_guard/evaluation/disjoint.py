"""Whether the questions of a file were used before, as far as an estimator's records show it."""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from ct_guard.errors import InputError
from ct_guard.files import Rejected, open_rows, question_answer
from ct_guard.store import Manifest, load_questions, question_hash

from .scored import UNNAMED, Scored

__all__ = [
    "check_apart",
    "check_scored_by",
    "check_unused",
    "question_keys",
    "recorded",
    "seen_before",
    "with_split",
]


def recorded(folder: Path, manifest: Manifest) -> dict[str, frozenset[str]]:
    """Hashes of the questions of each split; empty where the estimator keeps none."""
    return {} if manifest.questions is None else load_questions(folder / manifest.questions)


def with_split(
    folder: Path, manifest: Manifest, name: str, scored: Scored
) -> tuple[dict[str, str], dict[str, frozenset[str]]]:
    """The manifest's `data`, and the hashes of the questions of each split, with the questions of
    `scored` in the split `name`: added to those that were in it before."""
    splits = recorded(folder, manifest)
    before = splits.get(name, frozenset())
    return (
        manifest.data | {name: scored.set_hash},
        splits | {name: before | scored.question_hashes},
    )


def check_unused(
    scored: Scored, folder: Path, manifest: Manifest, *, allowed: Collection[str] = ()
) -> list[str]:
    """Make sure that no question of `scored` was in a split of the estimator but the `allowed`
    ones.

    An estimator of the older form keeps one hash for a whole split: then only a file of exactly the
    split's questions is recognised, and a remark says so.

    Returns:
        Remarks on what could not be checked.

    Raises:
        InputError: a question was used before; says how many, and in which split.
    """
    splits = recorded(folder, manifest)
    for name, shared in _shared(scored, splits).items():
        if name not in allowed:
            raise InputError(
                f"{scored.path}: {len(shared):,} of {len(scored.question_keys()):,} questions were"
                f" in the split '{name}' of {manifest.name} (the first: {_first(scored, shared)}):"
                " use questions that it has not seen"
            )
    whole = scored.set_hash
    for name, digest in manifest.data.items():
        if name not in allowed and digest == whole:
            raise InputError(
                f"{scored.path}: these are the questions of the split '{name}' of {manifest.name}:"
                " use questions that it has not seen"
            )
    unknown = sorted(set(manifest.data) - set(splits) - set(allowed))
    if unknown:
        return [
            f"{manifest.name} keeps one hash only of its splits {', '.join(unknown)}: that single"
            " questions were not in them could not be checked."
        ]
    if not splits and not manifest.data:
        return [f"{manifest.name} does not say what it was tuned on: overlap was not checked."]
    return []


def check_apart(scored: Scored, other: str, keys: Collection[str]) -> None:
    """Make sure that `scored` shares no question with the file `other`, which has these question
    keys. Raises InputError."""
    shared = scored.question_keys() & set(keys)
    if shared:
        raise InputError(
            f"{scored.path}: shares {len(shared):,} of {len(scored.question_keys()):,} questions"
            f" with {other}: split the rows by question"
        )


class FromEstimators(Protocol):
    """Rows that say whose scores they carry."""

    @property
    def path(self) -> str: ...
    @property
    def estimators(self) -> tuple[str, ...]: ...
    @property
    def scorers(self) -> tuple[str, ...]: ...


def check_scored_by(scored: FromEstimators, manifest: Manifest) -> None:
    """Make sure that the logits are this estimator's, as far as the file says whose they are.
    Raises InputError."""
    same = set(scored.scorers) == {manifest.scorer}
    others = [name for name in scored.estimators if name not in (manifest.name, UNNAMED)]
    if others and not same:
        raise InputError(
            f"{scored.path}: scored by '{others[0]}', and not by '{manifest.name}': score the rows"
            " with the estimator that is to change"
        )
    if set(scored.scorers) - {manifest.scorer}:
        raise InputError(
            f"{scored.path}: scored by '{manifest.name}' as it was before it was made anew, with"
            " other weights or settings: score the rows again"
        )


def question_keys(path: str) -> set[str]:
    """Keys of the questions of any file of rows; unreadable rows have none."""
    items = (question_answer(row) for row in open_rows(path))
    return {item.question_key() for item in items if not isinstance(item, Rejected)}


def seen_before(scored: Scored, folder: Path, manifest: Manifest) -> list[str]:
    """Remarks on the questions that the estimator has seen in another split than `test`."""
    total = len(scored.question_keys())
    found = [
        f"{len(shared):,} of {total:,} questions were in the split '{name}' of {manifest.name}: the"
        " figures are not those of new questions."
        for name, shared in _shared(scored, recorded(folder, manifest)).items()
        if name != "test"
    ]
    if found:
        return found
    try:
        return check_unused(scored, folder, manifest, allowed=("test",))
    except InputError as error:
        return [str(error)]


def _shared(scored: Scored, splits: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Hashes that the file shares with each split, where there are any."""
    found = {name: scored.question_hashes & known for name, known in splits.items()}
    return {name: shared for name, shared in found.items() if shared}


def _first(scored: Scored, shared: Collection[str]) -> str:
    return next(
        row.where for row in scored.graded if question_hash(scored.keys[row.question]) in shared
    )
