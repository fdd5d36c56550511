"""Each grader on answers that it must tell apart."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.datasets import GRADERS, Question
from ct_guard.datasets.graders import Numeric
from ct_guard.datasets.graders.numeric import last_number
from ct_guard.errors import UsageError
from ct_guard.records import Message

CITIES = ("Rome", "Paris", "New York", "York")


def asking(*gold: str, choices: tuple[str, ...] = ()) -> Question:
    return Question("Which?", (Message(role="user", content="Which?"),), gold, choices)


OF_TEXTS = [name for name in GRADERS if name != "fields"]
"""Those that need no object."""


def correct(grader: str, answer: str, *gold: str, choices: tuple[str, ...] = ()) -> bool | None:
    [grade] = GRADERS[grader]().grade([answer], [asking(*gold, choices=choices)])
    assert grade.reason
    return grade.correct


@pytest.mark.parametrize("name", OF_TEXTS)
def test_the_gold_answer_itself_is_right(name: str) -> None:
    grader = GRADERS[name]()
    assert grader.name == name
    assert correct(name, "7", "7", choices=("7", "8")) is True
    assert correct(name, "8", "7", choices=("7", "8")) is False


@pytest.mark.parametrize("name", OF_TEXTS)
def test_any_one_of_several_gold_answers_is_right(name: str) -> None:
    assert correct(name, "9", "7", "9", choices=("7", "8", "9")) is True


@pytest.mark.parametrize("name", OF_TEXTS)
def test_answers_are_graded_in_their_order(name: str) -> None:
    grades = GRADERS[name]().grade(["1", "2", "1"], [asking("1"), asking("1"), asking("2")])
    assert grades[0].correct is not grades[1].correct or name == "multiple_choice"
    assert len(grades) == 3


@given(st.text(), st.text(min_size=1))
def test_no_grader_fails_on_any_text(answer: str, gold: str) -> None:
    for name in GRADERS:
        assert correct(name, answer, gold) in (True, False, None)


@given(st.text(st.characters(categories=["L", "Nd"]), min_size=1))
def test_every_text_passes_as_its_own_gold(text: str) -> None:
    for name in ("exact", "normalised", "substring"):
        assert correct(name, text, text) is True


def test_exact_minds_everything_but_outer_space() -> None:
    assert correct("exact", " Paris\n", "Paris") is True
    assert correct("exact", "paris", "Paris") is False


def test_normalised_compares_texts_without_words_as_they_are() -> None:
    assert correct("normalised", "+", "+") is True
    assert correct("normalised", "-", "+") is False


def test_substring_is_unclear_where_the_gold_is_denied_or_one_of_two() -> None:
    for answer in ("Lyon, not Paris", "It isn't in Paris.", "never Paris", "either Paris or Lyon",
                   "either Lyon or Paris"):  # fmt: skip
        assert correct("substring", answer, "Paris") is None
    for answer in ("not only Paris", "Not Lyon but Paris", "Paris, not Lyon",
                   "Paris, once or now Lutetia", "Not Paris? Yes, Paris.",
                   "It is thought to be Paris",
                   "The euro is used in Paris"):  # fmt: skip
        assert correct("substring", answer, "Paris") is True


@pytest.mark.parametrize(
    "answer",
    [
        "Paris. Wait, Lyon.", "Paris? No, Lyon.", "Is it Paris? No.", "I thought it was Paris",
        "It used to be Paris but now it is Lyon", "hardly Paris", "unlike Paris",
        "nowhere near Paris", "no longer in Paris", "Paris would be wrong",
        "Paris can be ruled out", "Paris, which is wrong",
        "non \u00e8 Paris", "n\u00e3o \u00e9 Paris", "\u4e0d\u662f Paris",
    ],
)  # fmt: skip
def test_a_gold_that_is_held_to_be_taken_back_is_unclear(answer: str) -> None:
    assert correct("substring", answer, "Paris") is None


@pytest.mark.parametrize("unit", ["B, ", "B and ", "9 - ", "9 because ", "no, ", "~~", "(", "0x"])
@pytest.mark.parametrize("name", sorted(GRADERS))
def test_texts_that_repeat_cost_no_more_than_long_ones(name: str, unit: str) -> None:
    begun = process_time()
    correct(name, unit * (20_000 // len(unit)), "Paris")
    assert process_time() - begun < 2


def test_yes_and_no_are_more_than_words_of_the_answer() -> None:
    for answer in ("yes and no", "I have no idea", "there is no way to tell"):
        assert correct("substring", answer, "no") is None
    for answer in ("No.", "no, it does not", "The answer is no"):
        assert correct("substring", answer, "no") is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("x + 2", "x - 2"), ("x = 3", "x \u2260 3"), ("x \u2208 A", "x \u2209 A"),
        ("p \u2227 q", "p \u2228 q"),
        ("A \u2192 B", "A \u2190 B"), ("x * y", "x / y"), ("2^3", "2*3"), ("\u00acp", "p"),
        ("\u00b15", "5"),
        ("x <= 3", "x < 3"), ("A-", "A"), ("O\u2212", "O+"), ("Cl-", "Cl"),
    ],
)  # fmt: skip
def test_signs_that_change_what_is_said_are_not_dropped(answer: str, gold: str) -> None:
    assert correct("normalised", answer, gold) is False
    assert correct("normalised", gold, answer) is False


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("a\u00d7b", "a * b"), ("24-7", "24/7"), ("well-known", "well known"), ("x = 3", "x: 3")],
)
def test_signs_that_only_look_different_make_no_difference(answer: str, gold: str) -> None:
    assert correct("normalised", answer, gold) is True


def test_accents_make_no_difference_and_other_marks_do() -> None:
    for name in ("normalised", "substring"):
        assert correct(name, "Zurich", "Zürich") is True
        assert correct(name, "São Paulo", "Sao Paulo") is True
        assert correct(name, "かき", "かぎ") is False
        assert correct(name, "Zurich", "Züri") is False


def test_substring_finds_whole_words_only() -> None:
    assert correct("substring", "It is the New York, I think.", "new york") is True
    assert correct("substring", "It is 12.", "1") is False
    assert correct("substring", "It is -5.", "5") is False


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("12", True),
        ("7 plus 5 is 12.", True),
        ("12.0 km", True),
        ("twelve", True),
        ("24/2", True),
        ("1.2e1", True),
        ("-12", False),
        ("12, or rather 13", False),
        ("many", False),
        ("12.1", False),
    ],
)
def test_the_last_number_counts(answer: str, expected: bool) -> None:
    assert correct("numeric", answer, "12") is expected


def test_a_gold_answer_that_is_no_number_makes_the_verdict_unclear() -> None:
    assert correct("numeric", "12", "a lot") is None


@pytest.mark.parametrize(
    ("tolerance", "answer", "gold", "expected"),
    [
        (0.1, "10.9", "10", True),
        (0.1, "11.1", "10", False),
        (0.1, "-10.9", "-10", True),
        (0.1, "0.01", "0", False),
        (0.0, "0.30000000000000004", "0.3", False),
        (0.0, "12345678901234567891", "12345678901234567890", False),
    ],
)
def test_the_tolerance_is_a_share_of_the_gold(
    tolerance: float, answer: str, gold: str, expected: bool
) -> None:
    [grade] = Numeric(tolerance).grade([answer], [asking(gold)])
    assert grade.correct is expected


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, float("nan")])
def test_a_tolerance_out_of_range_is_refused(tolerance: float) -> None:
    with pytest.raises(UsageError, match="tolerance"):
        Numeric(tolerance)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1e9, max_value=1e9))
def test_a_written_number_is_read_back(number: object) -> None:
    assert last_number(f"It is {number}.") == number


@pytest.mark.parametrize(
    "text", ["1/0", "1e999", "." * 5000, "1," * 5000, "9" * 5000, "answer" + "!" * 5000]
)
def test_odd_numbers_are_no_trouble(text: str) -> None:
    assert correct("numeric", text, "3") is False


@pytest.mark.parametrize(
    "answer",
    ["b", "B", "(b)", "B.", "(B) Paris", "b: Paris", "B) the city of light", "Paris", "paris.",
     "The answer is B", "The answer is (b).", "I think it is Paris."],
)  # fmt: skip
def test_a_choice_is_meant_by_letter_or_text(answer: str) -> None:
    for gold in ("B", "(b)", "Paris"):
        assert correct("multiple_choice", answer, gold, choices=CITIES) is True
    assert correct("multiple_choice", answer, "a", choices=CITIES) is False


@pytest.mark.parametrize(
    "answer",
    ["B) Rome", "Paris or Rome", "e", "the second one", "None of them", "A good question."],
)
def test_what_means_no_choice_or_two_is_unclear(answer: str) -> None:
    assert correct("multiple_choice", answer, "B", choices=CITIES) is None


def test_a_choice_within_another_is_not_meant() -> None:
    assert correct("multiple_choice", "It is New York.", "c", choices=CITIES) is True
    assert correct("multiple_choice", "It is York.", "d", choices=CITIES) is True


@pytest.mark.parametrize("gold", ["London", "e", "A or B"])
def test_a_gold_answer_that_means_no_choice_makes_the_verdict_unclear(gold: str) -> None:
    assert correct("multiple_choice", "A", gold, choices=CITIES) is None


def test_a_letter_that_is_the_text_of_another_choice_is_unclear() -> None:
    assert correct("multiple_choice", "A", "1", choices=("B", "A")) is None


def test_letters_alone_need_no_choices() -> None:
    assert correct("multiple_choice", "(c) because of that", "C") is True
    assert correct("multiple_choice", "d", "C") is False


def test_an_article_is_no_letter() -> None:
    pets = ("dog", "cat")
    for answer in ("Answer: A cat, certainly", "The answer is A cat."):
        assert correct("multiple_choice", answer, "a", choices=pets) is False
        assert correct("multiple_choice", answer, "b", choices=pets) is True
    for answer in ("Answer: A", "The answer is A.", "Answer: (a) cats bark", "Answer: A, I think"):
        assert correct("multiple_choice", answer, "a", choices=pets) is True
    assert correct("multiple_choice", "Answer: A guess", "a", choices=pets) is None


@pytest.mark.parametrize("name", OF_TEXTS)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("<think>Is it 8? No.</think>\n\n7", True),
        ("<think>It is 7.</think>8", False),
        ("It is 8.</think>7", True),
        ("<think>It must be 7", False),
    ],
)
def test_thoughts_are_not_graded(name: str, answer: str, expected: bool) -> None:
    assert correct(name, answer, "7", choices=("7", "8")) is expected


@pytest.mark.parametrize("text", ["\uf900", "e\u0301", "a    b", "a\u200bb"])
def test_answer_and_gold_are_read_alike(text: str) -> None:
    for name in ("exact", "normalised", "substring"):
        assert correct(name, text, text) is True


@pytest.mark.parametrize(
    "answer",
    [
        "Paris is not the capital", "Paris is wrong", "Paris isn't it", "anything but Paris",
        "I don't think it is Paris", "I don't know if it's Paris", "can't be Paris",
        "no longer Paris",
        "Lyon rather than Paris", "instead of Paris, Lyon", "Ce n'est pas Paris", "Nicht Paris",
        "No es Paris", "It could be Paris, Lyon or Rome", "maybe Lyon or Paris",
    ],
)  # fmt: skip
def test_a_gold_that_is_denied_in_any_way_is_not_right(answer: str) -> None:
    assert correct("substring", answer, "Paris") is None


@pytest.mark.parametrize("answer", ["Paris is not only a city", "Paris. Lyon is wrong."])
def test_what_denies_something_else_leaves_the_gold_right(answer: str) -> None:
    assert correct("substring", answer, "Paris") is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("\u0130stanbul", "Istanbul"), ("\u0141\u00f3d\u017a", "Lodz"), ("\u00d8rsted", "Orsted")],
)
def test_letters_with_marks_of_any_kind_are_read_without_them(answer: str, gold: str) -> None:
    assert correct("normalised", answer, gold) is correct("substring", answer, gold) is True


@pytest.mark.parametrize(("answer", "gold"), [("x < y", "x > y"), ("\u00a35", "\u20ac5")])
def test_relations_and_money_tell_texts_apart(answer: str, gold: str) -> None:
    assert correct("normalised", answer, gold) is False
    assert correct("normalised", gold, gold) is True


@pytest.mark.parametrize("name", ["numeric", "multiple_choice", "substring", "normalised"])
@pytest.mark.parametrize(
    "piece",
    [
        "\n",
        "12 or ",
        "not B, ",
        "(3 ",
        "the answer is ",
        "Paris not ",
        "2^{10}-",
        "(3+",
        "3 x 7 ",
        "\\boxed{2^{",
        "42 students in 7 ",
        "7!",
        "Paris or ",
    ],
)
def test_long_answers_are_graded_in_time_that_grows_with_their_length(
    name: str, piece: str
) -> None:
    """A quadratic step would take minutes here."""
    assert correct(name, 100_000 // len(piece) * piece + "lorem", "ipsum") is not True


@pytest.mark.parametrize(
    "answer", ["Paris or Lyon", "Lyon or Paris.", "It is Paris or Lyon", "Paris, Lyon or New York"]
)
def test_names_to_choose_from_are_unclear(answer: str) -> None:
    assert correct("substring", answer, "Paris") is None
    assert correct("substring", answer, "Rome") is False
    assert correct("substring", answer, "Paris", "Lyon", "New York") is True


@pytest.mark.parametrize(
    "answer",
    [
        "Paris (or Lutetia)", "Greater Paris or Paris", "It is called Paris or Lutetia.",
        "You can get it in Paris or London.", "the city of paris or lutetia", "Paris or not Paris",
    ],
)  # fmt: skip
def test_two_names_of_one_thing_are_right(answer: str) -> None:
    assert correct("substring", answer, "Paris") is True


def test_an_answer_that_is_said_again_otherwise_is_taken_back() -> None:
    assert correct("substring", "Paris, or rather Lyon", "Paris") is None
    assert correct("substring", "Paris rather than Lyon", "Paris") is True
