"""Whether other answers to the question say the same, and who says so."""

from dataclasses import fields

import numpy as np
import pytest

from ct_guard.evidence import Answers, answers_of
from ct_guard.evidence.agreement import AGREEMENT
from ct_guard.evidence.answers import spelled
from ct_guard.evidence.said import said
from ct_guard.evidence.together import together_of

CHOICES = "Which is it?\n\nChoices:\n  (a): a cat\n  (b): a dog\n  (c): a cow"


def read(answers: Answers, correct: list[bool], name: str = "agreement") -> list[float]:
    look = AGREEMENT.look(answers)
    labels = np.array(correct)
    state = AGREEMENT.learn(look, labels, np.ones(len(labels), np.bool_))
    column = AGREEMENT.features.index(name)
    return [float(value) for value in AGREEMENT.read(look, state)[:, column]]


def key(answer: str, question: str) -> str:
    return said(answer, question, spelled(answer)).key


@pytest.mark.parametrize(
    ("one", "other", "question"),
    [
        ("(b): a dog", "B", CHOICES),
        ("The answer is (b), since it barks.", "b)", CHOICES),
        ("a dog", "(b)", CHOICES),
        ("Yes, it does.", "yes", "Does it rain?"),
        ("1,000", "1000", "How many?"),
        ("5 + 5 is 10.\n#### 10", "10", "How many?"),
        ("The Beatles", "beatles", "Who sang it?"),
    ],
)
def test_equal_readings_share_a_key(one: str, other: str, question: str) -> None:
    assert key(one, question) == key(other, question)


@pytest.mark.parametrize(
    ("one", "other", "question"),
    [("(a)", "(b)", CHOICES), ("yes", "no", "Is it?"), ("12", "13", "How many?")],
)
def test_unequal_readings_do_not(one: str, other: str, question: str) -> None:
    assert key(one, question) != key(other, question)


def test_free_text_agrees_by_the_words_that_the_question_lacks() -> None:
    question = "Who won the first Nobel prize in physics?"
    texts = [
        "Wilhelm Röntgen",
        "The first Nobel prize in physics was won by Wilhelm Röntgen in 1901.",
        "The first Nobel prize in physics was won by Marie Curie.",
    ]
    answers = answers_of([question] * 3, texts)
    alike = AGREEMENT.look(answers).likeness.alike.reshape(3, 2)
    assert alike[0].tolist() == [0.998, 0.0]
    assert alike[1].tolist() == [0.998, 0.0]


def likeness(one: str, other: str, name: str, question: str = "Who was it?") -> float:
    """Of the first of two answers to the question."""
    found = AGREEMENT.look(answers_of([question] * 2, [one, other])).likeness
    return float(getattr(found, name)[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("291", "There are 291 episodes in Dragon Ball Z."),
        ("Wilhelm Rontgen", "It was Wilhelm Röntgen, in 1901."),
        ("temporal lobes", "the temporal lobe of the brain, I think"),
        ("twelve", "There were 12 of them, or so they say."),
    ],
)
def test_an_answer_agrees_with_the_sentence_that_holds_it(one: str, other: str) -> None:
    assert likeness(one, other, "alike") == 0.998


def test_unequal_numbers_do_not_agree() -> None:
    assert likeness("291", "292", "alike") == 0.0
    assert likeness("291", "There are 276 episodes in all.", "alike") == 0.0


def test_names_and_numbers_are_compared_apart_where_both_answers_have_some() -> None:
    one = "The part of the mother was played by Teri Garr."
    assert likeness(one, "The mother's part went to Kelly Reno.", "named") == 0.0
    assert likeness(one, "The mother's part went to Kelly Reno.", "alike") > 0.0
    assert likeness(one, "Teri Garr, born in 1944, played her part.", "named") == 1.0
    other = "some actress had the part of the mother"
    assert likeness(one, other, "named") == likeness(one, other, "alike") > 0.0


