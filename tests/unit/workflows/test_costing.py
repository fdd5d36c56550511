"""What policies cost on held-out rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard import CertifyConfig, CostConfig, certify, cost
from ct_guard.errors import FieldError, InputError

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def files(write: Write, make_rows: MakeRows) -> Callable[[str, int], list[Path]]:
    """Answers of two models to the same questions."""

    def writing(prefix: str, seed: int) -> list[Path]:
        return [
            write(
                f"{prefix}-{model}.jsonl",
                make_rows(400, answers=1, signal=3.0, seed=seed + at, prefix=prefix, model=model),
            )
            for at, model in enumerate(("small", "large"))
        ]

    return writing


def test_each_policy_is_stated_with_its_errors_calls_and_cost(
    files: Callable[[str, int], list[Path]], estimator: Path
) -> None:
    small, large = files("certification", 1)
    certify(small, CertifyConfig(estimator=estimator, alpha=0.2))
    certify(small, CertifyConfig(estimator=estimator, alpha=0.2, cascade=[large]))
    made = cost(
        files("test", 5), CostConfig(estimator=estimator, error=10, abstain=3, price=(0.1, 0.5))
    )
    assert made.models == ("small", "large")
    names = [one.policy for one in made.played]
    assert names == [
        "annotate", "certified alpha=0.2 delta=0.1", "cascade alpha=0.2 delta=0.1",
        "cost of errors 10, of abstaining 3",
    ]  # fmt: skip
    plain, _, cascade, least = made.played
    assert plain.calls == (400, 0)
    assert cascade.answered < 400
    assert least.cost < plain.cost
    assert least.cost < min(one.cost for one in made.played) + least.half_width
    assert all(one.rows == 400 and one.half_width > 0 for one in made.played)


def test_policies_are_given_as_to_a_guard(
    files: Callable[[str, int], list[Path]], estimator: Path
) -> None:
    small, _ = files("test", 5)
    made = cost(small, CostConfig(estimator=estimator, policy=(0.7, {"kind": "annotate"})))
    assert [one.policy for one in made.played] == ["threshold 0.7", "annotate"]


def test_rows_that_were_certified_on_are_refused(
    files: Callable[[str, int], list[Path]], estimator: Path
) -> None:
    small, large = files("certification", 1)
    certify(small, CertifyConfig(estimator=estimator, alpha=0.2))
    with pytest.raises(InputError, match="400 of 400 questions were in the split 'certification'"):
        cost([small, large], CostConfig(estimator=estimator))


def test_a_policy_that_rests_on_nothing_known_is_left_out_and_said_so(
    files: Callable[[str, int], list[Path]], estimator: Path
) -> None:
    made = cost(files("test", 5), CostConfig(estimator=estimator))
    assert [one.policy for one in made.played] == ["annotate"]
    assert "The policy `cost` is left out" in "".join(made.remarks)


def test_costs_that_make_no_sense_are_told(
    files: Callable[[str, int], list[Path]], estimator: Path
) -> None:
    with pytest.raises(FieldError, match="2 models need a price each, not 1"):
        cost(files("test", 5), CostConfig(estimator=estimator, price=(1.0,)))
    with pytest.raises(FieldError, match="`error` is a cost of at least 0, not nan"):
        cost(files("test", 5), CostConfig(estimator=estimator, error=float("nan")))
