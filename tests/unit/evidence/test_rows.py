"""Rows as evidence reads them: samples beside an answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard.errors import ManifestError, UsageError
from ct_guard.evidence import Fitted, answers_in, load_evidence, weighed
from ct_guard.evidence.kinds import kinds_named
from ct_guard.evidence.trees import Trees
from ct_guard.evidence.within import ScaledSpread, Spread
from ct_guard.records import Message, QuestionAnswer
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word_and_agreement, estimator_on

QA = QuestionAnswer(question="Where?", answer="fair", columns={"score": 1})


def test_samples_are_given_in_the_form_of_the_rows_that_were_fitted_on() -> None:
    apart = by_word_and_agreement().with_samples(QA, ["Rome", "Bonn"])
    assert apart.columns == {"score": 1, "samples": ["Rome", "Bonn"]}
    among = by_word_and_agreement(itself=True)
    assert among.with_samples(QA, ["fair"]).columns["samples"] == ["fair", "fair"]


def test_a_sample_that_says_the_same_counts_in_either_form() -> None:
    for itself in (False, True):
        estimator = by_word_and_agreement(itself=itself)
        (made,) = estimator.score([estimator.with_samples(QA, ["fair", "fair"])])
        assert made.p == pytest.approx(0.982, abs=1e-3)


def test_an_estimator_without_that_evidence_takes_no_samples() -> None:
    with pytest.raises(UsageError, match="fake does not weigh whether further answers agree"):
        estimator_on(FakeBackend()).with_samples(QA, ["Rome"])


def test_what_is_stated_is_taken_out_of_samples_as_it_is_out_of_the_answer() -> None:
    said = ["42. Confidence: 90%", "42. I am 60% sure."]
    qa = QuestionAnswer(question="How many?", answer="42. Confidence: 80%")
    row = qa.model_copy(update={"columns": {"samples": said}})
    answers = answers_in([row], ["agreement", "stated"])
    assert list(answers.answer) == [one.text for one in answers.samples[0]][:1]
    assert "sure" not in answers.samples[0][1].text
    (kept,) = answers_in([row], ["agreement"]).samples
    assert [one.text for one in kept] == said


def test_earlier_turns_tell_questions_apart_and_are_no_part_of_what_is_asked() -> None:
    turns = [Message(role="user", content="Of France?"), Message(role="assistant", content="Paris")]
    alone = QuestionAnswer(question="And of Italy?", answer="Rome")
    answers = answers_in(
        [alone, alone.model_copy(update={"messages": tuple(turns)})], ["agreement"]
    )
    assert list(answers.asked) == ["And of Italy?"] * 2
    assert answers.question[0] != answers.question[1]


def test_a_file_whose_states_are_none_is_refused_in_one_line(tmp_path: Path) -> None:
    layer = Trees(features=("model",), baseline=0.0, trees=())
    for states in ({}, {"model": {"pool": "much"}}):
        path = tmp_path / "evidence.json"
        path.write_text(Fitted(evidence=("model",), states=states, layer=layer).model_dump_json())
        with pytest.raises(ManifestError, match="holds no fitted evidence"):
            load_evidence(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda made: made["layer"]["features"].append("more"), "fills each of its features"),
        (lambda made: made["layer"]["fill"].pop(), "fills each of its features"),
        (lambda made: made["layer"]["flagged"].append(99), "flags no others"),
        (lambda made: made["layer"]["flagged"].append(0), "weighs each of its features and flags"),
        (lambda made: made["evidence"].remove("logit"), "other features than those"),
        (lambda made: made["states"]["agreement"]["alike"]["pool"].pop(), "at least 5 items"),
    ],
)
def test_a_file_whose_parts_do_not_fit_each_other_is_refused(
    change: Callable[[dict[str, Any]], object], says: str, tmp_path: Path
) -> None:
    fitted = by_word_and_agreement().weighing.evidence
    assert fitted is not None
    made = json.loads(fitted.model_dump_json())
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps(made))
    assert load_evidence(path) == fitted
    change(made)
    path.write_text(json.dumps(made))
    with pytest.raises(ManifestError, match=says):
        load_evidence(path)


def test_evidence_that_gives_no_finite_number_is_an_error_and_no_probability() -> None:
    fitted = by_word_and_agreement().weighing.evidence
    assert fitted is not None
    state = fitted.states["agreement"]
    much = {**state, "alike": {"pool": [1e308] * 5, "models": {}, "of": {}}}
    layer = fitted.layer.model_dump()
    for name in ("low", "high", "coef"):
        layer["logistic"][name] = tuple(1e308 * (name != "low") for _ in layer["features"])
    broken = Fitted.model_validate(
        {**fitted.model_dump(), "states": {**fitted.states, "agreement": much}, "layer": layer}
    )
    row = QA.model_copy(update={"columns": {"samples": ["fair", "Rome"]}})
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(ManifestError, match="out of range"),
    ):
        weighed(broken, [row], readings={"logit": np.zeros(1)})


def test_what_is_parsed_from_an_answer_is_a_share_where_the_column_was_in_percent() -> None:
    [kind] = kinds_named(["stated"])
    row = QuestionAnswer(question="?", answer="Rome. Confidence: 85%")
    numbers = kind.read(
        kind.look(answers_in([row], ["stated"])), ScaledSpread(models={"": ((0.5,),)}, percent=True)
    )
    assert numbers[0, 0] == 0.85


def test_percentiles_are_of_the_pool_too_and_of_the_same_features() -> None:
    one, two = ((0.5,),), ((0.5,), (0.7,))
    for models in ({"m": one}, {"": one, "m": two}):
        with pytest.raises(ValueError, match="percentiles"):
            Spread(models=models)
    [kind] = kinds_named(["column:score"])
    look = kind.look(answers_in([QA], ["column:score"]))
    assert kind.read(look, Spread(models={"": one})).shape == (1, 2)
    with pytest.raises(ManifestError, match="percentiles of other features"):
        kind.read(look, Spread(models={"": two}))
