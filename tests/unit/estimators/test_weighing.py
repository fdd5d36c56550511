"""Evidence of rows weighed beside what a base model reads: in scoring, in guards, row by row."""

from dataclasses import replace

import numpy as np
import pytest

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.estimators.weighing import Weighing
from ct_guard.evidence import answers_in, fit_evidence, weighed
from ct_guard.guard import Guard
from ct_guard.records import GroupCorrections, QuestionAnswer
from ct_guard.store.calibrated import p_correct
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on

NAMES = ("logit", "agreement", "logprobs", "model")


def answered(questions: int, seed: int = 0) -> tuple[list[QuestionAnswer], np.ndarray]:
    """Three models answer each question; right answers agree, are surer of themselves and of their
    tokens. Their form does not give them away: agreement has something to add to it."""
    random = np.random.default_rng(seed)
    items, correct = [], []
    for question in range(questions):
        for model, skill in (("good", 0.85), ("fair", 0.6), ("poor", 0.4)):
            right = bool(random.random() < skill)
            sure = random.random() < (0.7 if right else 0.3)
            number = question if right else random.integers(1000, 1004)
            answer = f"{number} {'sure' if sure else 'unsure'}"
            logprob = float(-random.exponential(0.3 if right else 1.0))
            items.append(
                QuestionAnswer(
                    question=f"{question} of {seed}?", answer=answer, model=model,
                    logprobs=(logprob,), columns={"domain": "law" if question % 2 else "art"},
                )
            )  # fmt: skip
            correct.append(right)
    return items, np.array(correct)


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    plain = estimator_on(FakeBackend(logit=by_word))
    items, correct = answered(150)
    logits = np.array([one.logit for one in plain.score(items)])
    answers = answers_in(items, NAMES, readings={"logit": logits})
    fitted = fit_evidence(answers, correct, NAMES, explain=False).fitted
    plain.manifest = plain.manifest.model_copy(update={"evidence": "evidence.json"})
    return replace(plain, weighing=Weighing(fitted))


def test_the_record_says_what_was_used_and_what_was_missing(estimator: Estimator) -> None:
    alone = QuestionAnswer(question="Now?", answer="sure", model="good")
    told = alone.model_copy(
        update={"logprobs": (-0.01,), "columns": {"samples": ["sure", "sure", "no"]}}
    )
    [poor] = estimator.score([alone])
    [rich] = estimator.score([told])
    assert poor.evidence == {
        "logit": "used", "agreement": "missing", "logprobs": "missing", "model": "used",
    }  # fmt: skip
    assert rich.evidence == dict.fromkeys(NAMES, "used")
    assert rich.provider_logprobs == "used"
    assert poor.logit == rich.logit == 3.0


def test_agreement_raises_p_and_the_raw_score_stays_what_the_base_reads(
    estimator: Estimator,
) -> None:
    def p(samples: list[str]) -> float:
        columns = {"samples": list(samples)}
        qa = QuestionAnswer(question="Now?", answer="42", model="fair", columns=columns)
        [found] = estimator.score([qa])
        assert (found.logit, found.status) == (0.0, "ok")
        assert found.p is not None
        return found.p

    assert p(["42", "42", "42"]) > p(["42", "17", "17"]) > 0
    assert p(["42", "42", "42"]) > 2 * p(["17", "17", "17"])


def test_a_row_whose_evidence_cannot_be_read_costs_no_other_its_score(
    estimator: Estimator,
) -> None:
    good = QuestionAnswer(question="One?", answer="sure", columns={"samples": ["sure"]})
    bad = QuestionAnswer(question="Two?", answer="sure", columns={"samples": {"no": "list"}})
    first, second, third = estimator.score([good, bad, good])
    assert (first.status, second.status, third.status) == ("ok", "error", "ok")
    assert second.error == "this row: field 'samples' must be a list of further answers"
    assert second.p is None
    assert first.evidence is not None


def test_a_guard_says_the_same_and_takes_no_strangers_answer_for_evidence(
    estimator: Estimator,
) -> None:
    items, _ = answered(2, seed=5)
    guard = Guard(estimator, 0.5)
    together = guard.assess_batch(items)
    assert [one.p for one in together] == [one.p for one in estimator.score(items)]
    assert guard.assess(items[0]).confidence.evidence == estimator.score(items[:1])[0].evidence
    assert guard._terms.max_batch == 1


def test_probabilities_are_not_made_of_raw_scores_alone(estimator: Estimator) -> None:
    with pytest.raises(UsageError, match="weighs evidence of rows"):
        p_correct(estimator.manifest, np.zeros(1), [None])


def test_groups_of_rows_are_read_from_their_columns() -> None:
    corrections = (
        GroupCorrections(column="domain", slopes={"law": 0.0}, shifts={"law": -1.0}, penalty=1.0),
        GroupCorrections(column="model", slopes={"m": 0.0}, shifts={"m": 0.5}, penalty=1.0),
    )
    estimator = estimator_on(FakeBackend(logit=by_word), groups=corrections)
    estimator.weighing = Weighing(groups=("domain", "model"))
    assert estimator.columns == ("domain", "model")

    def logit(domain: str | None, model: str | None = None) -> float:
        columns = {} if domain is None else {"domain": domain}
        [found] = estimator.score(
            [QuestionAnswer(question="q", answer="sure", model=model, columns=columns)]
        )
        assert found.p is not None
        return float(np.log(found.p / (1 - found.p)))

    assert logit("law") == pytest.approx(2.0)
    assert logit("art") == logit(None) == pytest.approx(3.0)
    assert logit("law", "m") == pytest.approx(2.5)


def test_what_the_base_reads_is_evidence_by_name() -> None:
    """A likelihood's raw score is of the whole answer; by name it says what a token is worth."""
    plain = estimator_on(FakeBackend(), method="likelihood")
    named = replace(plain, readings=True)
    items, correct = answered(60)
    assert plain.score(items[:1])[0].readings is None
    read = named.score(items)
    assert named.readable == ("likelihood", "perplexity")
    assert [one.readings["likelihood"] for one in read] == [one.logit for one in read]  # type: ignore[index]

    readings = {
        "logit": np.array([one.logit for one in read]),
        "perplexity": np.array([one.readings["perplexity"] for one in read]),  # type: ignore[index]
    }
    names = ("logit", "perplexity", "model")
    answers = answers_in(items, names, readings=readings)
    fitted = fit_evidence(answers, correct, names, explain=False).fitted
    about = plain.manifest.model_copy(update={"evidence": "evidence.json"})
    weighing = replace(plain, manifest=about, weighing=Weighing(fitted))
    found = weighing.score(items)
    assert found[0].evidence == dict.fromkeys(names, "used")
    expected = [one.logit for one in weighed(fitted, items, readings=readings)]
    assert [one.p for one in found] == pytest.approx(1 / (1 + np.exp(-np.array(expected))))
