"""Promises as data: what fits together, and that a manifest gives them back."""

import pytest
from pydantic import ValidationError

from ct_guard.certificates import Certificate
from ct_guard.promises import (
    AnsweredWrong,
    CascadeCertificate,
    Costs,
    GroupCertificates,
    Handover,
    HandoverBin,
    Stage,
)
from ct_guard.store import BaseModelRef, Manifest, manifest_text
from tests.agent_runs import run_layer

CASCADE = {
    "alpha": 0.1, "delta": 0.1, "models": ("a", "b"), "costs": Costs(abstain=5, prices=(0.5, 2)),
    "stages": (Stage(model="b", threshold=0.5),), "learnt": 9, "n": 10, "answered": 8, "errors": 1,
    "asked": (10,),
}  # fmt: skip
BIN = HandoverBin(low=0.0, rows=9, right=3, shift=0.0, reached=(0.5,))
PROMISES = (
    CascadeCertificate(**CASCADE),
    GroupCertificates(
        column="subject",
        alpha=0.1,
        delta=0.1,
        certificates={
            "law": Certificate(alpha=0.1, delta=0.05, threshold=0.5, n=9, answered=2, errors=0)
        },
    ),
    AnsweredWrong(alpha=0.1, threshold=0.5, n=100, answered=50, errors=5),
    Handover(models=("a", "b"), steps=((BIN,),), highest=(0.9, 0.9), n=9),
    run_layer(),
)


def test_a_manifest_gives_promises_back_each_as_what_it_is() -> None:
    manifest = Manifest(
        name="tiny", method="likelihood", base=BaseModelRef(id="base"), promises=PROMISES
    )
    assert Manifest.model_validate_json(manifest_text(manifest)).promises == PROMISES
    assert manifest.known == PROMISES


def test_what_a_cascade_costs_follows_from_its_counts() -> None:
    found = CascadeCertificate(**CASCADE)
    assert found.cost == pytest.approx((10 * 2 + 2 * 5) / 10)
    assert found.coverage == 0.8


@pytest.mark.parametrize("promise", PROMISES, ids=lambda one: one.kind)
def test_each_says_in_one_line_what_it_promises(promise: object) -> None:
    said = promise.summary  # type: ignore[attr-defined]
    assert said
    assert "\n" not in said


@pytest.mark.parametrize(
    "change", [{"errors": 9}, {"answered": 11}, {"asked": ()}, {"stages": ()}, {"alpha": 1.5}]
)
def test_a_cascade_whose_counts_do_not_fit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CascadeCertificate(**(CASCADE | change))


@pytest.mark.parametrize(
    "change",
    [
        {"models": ("a",)},
        {"models": ("a", "b", "c")},
        {"steps": ((BIN, BIN),)},
        {"steps": ((BIN.model_copy(update={"low": 0.5}),),)},
        {"highest": (0.9,)},
    ],
)
def test_a_handover_that_is_not_whole_is_refused(change: dict[str, object]) -> None:
    given = PROMISES[3].model_dump() | change
    with pytest.raises(ValidationError):
        Handover(**given)


def test_costs_are_never_negative() -> None:
    with pytest.raises(ValidationError):
        Costs(error=-1, prices=(1.0,))
