"""Questions that were used before are recognised, and what cannot be checked is said."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import pytest

from ct_guard.errors import InputError
from ct_guard.evaluation import Scored, read_scored
from ct_guard.evaluation.disjoint import (
    check_apart,
    check_scored_by,
    check_unused,
    question_keys,
    seen_before,
)
from ct_guard.store import load_manifest, question_hash, revise_estimator, set_hash

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def scored(write: Write, make_rows: MakeRows) -> Scored:
    return read_scored(write("s.jsonl", make_rows(40)))


def record(estimator: Path, keys: AbstractSet[str], split: str = "tuning") -> None:
    hashes = {split: frozenset(map(question_hash, keys))}
    manifest = load_manifest(estimator).model_copy(update={"data": {split: set_hash(keys)}})
    revise_estimator(estimator, estimator, manifest, questions=hashes)


def test_a_single_shared_question_is_enough(scored: Scored, estimator: Path) -> None:
    record(estimator, {scored.keys[3], "another"})
    message = r"1 of 20 questions were in the split 'tuning' of tiny \(the first: .*line 7\)"
    with pytest.raises(InputError, match=message):
        check_unused(scored, estimator, load_manifest(estimator))
    assert check_unused(scored, estimator, load_manifest(estimator), allowed=("tuning",)) == []
    assert seen_before(scored, estimator, load_manifest(estimator))[0].startswith(
        "1 of 20 questions"
    )


def test_no_shared_question_is_no_word(scored: Scored, estimator: Path) -> None:
    record(estimator, {"another"})
    assert check_unused(scored, estimator, load_manifest(estimator)) == []
    assert seen_before(scored, estimator, load_manifest(estimator)) == []


def test_test_questions_are_what_an_evaluation_is_for(scored: Scored, estimator: Path) -> None:
    record(estimator, scored.question_keys(), split="test")
    assert seen_before(scored, estimator, load_manifest(estimator)) == []


def test_the_older_form_knows_whole_splits_only_and_says_so(
    scored: Scored, estimator: Path
) -> None:
    def with_data(keys: AbstractSet[str]) -> None:
        manifest = load_manifest(estimator).model_copy(update={"data": {"tuning": set_hash(keys)}})
        revise_estimator(estimator, estimator, manifest, questions={})

    with_data(scored.question_keys())
    with pytest.raises(InputError, match="these are the questions of the split 'tuning'"):
        check_unused(scored, estimator, load_manifest(estimator))
    assert "these are the questions" in seen_before(scored, estimator, load_manifest(estimator))[0]
    with_data({*scored.question_keys(), "one more"})
    remarks = check_unused(scored, estimator, load_manifest(estimator))
    assert "one hash only of its splits tuning" in remarks[0]


def test_an_estimator_without_records_says_so(scored: Scored, estimator: Path) -> None:
    remarks = check_unused(scored, estimator, load_manifest(estimator))
    assert "does not say what it was tuned on" in remarks[0]


def test_two_files(scored: Scored, write: Write, make_rows: MakeRows) -> None:
    other = write("o.jsonl", [*make_rows(10, prefix="o"), *make_rows(2)])
    with pytest.raises(InputError, match=r"shares 1 of 20 questions with .*o\.jsonl"):
        check_apart(scored, str(other), question_keys(str(other)))
    check_apart(scored, "x", {"another"})


def test_logits_of_another_estimator_are_refused(
    write: Write, make_rows: MakeRows, estimator: Path
) -> None:
    manifest = load_manifest(estimator)
    other = [row | {"estimator": "other"} for row in make_rows(10)]
    unnamed = [{k: v for k, v in row.items() if k != "estimator"} for row in make_rows(10)]
    check_scored_by(read_scored(write("a.jsonl", make_rows(10))), manifest)
    check_scored_by(read_scored(write("b.jsonl", unnamed)), manifest)
    with pytest.raises(InputError, match="scored by 'other', and not by 'tiny'"):
        check_scored_by(read_scored(write("c.jsonl", other)), manifest)


def test_logits_of_an_estimator_that_was_made_anew_under_its_name_are_refused(
    write: Write, make_rows: MakeRows, estimator: Path
) -> None:
    manifest = load_manifest(estimator)
    rows = read_scored(
        write("a.jsonl", [row | {"scorer": manifest.scorer} for row in make_rows(10)])
    )
    check_scored_by(rows, manifest)
    with pytest.raises(InputError, match=r"before it was made anew.*score the rows again"):
        check_scored_by(rows, manifest.model_copy(update={"budget": 99}))
