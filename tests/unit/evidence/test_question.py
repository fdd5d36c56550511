"""Evidence `question`: what kinds of question are answered well."""

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit

from ct_guard.evidence import answers_of
from ct_guard.evidence.question import QUESTION, QuestionWords
from ct_guard.evidence.question_prior import fit_question_prior
from ct_guard.metrics import auroc


def learnt(questions: list[str], correct: list[bool]) -> QuestionWords:
    look = QUESTION.look(answers_of(questions, ["x"] * len(questions)))
    every = np.ones(len(questions), np.bool_)
    return QUESTION.learn(look, np.array(correct, np.bool_), every)


def of_subjects(count: int, seed: int) -> tuple[list[str], list[bool]]:
    """Questions of eight words out of 300, each of which makes it a little easier or harder."""
    random = np.random.default_rng(seed)
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}mbo" for n in range(300)]
    ease = np.random.default_rng(0).normal(size=300)
    chosen = [random.choice(300, 8, replace=False) for _ in range(count)]
    right = [bool(random.random() < expit(ease[some].sum() / 2)) for some in chosen]
    return ["what of " + " ".join(words[at] for at in some) + "?" for some in chosen], right


def test_many_words_that_each_tell_a_little_tell_more_than_a_few_that_decide() -> None:
    questions, correct = of_subjects(600, seed=1)
    new, truth = of_subjects(2000, seed=2)
    found = auroc(expit(learnt(questions, correct).logits(new)), truth)
    trees = auroc(expit(fit_question_prior(questions, correct).logits(new)), truth)
    assert found is not None
    assert trees is not None
    assert found > trees + 0.03


def test_a_question_is_read_as_the_base_model_is_shown_it_and_alike_each_time() -> None:
    state = learnt(*of_subjects(100, seed=3))
    asked = ["what of zebras?", "\u200bwhat of\u200b zebras?\n\n", "what of zebras?", "why?"]
    first, shown, again, other = state.logits(asked).tolist()
    assert first == shown == again != other
    assert state.logits([]).shape == (0,)


def test_words_that_only_a_few_questions_use_are_not_kept() -> None:
    names = [f"Person{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(100)]
    questions = [f"What does {name} owe the bank?" for name in names for _ in range(5)]
    kept = " ".join(learnt(questions, [True, False] * 250).words.ngrams)
    assert "owe" in kept
    assert "person" not in kept.lower()


@pytest.mark.parametrize(
    ("questions", "correct", "rate"),
    [
        (["What is it?"] * 8, [True] * 8, 0.9),
        (["", "?"] * 10, [True, False, False, False] * 5, 6 / 22),
    ],
)
def test_without_words_or_one_class_it_is_the_base_rate(
    questions: list[str], correct: list[bool], rate: float
) -> None:
    assert expit(learnt(questions, correct).logits(["What is it?"])) == pytest.approx([rate])


def test_what_was_learnt_comes_back_from_json() -> None:
    questions, correct = of_subjects(100, seed=4)
    state = learnt(questions, correct)
    back = QuestionWords.model_validate(json.loads(state.model_dump_json()))
    assert np.array_equal(back.logits(questions), state.logits(questions))


def test_n_grams_that_do_not_fit_what_is_known_of_them_are_refused() -> None:
    plain = {"ngrams": ["a", "b"], "rarity": [1.0, 1.0], "weights": [0.5, -0.5]}
    whole = {"baseline": 0.0, "words": plain, "letters": plain}
    QuestionWords.model_validate(whole)
    faults: tuple[dict[str, Any], ...] = (
        {"ngrams": ["a", "a"]}, {"rarity": [1.0]}, {"weights": []},
    )  # fmt: skip
    for fault in faults:
        with pytest.raises(ValidationError, match=r"named twice|its rarity and its weight"):
            QuestionWords.model_validate({**whole, "letters": {**plain, **fault}})
