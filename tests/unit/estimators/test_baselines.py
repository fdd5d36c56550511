"""Baselines that work on text: what the model states, what it answers itself, and no model."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard import Guard, QuestionAnswer, load_estimator
from ct_guard.datasets import read_graded
from ct_guard.errors import InputError, ManifestError, MismatchError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.estimators.baselines import baseline_manifest
from ct_guard.estimators.methods.verbalized import stated_probability
from ct_guard.methods import baselines
from ct_guard.records import Confidence
from ct_guard.store import Asking, load_manifest, save_estimator
from ct_guard.testing import FakeBackend
from ct_guard.workflows.prior import save_question_prior
from tests.present import present

RIGHT = QuestionAnswer(question="What is 2 plus 2?", answer="4")
WRONG = QuestionAnswer(question="What is 2 plus 2?", answer="5")


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def judged(method: str, reply: str, *items: QuestionAnswer, **more: Any) -> list[Confidence]:
    return load_estimator(method, base="any", backend=FakeBackend(reply=reply), **more).score(items)


@pytest.mark.parametrize(
    ("reply", "p"),
    [
        ("80%", 0.8), ("80 %.", 0.8), ("80 percent", 0.8), ("0.8", 0.8), (".25", 0.25),
        ("Probability: 0.35", 0.35), ("P(correct) = 7%", 0.07), ("confidence is 12.5%", 0.125),
        ("95", 0.95), ("0", 0.0), ("1%", 0.01), ("100", 1.0), (" 100% \n", 1.0),
    ],
)  # fmt: skip
def test_a_stated_probability_is_read(reply: str, p: float) -> None:
    assert stated_probability(reply) == pytest.approx(p)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "1",
        "1.0",
        "101%",
        "250",
        "-5%",
        "It is 4.",
        "80% or 90%",
        "80% sure",
        "1/2",
        "high",
        "٨٠%",
    ],
)
def test_what_is_unclear_is_no_probability(reply: str) -> None:
    assert stated_probability(reply) is None


@given(st.text(max_size=30))
def test_any_reply_is_a_probability_or_none(reply: str) -> None:
    p = stated_probability(reply)
    assert p is None or 0 <= p <= 1


def test_verbalized_is_the_logit_of_what_the_model_states() -> None:
    (found,) = judged("verbalized", "Probability: 80%", RIGHT)
    assert found.logit == pytest.approx(logit(0.8))
    assert found.p == pytest.approx(0.8)
    assert not found.calibrated
    (certain,) = judged("verbalized", "100%", RIGHT)
    assert certain.logit == pytest.approx(logit(0.995))


def test_without_a_clear_probability_it_is_not_measured_and_says_what_was_said() -> None:
    empty = RIGHT.model_copy(update={"answer": " "})
    found, blank = judged("verbalized", "I think it is 4.", RIGHT, empty)
    assert (found.p, found.logit, found.status) == (None, None, "error")
    assert found.error is not None
    assert "states no clear probability" in found.error
    assert "I think it is 4." in found.error
    assert blank.status == "empty"


def sampling(folder: Path, reply: str, **settings: Any) -> Estimator:
    """Nearly without chance: the fake's reply is by far the likeliest."""
    backend = FakeBackend(reply=reply)
    asking = Asking(temperature=0.02, **settings)
    save_estimator(folder, baseline_manifest("sampling", "any", backend, asking=asking))
    return load_estimator(folder, backend=backend)


def test_sampling_counts_the_models_own_answers_that_agree(tmp_path: Path) -> None:
    estimator = sampling(tmp_path / "e", "I think it is 4.", samples=7)
    right, wrong = estimator.score([RIGHT, WRONG])
    assert right.logit == pytest.approx(logit(7.5 / 8))
    assert wrong.logit == pytest.approx(logit(0.5 / 8))
    said = RIGHT.model_copy(update={"answer": "Well, I think it is 4. Of course."})
    assert estimator.score([said])[0].logit == right.logit


def test_samples_depend_on_the_question_and_the_seed_alone(tiny_base: Path) -> None:
    """Real sampling, on random weights."""
    estimator = load_estimator("sampling", base=tiny_base)
    asking = Asking(samples=3, max_tokens=6)
    method = replace(estimator.method, asking=asking)  # type: ignore[type-var]
    turns = [
        QuestionAnswer(question=text, answer="?").conversation() for text in ("one?", "another?")
    ]
    first = [method.samples(each) for each in turns]  # type: ignore[union-attr]
    again = [method.samples(each) for each in reversed(turns)]  # type: ignore[union-attr]
    assert first == again[::-1]
    assert len(set(first[0])) > 1
    other = replace(method, asking=asking.model_copy(update={"seed": 1}))  # type: ignore[type-var]
    assert other.samples(turns[0]) != first[0]  # type: ignore[union-attr]


def test_a_grader_that_is_unclear_about_every_sample_is_not_measured(tmp_path: Path) -> None:
    estimator = sampling(tmp_path / "e", "no idea at all", grader="numeric")
    words = QuestionAnswer(question="Who?", answer="Enok")
    (found,) = estimator.score([words])
    assert found.p is None
    assert "numeric is unclear about all 10" in str(found.error)


