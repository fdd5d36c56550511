"""The question prior sees the kind of a question, and nothing of the answer."""

import numpy as np
import pytest

from ct_guard.errors import UsageError
from ct_guard.evaluation.question_prior import cross_fitted_prior, question_prior
from ct_guard.evidence.question_prior import fit_question_prior
from ct_guard.metrics import auroc, pair_accuracy


def sums(count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Sums of 1 to 4 digits, right where they are short."""
    rng = np.random.default_rng(seed)
    digits = rng.integers(1, 5, count)
    numbers = [rng.integers(10 ** (d - 1), 10**d, 2) for d in digits]
    return [f"What is {a} plus {b}?" for a, b in numbers], digits <= 2


def test_it_learns_what_kind_of_question_is_answered_well() -> None:
    train, right = sums(400)
    test, expected = sums(200, seed=1)
    p = question_prior(train, right, test)
    assert p.shape == (200,)
    assert ((p > 0) & (p < 1)).all()
    assert auroc(p, expected) == pytest.approx(1.0)


def test_cross_fitted_it_finds_nothing_in_labels_that_follow_nothing() -> None:
    questions, _ = sums(600)
    correct = np.random.default_rng(3).random(600) < 0.5
    found = auroc(cross_fitted_prior(questions, correct, np.arange(600)), correct)
    assert found == pytest.approx(0.5, abs=0.08)


@pytest.mark.slow
def test_a_question_is_never_guessed_from_its_own_answers() -> None:
    """Two answers a question with one label, and nothing else to learn from: only a leak across
    rows of one question could rank them."""
    names = [f"Who is {chr(97 + n % 26)}{chr(97 + n // 26)}?" for n in range(300)]
    labels = np.random.default_rng(4).random(300) < 0.5
    questions, correct = [*names, *names], np.r_[labels, labels]
    found = auroc(cross_fitted_prior(questions, correct, questions), correct)
    assert found == pytest.approx(0.5, abs=0.12)


def test_answers_to_one_question_are_at_chance_by_construction() -> None:
    questions, _ = sums(100)
    correct = np.tile([True, False], 100)
    twice = [question for question in questions for _ in range(2)]
    p = cross_fitted_prior(twice, correct, twice)
    assert pair_accuracy(p, correct, twice).value == 0.5


def test_the_same_rows_give_the_same_numbers() -> None:
    questions, right = sums(120)
    again = [cross_fitted_prior(questions, right, np.arange(120)) for _ in range(2)]
    assert again[0].tolist() == again[1].tolist()


def test_texts_without_words_and_labels_of_one_class_still_give_a_base_rate() -> None:
    assert question_prior([""] * 20, [True, False] * 10, ["", "?"]) == pytest.approx([0.5, 0.5])
    assert question_prior(["a"] * 8, [True] * 8, ["b"]) == pytest.approx([0.9])
    assert question_prior(["a", "b"], [True, False], []).shape == (0,)


@pytest.mark.parametrize(
    "text",
    [
        "\u200bWhat is\u200b 12 plus 9?",
        "What is 12 plus 9?" + "\n" * 50,
        "  What is 12 plus 9?\u0000",
    ],
)
def test_a_question_is_read_as_the_base_model_is_shown_it(text: str) -> None:
    prior = fit_question_prior(*sums(200))
    assert prior.logits([text]).tolist() == prior.logits(["What is 12 plus 9?"]).tolist()


def test_a_question_that_is_asked_again_is_guessed_alike() -> None:
    prior = fit_question_prior(*sums(200))
    asked = ["What is 1 plus 2?", "What is 1234 plus 4321?", "What is 1 plus 2?"]
    found = prior.logits(asked).tolist()
    assert found == [prior.logits([text]).tolist()[0] for text in asked]
    assert found[0] == found[2] > found[1]


def test_words_that_only_a_few_questions_use_are_not_kept() -> None:
    names = [f"Person{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(100)]
    questions = [f"What does {name} owe the bank?" for name in names for _ in range(5)]
    correct = np.random.default_rng(5).random(500) < 0.5
    kept = " ".join(fit_question_prior(questions, correct).words)
    assert "owe" in kept
    assert "person" not in kept.lower()


def test_what_cannot_be_fitted_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not be empty"):
        question_prior([], [], ["a"])
    with pytest.raises(UsageError, match="must have shape"):
        question_prior(["a"], [True, False], ["a"])
    with pytest.raises(UsageError, match="must have shape"):
        cross_fitted_prior(["a"], [True], [1, 2])
    with pytest.raises(UsageError, match="at least two questions"):
        cross_fitted_prior(["a", "b"], [True, False], ["q", "q"])
