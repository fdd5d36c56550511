"""Answers of several models to the same questions, from their scored files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from ct_guard.errors import InputError
from ct_guard.evaluation import Scored, read_scored
from ct_guard.evaluation.cascade import Joined, certify_cascade, handover_of, join
from ct_guard.promises import Costs
from ct_guard.risk import LEARN_SHARE
from ct_guard.store import Manifest, load_manifest

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def manifest(estimator: Path) -> Manifest:
    return load_manifest(estimator)


@pytest.fixture
def files(write: Write, make_rows: MakeRows) -> list[Scored]:
    """900 answers of `small`, and 1,000 of `large` in another order, 100 of them to questions of
    its own."""
    small = make_rows(900, answers=1, signal=3.0, model="small")
    large = make_rows(1000, answers=1, signal=3.0, seed=2, model="large")
    return [
        read_scored(write("a.jsonl", small), need="logit"),
        read_scored(write("b.jsonl", large[::-1]), need="logit"),
    ]


@pytest.fixture
def joined(files: list[Scored], manifest: Manifest) -> Joined:
    return join(files, manifest)


def test_rows_are_joined_by_question(joined: Joined, files: list[Scored]) -> None:
    assert joined.names == ("small", "large")
    assert (len(joined), joined.left_out) == (900, 100)
    large = {files[1].keys[row.question]: row for row in files[1].graded}
    for place in (0, 500, 899):
        row = large[joined.keys[place]]
        assert joined.p[place, 1] == pytest.approx(expit(row.logit))
        assert joined.correct[place, 1] == row.correct
        assert joined.keys[place] == files[0].keys[joined.first.graded[place].question]


def test_files_without_a_shared_question_are_refused(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    some = [
        read_scored(write(f"{name}.jsonl", make_rows(5, answers=1, prefix=name)), need="logit")
        for name in ("a", "b")
    ]
    with pytest.raises(InputError, match=r"a\.jsonl.*b\.jsonl: share no graded question"):
        join(some, manifest)


def test_files_scored_in_different_arithmetics_are_refused(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    some = [
        read_scored(
            write(
                f"{form}.jsonl",
                [row | {"backend": "llama_cpp", "format": form} for row in make_rows(5, answers=1)],
            ),
            need="logit",
        )
        for form in ("F32", "Q4_1")
    ]
    with pytest.raises(InputError, match=r"Q4_1\.jsonl: scored by llama_cpp in Q4_1, and .*F32"):
        join(some, manifest)


def test_models_without_a_name_are_called_by_their_file(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    rows = make_rows(5, answers=1)
    one = read_scored(write("a.jsonl", rows), need="logit")
    assert join([one, one], manifest).names == ("a.jsonl", "a.jsonl (2)")


def test_the_part_to_learn_on_follows_from_the_questions_alone(
    joined: Joined, files: list[Scored], manifest: Manifest
) -> None:
    costs = Costs(abstain=10.0, prices=(0.0, 1.0))
    found = certify_cascade(joined, costs, alpha=0.1, delta=0.1)
    assert (found.learnt, found.n) == (round(900 * LEARN_SHARE), 900 - round(900 * LEARN_SHARE))
    assert found.stages
    turned = [files[0].take(range(899, -1, -1)), files[1]]
    again = certify_cascade(join(turned, manifest), costs, alpha=0.1, delta=0.1)
    assert again == found


def test_a_lenient_grader_makes_it_stricter(joined: Joined) -> None:
    costs = Costs(abstain=10.0, prices=(0.0, 1.0))
    found = certify_cascade(joined, costs, alpha=0.2, delta=0.1, grader_false_pass=0.5)
    plain = certify_cascade(joined, costs, alpha=0.1, delta=0.1)
    assert (found.alpha, found.grader_false_pass) == (0.2, 0.5)
    assert found.stages == plain.stages


def test_the_handover_is_of_all_joined_rows(joined: Joined) -> None:
    found = handover_of(joined)
    assert (found.models, found.n) == (("small", "large"), 900)
    assert found.split_hash == joined.split_hash
    assert sum(one.right for one in found.steps[0]) == np.count_nonzero(joined.correct[:, 1])