def test_what_an_answer_goes_on_to_tell_counts_less_than_what_it_begins_with() -> None:
    more = " ".join(f"word{at}" for at in range(60))
    one = "Marie Curie discovered radium and polonium."
    other = "radium and polonium, discovered by Marie Curie"
    assert likeness(f"{one} {more}", other, "headed") == pytest.approx(5 / 12)
    assert likeness(f"{more} {one}", other, "headed") == 0.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Gorbachev signed it", "signed by Gorbachov"),
        ("a photographer", "photography"),
        ("the Norwegians", "Norway"),
    ],
)
def test_another_form_of_a_word_is_nearly_the_same(one: str, other: str) -> None:
    assert likeness(one, other, "spelled") > likeness(one, other, "alike")
    assert likeness(one, other, "spelled") > 0.4


def test_an_answer_that_tells_more_shares_less_of_what_both_tell() -> None:
    more = "Marie Curie, who was born in Warsaw and worked in Paris"
    assert likeness("Marie Curie", more, "spelled") == 1.0
    assert likeness("Marie Curie", more, "shared") < 0.5
    assert likeness(more, "Marie Curie", "shared") == likeness("Marie Curie", more, "shared")


def test_words_of_the_question_count_as_said_where_the_whole_answer_is_compared() -> None:
    question = "Was Alaska bought or leased?"
    assert likeness("It was bought in 1867.", "leased in 1867", "alike", question) == 0.998
    assert likeness("It was bought in 1867.", "leased in 1867", "whole", question) < 0.7


