"""Which choice an answer means, when it says more than a letter."""

import pytest

from ct_guard.datasets import Question
from ct_guard.datasets.graders import MultipleChoice
from ct_guard.datasets.graders.multiple_choice import meant

PLANTS = ("moss", "oak", "fern", "grass")


@pytest.mark.parametrize(
    "answer",
    [
        "B, because moss is no tree",
        "B - moss is no tree",
        "(b) has wood and moss has none",
        "B\n\nMoss is no tree, so no.",
        "B because moss is no tree",
        "B is correct. Moss is no tree.",
        "**B.** Moss is no tree",
        "**B) oak**",
        "`b`",
        "(B) because A is no tree",
        "(b): it has wood",
        "b) oak, not moss",
        "B: oak",
        "I choose B, since moss is no tree",
        "I'd go with B, as moss is no tree",
        "I would pick (b). Moss is no tree.",
        "It is B; moss is no tree",
        "Moss is no tree, so it must be B.",
        "Answer: B\nMoss is no tree.",
        "**Answer:** B",
        "The correct option is B: moss is no tree",
        "The answer is **B**, as moss is no tree",
        "The best answer is B because A and C have no wood",
        "Answer: B (not A)",
        "A is wrong. The answer is B.",
        "The answer is A? No. Final answer: B",
        "Final answer: \\boxed{B}. Moss is no tree",
        "The answer is $\\boxed{\\text{B}}$.",
        "<answer>B</answer>",
        "R\u00e9ponse : B",
        "\u7b54\u6848\uff1aB",
        "Answer: C is wrong, the answer is B",
        "It is the oak.",
        "Option B",
        "So, B.",
        "Maybe B",
        "B?",
        "ans: b)",
        "Final: (b)",
        "Hence, the correct option is (B)",
        "\u24b7",
        "\uff22",
        "\u6b63\u786e\u7b54\u6848\u662fB",
        "\u041e\u0442\u0432\u0435\u0442: B",
    ],
)
def test_the_letter_that_is_given_goes_before_what_its_reasons_mention(answer: str) -> None:
    assert meant(answer, PLANTS) == {"b"}


@pytest.mark.parametrize(
    "answer",
    [
        "Not moss but the oak",
        "The oak stands over moss",
        "B or C",
        "A and B",
        "B, C",
        "(B), (C) and D",
        "A. moss\nB. oak\nC. fern\nD. grass",
        "A: moss is wrong\nB: oak is right",
        "Answer: A, B",
        "The answer is A or B",
        "B) moss",
        "A. Moss is small. B. Oak is a tree. The answer is B.",
        "It isn't moss.",
        "Not moss",
        "Moss is wrong",
        "Oak is incorrect",
        "I don't think it is B",
        "The answer isn't B",
        "B is not right",
        "B\u2014moss has none",
        "Vitamin B",
        "A plant",
        "I think so",
        "",
    ],
)
def test_what_does_not_name_one_choice_is_not_guessed(answer: str) -> None:
    assert len(meant(answer, PLANTS)) != 1


@pytest.mark.parametrize(
    "answer",
    [
        "(B) is incorrect.", "B: wrong", "B) is not the answer", "B, which is wrong", "B? No.",
        "B) oak is wrong", "B) oak - incorrect", "B - this is wrong, as moss is small", "B \u274c",
        "The wrong answer is B", "The least likely answer is B", "Incorrect choice: B",
        "It is false that the answer is B", "It would be wrong to say the answer is B",
        "anything but oak", "Oak is ruled out", "hardly an oak", "unlike oak",
        "The oak is the only wrong choice", "\u7b54\u3048\u306fB\u3067\u306f\u306a\u3044",
        "B... no, C", "B \u2014 sorry, C", "B as well as C", "B. Also C.", "B, or else C",
        "B und C", "B\u3001C", "Some say the answer is B, but it is C",
        "A tempting answer is B, but C", "B looks correct but isn't. C.",
        "If the answer is B, then moss is a tree. So it is C.",
        "A - wrong, B - right, C - wrong", "A) no B) yes", "A: 10%, B: 80%, C: 10%",
        "A \u2717 B \u2713 C \u2717", "A, C, D are wrong",
    ],
)  # fmt: skip
def test_a_letter_that_is_denied_joined_or_judged_with_others_is_not_chosen(answer: str) -> None:
    assert meant(answer, PLANTS) not in ({"a"}, {"b"})


def test_a_letter_that_is_struck_out_is_not_chosen() -> None:
    asked = Question("Which is a tree?", (), ("B",), PLANTS)
    assert [one.correct for one in MultipleChoice().grade(["~~A~~ B", "~~B~~ C"], [asked] * 2)] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("answer", "choices"),
    [
        ("I have no idea", ("yes", "no")),
        ("There is no answer", ("yes", "no")),
        ("It won't increase", ("increase", "decrease")),
        ("It fails to increase", ("increase", "decrease")),
        ("unlikely to increase", ("increase", "decrease")),
        ("C. difficile is the cause", ("Shigella", "E. coli", "Salmonella", "C. difficile")),
    ],
)
def test_words_of_a_choice_that_are_not_said_of_it_choose_nothing(
    answer: str, choices: tuple[str, ...]
) -> None:
    assert len(meant(answer, choices)) != 1


def test_choices_that_differ_by_their_signs_alone_are_told_apart_by_their_letter() -> None:
    choices = ("x + 2", "x - 2", "- 31 kJ", "31 kJ")
    for letter, choice in zip("abcd", choices, strict=True):
        assert meant(f"({letter}): {choice}", choices) == {letter}
    assert len(meant("x - 2", choices)) == 2


@pytest.mark.parametrize(
    "answer",
    [
        "A, wait no, B",
        "A. Actually, B.",
        "My answer is A. Correction: B",
        "Answer: A. Oops, I meant (b).",
    ],
)
def test_a_choice_that_is_taken_back_is_not_the_answer(answer: str) -> None:
    assert len(meant(answer, PLANTS)) != 1


@pytest.mark.parametrize("answer", ["A: false. B: true. C: false.", "A. Wrong. B. Right."])
def test_the_first_of_a_row_of_judgements_is_no_choice(answer: str) -> None:
    assert meant(answer, PLANTS) != {"a"}


def test_a_choice_in_json_is_read() -> None:
    assert meant('{"answer": "B"}', PLANTS) == meant("{'answer': 'B'}", PLANTS) == {"b"}


@pytest.mark.parametrize(
    "answer", ["(b): Is not a tree", "(b): No, because moss has none", "(b): False, True", "B. No."]
)
def test_a_choice_that_begins_with_no_is_no_denial(answer: str) -> None:
    assert meant(answer, ()) == {"b"}


@pytest.mark.parametrize(
    "answer",
    [
        "A seems correct at first glance, but B is better.", "B; alternatively D",
        "The correct choice is B: moss", "The answer is B: moss.",
        "If moss were a tree, the answer would be A. It is not, so B.",
    ],
)  # fmt: skip
def test_a_letter_at_first_glance_supposed_or_with_the_text_of_another_is_no_choice(
    answer: str,
) -> None:
    assert meant(answer, PLANTS) not in ({"a"}, {"c"}, {"d"})
    assert meant(answer, PLANTS) != {"b"} or "B is" in answer or "so B" in answer


@pytest.mark.parametrize(
    "answer",
    ["Moss is no tree, so the answer can only be B.", "If I had to choose, the answer would be B"],
)
def test_a_letter_that_is_the_only_one_left_is_chosen(answer: str) -> None:
    assert meant(answer, PLANTS) == {"b"}