@pytest.mark.parametrize("method", ["verbalized", "sampling"])
def test_a_backend_that_cannot_generate_is_refused(method: str) -> None:
    backend = FakeBackend()
    backend.capabilities = replace(backend.capabilities, generates=False)
    with pytest.raises(MismatchError, match="cannot generate"):
        load_estimator(method, base="any", backend=backend)


@pytest.mark.parametrize("method", baselines(by_name=True))
def test_every_baseline_is_loaded_by_name_over_a_real_base(tiny_base: Path, method: str) -> None:
    estimator = load_estimator(method, base=tiny_base)
    (found,) = estimator.score([RIGHT])
    assert estimator.name == f"{tiny_base.name}:{method}"
    if method == "verbalized":  # random weights say nothing clear
        assert found.status == "error"
    else:
        assert found.p is not None


def test_a_baseline_without_a_base_says_what_to_add() -> None:
    with pytest.raises(UsageError, match="with `base`"):
        load_estimator("sampling")
    assert load_estimator("mini:perplexity").score([RIGHT])[0].p is not None


@pytest.mark.parametrize("name", ["question_prior", "mini:question_prior"])
def test_the_question_prior_says_that_it_is_fitted_first(name: str) -> None:
    with pytest.raises(UsageError, match="ct-guard baseline question_prior --graded"):
        load_estimator(name)


def test_both_label_orders_are_averaged(tiny_base: Path, tmp_path: Path) -> None:
    one = load_estimator("zero-shot", base=tiny_base)
    manifest = baseline_manifest("zero-shot", tiny_base, present(one.backend), label_orders="both")
    save_estimator(tmp_path / "both", manifest)
    both = load_estimator(tmp_path / "both")
    assert both.swapped is not None
    assert both.swapped.label_ids == present(one.query).label_ids[::-1]
    text = present(both.backend).encoder.decode(both.swapped.ids)
    assert "(i): yes\n(ii): no" in text
    swapped = replace(one, query=both.swapped)
    apart = [present(each.score([RIGHT])[0].logit) for each in (one, swapped)]
    assert apart[0] != apart[1]
    assert both.score([RIGHT])[0].logit == pytest.approx(np.mean(apart), abs=1e-4)


def test_both_label_orders_make_sense_for_the_query_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not ask it"):
        baseline_manifest("likelihood", "any", FakeBackend(), label_orders="both")
    manifest = baseline_manifest("likelihood", "any", FakeBackend())
    save_estimator(tmp_path / "e", manifest.model_copy(update={"label_orders": "both"}))
    with pytest.raises(ManifestError, match="label orders"):
        load_estimator(tmp_path / "e", backend=FakeBackend())


def graded(path: Path, rows: list[tuple[str, bool]]) -> Path:
    lines = [
        json.dumps({"question": question, "answer": "?", "correct": correct})
        for question, correct in rows
    ]
    path.write_text("\n".join(lines))
    return path


def test_the_question_prior_is_saved_as_json_and_scores_under_the_guard(tmp_path: Path) -> None:
    rows = [(f"What is {n} plus {n}?", True) for n in range(40)]
    rows += [(f"Who is {chr(97 + n % 26)}{n}?", False) for n in range(40)]
    folder = tmp_path / "prior"
    save_question_prior(read_graded(graded(tmp_path / "g.jsonl", rows)), folder)
    assert {path.suffix for path in folder.iterdir()} == {".json"}
    assert load_manifest(folder).questions is not None
    guard = Guard(folder, 0.5)
    sums, who = (
        guard.assess(QuestionAnswer(question=question, answer="anything"))
        for question in ("What is 71 plus 3?", "Who is zed?")
    )
    assert (sums.action, who.action) == ("pass", "abstain")
    assert guard.estimator.backend is None
    assert guard.assess(QuestionAnswer(question="Who?", answer="a")).confidence.backend == "none"
    with pytest.raises(UsageError, match="unknown backend 'llama_cp'"):
        load_estimator(folder, backend="llama_cp")


def test_a_prior_needs_both_kinds_and_booleans(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="alike"):
        save_question_prior(
            read_graded(graded(tmp_path / "one.jsonl", [("a", True)] * 3)), tmp_path / "e"
        )
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "a", "answer": "b", "correct": "yes"}')
    with pytest.raises(InputError, match=r"bad.jsonl, line 1: field 'correct'"):
        read_graded(bad)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    "tree",
    [
        {"feature": [99], "threshold": [0.0], "left": [-1], "right": [-1], "value": [0.0]},
        {"feature": [0], "threshold": [0.0], "left": [0], "right": [0], "value": [0.0]},
        {"feature": [0], "threshold": [], "left": [-1], "right": [-1], "value": [0.0]},
    ],
)
def test_a_damaged_prior_is_refused(tmp_path: Path, tree: dict[str, list[float]]) -> None:
    from ct_guard.evidence.question_prior import load_question_prior

    path = tmp_path / "prior.json"
    content = {"schema_version": 1, "words": [], "letters": [], "baseline": 0.0, "trees": [tree]}
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match="holds no question prior"):
        load_question_prior(path)