def test_readings_that_say_everything_are_alike_in_every_way_or_in_none() -> None:
    found = AGREEMENT.look(answers_of([CHOICES] * 3, ["(a): a cat", "a", "(b): a dog"])).likeness
    for field in fields(found):
        alike = getattr(found, field.name).reshape(3, 2)
        assert alike.tolist() == [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


def test_who_is_agreed_with_most_leads_and_agreement_with_them_counts() -> None:
    answers = answers_of(["Who?"] * 4 + ["Which?"], ["Ann", "Ann", "Ann", "Bob", "Cid"])
    correct = [True, True, True, False, True]
    assert read(answers, correct, "agreement_lead")[:4] == pytest.approx([0, 0, 0, -2 / 3])
    seconded = read(answers, correct, "agreement_seconded")
    assert seconded[:4] == pytest.approx([4 / 9, 4 / 9, 4 / 9, 0.0])
    assert np.isnan(seconded[4])


def test_samples_that_agree_second_each_other() -> None:
    samples = [["Ann", "Ann"], ["Bob", "Bob"]]
    answers = answers_of(["Who?", "Which?"], ["Ann", "Ann"], columns={"samples": samples})
    assert read(answers, [True, False], "agreement_seconded") == [1.0, 0.0]
    assert read(answers, [True, False], "agreement_lead") == [0.0, -1.0]


def test_models_that_repeat_each_others_mistakes_are_no_witnesses_of_each_other() -> None:
    """`twin` errs with `asked`, `other` on its own: the same accuracy, another worth."""
    asked, answer, model, correct = [], [], [], []
    random = np.random.default_rng(0)
    for number in range(300):
        mine, theirs = random.random(2) < 0.6
        for name, right, wrong in (("asked", mine, 900), ("twin", mine, 900), ("other", theirs, 7)):
            asked.append(f"{number}?")
            answer.append(str(number + (0 if right else wrong)))
            model.append(name)
            correct.append(bool(right))
    answers, labels = answers_of(asked, answer, model=list(model)), np.array(correct)
    state = AGREEMENT.learn(AGREEMENT.look(answers), labels, np.ones(len(labels), np.bool_))
    of = state.alike.of["asked"]
    assert abs(of["twin"][-1]) < 0.1
    assert of["other"][-1] > 1.0


def test_models_that_repeat_each_other_share_what_they_are_worth() -> None:
    """`echo` copies `first`; `other` is as good. Who agrees with both copies has one witness."""
    asked, answer, model, correct = [], [], [], []
    random = np.random.default_rng(0)
    for number in range(600):
        first, other, mine = random.random(3) < 0.7
        for name, right in (("first", first), ("echo", first), ("other", other), ("me", mine)):
            asked.append(f"{number}?")
            answer.append(str(number + (0 if right else 900)))
            model.append(name)
            correct.append(bool(right))
    labels = np.array(correct)
    mine = np.array(model) == "me"
    look = AGREEMENT.look(answers_of(asked, answer, model=list(model)))
    weight = AGREEMENT.learn(look, labels, mine).together.models
    assert weight["first"] + weight["echo"] == pytest.approx(weight["other"], rel=0.3)


def test_a_model_that_was_never_seen_has_the_weight_that_all_share() -> None:
    asked = [f"{number}?" for number in range(80) for _ in range(2)]
    answer = [str(number % 3 * at) for number in range(80) for at in range(2)]
    correct = [number % 3 == 0 for number in range(80) for _ in range(2)]
    answers = answers_of(asked, answer, model=["one", "two"] * 80)
    look = AGREEMENT.look(answers)
    known = AGREEMENT.learn(look, np.array(correct), np.ones(160, np.bool_)).together
    assert known.common > 0
    new = AGREEMENT.look(answers_of(["?"] * 2, ["7", "7"], model=["three", "four"]))
    said = together_of(new, new.likeness.alike, known)
    assert said == pytest.approx([known.intercept + known.common / 2] * 2)


def test_nothing_is_said_where_all_are_right() -> None:
    answers = answers_of(["?"] * 3, ["1", "1", "2"])
    assert read(answers, [True] * 3, "agreement_together") == [0.0] * 3


def test_rows_of_other_questions_do_not_count_and_a_lone_row_has_no_number() -> None:
    answers = answers_of(["One?", "One?", "Two?", "Three?"], ["4", "4", "4", "4"])
    assert read(answers, [True, False, True, True])[:2] == [1.0, 1.0]
    assert np.isnan(read(answers, [True, False, True, True])[2:]).all()


def test_two_spellings_are_one_question() -> None:
    answers = answers_of(["Who  is it?", "who is it?\n"], ["Ann", "Ann"])
    assert answers.question.tolist() == [0, 0]


def test_samples_count_as_others() -> None:
    samples = [["Ann", "Bob"], [{"answer": "Cid", "model": "m"}, {"answer": "Cid"}]]
    answers = answers_of(["Who?", "Which?"], ["Ann", "Cid"], columns={"samples": samples})
    assert read(answers, [True, False]) == [0.5, 1.0]


def test_samples_that_always_hold_the_answer_itself_are_read_without_it() -> None:
    asked = [f"{number}?" for number in range(40)]
    samples = [["Cid", "Ann", "Cid", "Bob"]] * 40
    answers = answers_of(asked, ["Cid"] * 40, columns={"samples": samples})
    assert read(answers, [True, False] * 20) == pytest.approx([1 / 3] * 40)


def test_an_answer_that_some_samples_repeat_is_agreed_with() -> None:
    asked = [f"{number}?" for number in range(40)]
    samples = [["Cid", "Bob"], ["Ann", "Bob"]] * 20
    answers = answers_of(asked, ["Cid"] * 40, columns={"samples": samples})
    assert read(answers, [True, False] * 20) == [0.5, 0.0] * 20


def test_models_that_are_right_more_often_weigh_more() -> None:
    asked: list[str] = []
    answer: list[str] = []
    model: list[str] = []
    correct: list[bool] = []
    for number in range(60):
        for name, right in (("good", True), ("poor", number % 4 == 0), ("asked", number % 2 == 0)):
            asked.append(f"{number}?")
            answer.append("12" if right else f"{100 + len(answer)}")
            model.append(name)
            correct.append(right)
    answers = answers_of(asked, answer, model=list(model))
    labels = np.array(correct)
    look = AGREEMENT.look(answers)
    state = AGREEMENT.learn(look, labels, np.ones(len(labels), np.bool_))
    new = answers_of(["New?"] * 3, ["1", "1", "2"], model=["asked", "good", "poor"])
    other = answers_of(["New?"] * 3, ["1", "2", "1"], model=["asked", "good", "poor"])
    with_good = AGREEMENT.read(AGREEMENT.look(new), state)[0]
    with_poor = AGREEMENT.read(AGREEMENT.look(other), state)[0]
    assert with_good[0] == with_poor[0] == 0.5
    assert with_good[1] > with_poor[1]
    assert with_good[2] > with_poor[2]


def test_rows_of_a_huge_question_are_compared_with_a_bounded_number() -> None:
    answers = answers_of(["?"] * 1000, ["1", "2"] * 500)
    assert AGREEMENT.look(answers).row.size <= 1000 * 65
