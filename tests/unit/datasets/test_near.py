"""Answers that are nearly a gold answer, or hold it in doubt: unclear, and days are told apart."""

import pytest

from ct_guard.datasets import GRADERS, Question


def verdict(grader: str, answer: str, gold: str, asked: str = "Which?") -> bool | None:
    [grade] = GRADERS[grader]().grade([answer], [Question(asked, (), (gold,))])
    return grade.correct


@pytest.mark.parametrize("grader", ["substring", "normalised", "numeric"])
@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("December 14, 1972", "14 December 1972", True),
        ("14th of December, 1972", "1972-12-14", True),
        ("14/12/1972", "December 14, 1972", True),
        ("Dec. 14, 1972", "December 1972", True),
        ("December 1972", "14 December 1972", None),
        ("7/4/1776", "July 4, 1776", None),
        ("June 4, 1776", "July 4, 1776", False),
        ("4 July 1777", "July 4, 1776", False),
    ],
)
def test_a_day_is_the_same_in_every_order(
    grader: str, answer: str, gold: str, expected: bool | None
) -> None:
    assert verdict(grader, answer, gold) is expected


def test_the_last_day_of_an_answer_counts() -> None:
    answer = "It opened on October 3, 2013, and closed on 8 November 2013."
    assert verdict("substring", answer, "November 8, 2013") is True
    assert verdict("substring", answer, "3 October 2013") is None
    assert verdict("substring", answer, "27 October 2013") is False
    assert verdict("substring", "Not on October 3, 2013", "3 October 2013") is None


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("the US", "U.S."), ("U.S.A.", "USA"), ("World War 2", "World War II"),
        ("the Second World War", "World War II"), ("Louis the Fourteenth", "Louis XIV"),
        ("3rd", "third"), ("color", "colour"), ("organization", "organisation"), ("cats", "cat"),
        ("JK Rowling", "J. K. Rowling"), ("by Jack Lord12.", "Jack Lord"), ("ACDC", "AC/DC"),
        ("ice cream", "icecream"), ("Wilhelm R\u00f6ntgen", "Wilhelm Conrad R\u00f6ntgen"),
        ("Ludwig van Beethoven", "Beethoven, Ludwig van"), ("Jerry and Tom", "Tom and Jerry"),
        ("gold and silver", "['gold', 'silver']"), ("rock & roll", "rock and roll"),
    ],
)  # fmt: skip
def test_most_words_of_the_gold_or_another_spelling_are_unclear(answer: str, gold: str) -> None:
    assert verdict("substring", answer, gold) is None
    assert verdict("substring", "something else", gold) is False


def test_words_of_the_question_tell_nothing() -> None:
    assert verdict("substring", "the band Kiss", "the band Argent", "Which band sang it?") is False
    assert verdict("substring", "Argent", "the band Argent", "Which band sang it?") is None


@pytest.mark.parametrize(
    "answer", ["Nope", "Of course!", "It is not.", "Never", "I cannot say", "That is untrue"]
)
def test_an_answer_with_neither_yes_nor_no_is_unclear(answer: str) -> None:
    for gold in ("yes", "no", "true"):
        assert verdict("substring", answer, gold) is None
    assert verdict("substring", "No, it is not.", "yes") is False


@pytest.mark.parametrize(
    "answer",
    [
        "Many say Paris, but it is Lyon.", "You may think of Paris, yet it's Lyon.",
        "I don't know whether it's Paris.", "I would not say Paris.",
        "The answer is not, as many believe, Paris.",
        "There is no reason to believe that it is Paris", "It is false that it's Paris.",
        "Some sources claim Paris; they're mistaken.", "Paris has been ruled out",
        "It could be any of: Paris, Lyon, Nice",
    ],
)  # fmt: skip
def test_what_others_say_or_is_denied_from_afar_is_unclear(answer: str) -> None:
    assert verdict("substring", answer, "Paris") is None


@pytest.mark.parametrize("answer", ["No doubt: Paris", "Without doubt it is Paris"])
def test_no_doubt_is_no_denial(answer: str) -> None:
    assert verdict("substring", answer, "Paris") is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("The answer is Hamlet.", "Hamlet"), ("Answer: Paris", "Paris"), ("Paris, France", "Paris"),
        ("5 dollars", "$5"), ("50 percent", "50%"), ("10 kilometers", "10 km"), ("email", "e-mail"),
        ("n", "n!"), ("pi", "\u03c0"),
    ],
)  # fmt: skip
def test_a_gold_answer_with_more_words_or_otherwise_spelled_is_unclear(
    answer: str, gold: str
) -> None:
    assert verdict("normalised", answer, gold) is None


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("not guilty", "guilty"), ("Lyon, not Paris", "Paris"), ("(0, 1]", "[0, 1)"),
        ("x + 2", "x"), ("vitamin", "vitamin A"),
    ],
)  # fmt: skip
def test_another_answer_stays_wrong(answer: str, gold: str) -> None:
    assert verdict("normalised", answer, gold) is False


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("\\boxed{5}", "5"), ("\\text{red}", "red"), ("$5$", "5"), ("5", "\\boxed{5}")],
)
def test_latex_around_an_answer_is_no_part_of_it(answer: str, gold: str) -> None:
    assert verdict("normalised", answer, gold) is True
