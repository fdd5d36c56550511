"""Numbers as people write them: read as they are meant, or unclear."""

import pytest

from ct_guard.datasets import Question
from ct_guard.datasets.graders import Numeric
from ct_guard.datasets.graders.numeric import last_number


def verdict(answer: str, gold: str) -> bool | None:
    [grade] = Numeric().grade([answer], [Question("How many?", (), (gold,))])
    return grade.correct


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("2 500", "2500"),
        ("2\u202f500\u00a0000", "2500000"),
        ("2 500,75", "2500.75"),
        ("2,500.75", "2500.75"),
        ("2'500", "2500"),
        ("2\u2019500", "2500"),
        ("2_500", "2500"),
        ("12,34,567", "1234567"),
        ("$2{,}500$", "2500"),
        ("2\\,500", "2500"),
        ("\u22127", "-7"),
        ("-2,500", "-2500"),
        ("7%", "7"),
        ("7\\%", "7%"),
        ("3/4", "0.75"),
        ("It is 3/4.", "0.75"),
        ("It is 1 3/4.", "1.75"),
        ("\\frac{3}{4}", "0.75"),
        ("$\\dfrac{3}{4}$", "3/4"),
        ("1 3/4", "1.75"),
        ("1\u00be", "1.75"),
        ("4e-3", "0.004"),
        ("4 x 10^3", "4000"),
        ("4\u00d710\u00b3", "4000"),
        ("4 \\times 10^{-3}", "0.004"),
        ("2^10", "1024"),
        ("2.5 million", "2500000"),
        ("3k", "3000"),
        ("It is 7 m^2.", "7"),
        ("7 cm2", "7"),
        ("7 m\u00b2", "7"),
        ("x_1 = 7", "7"),
        ("7 atoms in H2O", "7"),
        ("7km", "7"),
        ("USD7", "7"),
        ("$7.00", "7"),
        ("\u0667", "7"),
        ("3 + 4 = 7\n#### 7 apples", "7"),
        ("\\boxed{7} as 3 and 4 are 7, and 2 more 9", "7"),
        ("7 (that is 3 + 4)", "7"),
        ("**Final Answer:** 7\n\nIs there 1 more?", "7"),
        ("The final answer is 7. Ask me 1 more.", "7"),
        ("<answer>7</answer> of 9", "7"),
        ("- 7", "7"),
        ("1. Take 3.\n2. Add 4 to get 7", "7"),
        ("The answer is 7 because 3 and 4 are 7, and 2 more 9", "7"),
        ("Answer: 3 + 4 = 7, which is 2 less than 9", "7"),
        ("At first the answer is 9. But no: the answer is 7.", "7"),
        ("It is 7, not 8.", "7"),
        ("It is not 8 but 7.", "7"),
        ("7 rather than 8", "7"),
        ("It is 7. 8 is wrong.", "7"),
        ("0.5 or 1/2", "0.5"),
        ("1.5 hours or 90 minutes", "90"),
        ("adds up to 7", "7"),
        ("3 + 4 apples = 7 apples", "7"),
        ("3 + 4 gives 7", "7"),
        ("2 dozen", "24"),
        ("a dozen", "12"),
        ("minus seven", "-7"),
        ("one hundred and five", "105"),
        ("Two thousand, three hundred forty", "2340"),
        ("two and a half", "2.5"),
        ("three quarters", "0.75"),
        ("one third", "1/3"),
        ("half", "0.5"),
        ("three point one four", "3.14"),
        ("three and then seven", "7"),
    ],
)
def test_a_number_is_read_as_it_is_meant(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is True
    assert verdict(answer, "87654") is False


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("2.500,75", "2500.75"),
        ("2.500.000", "2500000"),
        ("2.500", "2500"),
        ("2,5", "2.5"),
        ("2,5", "5"),
        ("0,5", "0.5"),
        ("50%", "0.5"),
        ("0.5", "50%"),
        ("2.5 million", "2.5"),
        ("- 7", "-7"),
        ("\u20137", "-7"),
        ("7. Ask me 1 more question.", "7"),
        ("#### 7\n\nQuestion: 90 + 9?\n#### 99", "7"),
        ("#### 7\n\nQuestion: 90 + 9?\n#### 99", "99"),
        ("\\boxed{7} or \\boxed{8}", "8"),
        ("7 or 8", "8"),
        ("either 7 or 8 apples", "7"),
        ("#### 7 or maybe 8", "8"),
        ("more than 7", "7"),
        ("at least 7 boxes", "7"),
        ("x > 7", "7"),
        ("7 or more", "7"),
        ("7+", "7"),
        ("7 out of 8", "7"),
        ("7 out of 8", "7/8"),
        ("7 of the 8 apples", "8"),
        ("7 \u00b1 1", "7"),
        ("7 +/- 1", "7"),
        ("2 m = 200 cm", "2"),
        ("third", "3"),
        ("third", "1/3"),
    ],
)
def test_a_number_that_can_also_be_read_as_the_gold_is_unclear(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is None


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("2.500", "2.5"), ("3.142", "3.142"), ("7, 5, 3", "3"), ("7,5,3", "3")],
)
def test_the_usual_reading_is_enough(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is True


@pytest.mark.parametrize("answer", ["not 7", "It isn't 7.", "7 is wrong", "other than 7"])
def test_a_number_that_is_denied_is_not_said(answer: str) -> None:
    assert verdict(answer, "7") is False


def test_marks_that_disagree_name_no_number() -> None:
    assert last_number("#### 7 #### 7\n#### 8") is None
    assert last_number("#### 7\n#### 7.0") == 7


@pytest.mark.parametrize(
    "answer",
    [
        "certainly never 7", "neither 5 nor 7", "everything except 7", "anything but 7",
        "I doubt it's 7", "Is it 7? No.", "without 7",
    ],
)  # fmt: skip
def test_however_a_number_is_denied_it_is_not_right(answer: str) -> None:
    assert verdict(answer, "7") is not True


@pytest.mark.parametrize(
    "answer",
    [
        "between 5 and 7", "from 5 to 7", "5 to 7", "It takes about 5 to 7 days", "1999-12-7",
        "It is up to 7", "under 7", "just over 7", "above $7", "3:7", "5 and 7", "[5; 7]", "5 vs 7",
        "5\n7", "x = 7 or x = -3", "The answer is 7. Wait, actually 8.",
        "The answer is 7; wait, no: 8",
        "#### 7\nCorrection: 8", "\\boxed{7} Sorry, I mean 8.",
    ],
)  # fmt: skip
def test_a_span_a_bound_a_list_and_what_is_taken_back_are_unclear(answer: str) -> None:
    assert verdict(answer, "7") is None


@pytest.mark.parametrize(
    "answer",
    [
        "It rises from 5 to 7", "That adds up to 7", "5 and 2 make 7",
        "The difference between 9 and 2 is 7",
        "The answer is 7. Wait, let me check: 5 + 2 = 7.", "Option 2: 7", "The answer is 7 [3].",
        "7 [1]", "7\n\nConfidence: 90", "7\nSources: 12", "No. 7", "5? No, it's 7.",
    ],
)  # fmt: skip
def test_what_only_looks_like_doubt_leaves_the_number_as_it_is(answer: str) -> None:
    assert verdict(answer, "7") is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("\\boxed{1\\frac{1}{2}}", "1.5"),
        ("6.02 \u00d7 10\u00b2\u00b3", "6.02e23"),
        ("3\u00b7 10\u207b\u00b2", "0.03"),
    ],
)
def test_mixed_fractions_and_raised_digits_are_one_number(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is True


def test_what_stands_below_a_root_is_not_the_number() -> None:
    assert verdict("\\boxed{2\\sqrt{3}}", "3") is None
    assert verdict("5\\sqrt{3}", "2\\sqrt{3}") is None
    assert verdict("2\\sqrt{3}", "2\\sqrt{3}") is True
    assert verdict("\u221a16", "16") is None
    assert verdict("\\sqrt{16} = 4", "4") is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("minus 7", "-7"),
        ("Negative 7", "-7"),
        ("-$7", "-7"),
        ("\u2212\u20ac7", "-7"),
        ("2 \u00bd", "2.5"),
        ("10^(-3)", "0.001"),
        ("10<sup>3</sup>", "1000"),
        ("7&nbsp;000", "7000"),
        ("\u0663\u066b\u0665", "3.5"),
        ("\u0661\u066c\u0662\u0663\u0664", "1234"),
        ("\uff11\uff0e\uff15", "1.5"),
        ("0x1F", "31"),
        ("\u00a33.2m", "3200000"),
        ("3.2 mn", "3200000"),
        ("5 Mrd. Euro", "5000000000"),
        ("$5B", "5000000000"),
        ("two point five million", "2500000"),
        ("half a dozen", "6"),
        ("a quarter of a million", "250000"),
        ("\\fbox{7} of 9", "7"),
        ("8 ~~7~~", "8"),
        ("8 <del>7</del>", "8"),
        ("7, I'm 90% sure", "7"),
        ("The answer is 7 with 95% confidence", "7"),
        ("The answer is 7, the wrong answer is 8", "7"),
        ("not 8 (7)", "7"),
    ],
)
def test_signs_separators_and_scales_are_part_of_a_number(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is True
    assert verdict(answer, gold.lstrip("-") + "9") is False


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("90 minutes", "1.5 hours", True),
        ("700 cm", "7 m", True),
        ("50 cents", "$0.50", True),
        ("36 km/h", "10 m/s", True),
        ("7 m", "7 km", False),
        ("7 hours", "7 minutes", False),
        ("$7", "\u20ac7", None),
        ("7 \u00b0C", "7 \u00b0F", None),
        ("7 kg", "7 m", None),
        ("7", "7 km", True),
        ("7 boxes", "7 km", True),
    ],
)
def test_a_unit_is_part_of_the_quantity(answer: str, gold: str, expected: bool | None) -> None:
    assert verdict(answer, gold) is expected


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("5 feet 3 inches", "6 feet 3 inches", None),
        ("March 5, 2024", "March 4, 2024", False),
        ("1 hour and 30 minutes", "2 hours and 30 minutes", None),
        ("It was on March 5, 2024.", "March 5, 2024", True),
        ("March 5, 2024", "March 5, 2025", False),
    ],
)
def test_a_gold_answer_of_several_numbers_is_all_of_them(
    answer: str, gold: str, expected: bool | None
) -> None:
    assert verdict(answer, gold) is expected


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("(1,234)", "-1234"), ("($500)", "-500"), ("7-", "-7"), ("7 degrees below zero", "-7"),
        ("7 degrees below zero", "7"), ("5\u2030", "0.005"), ("seventy-five percent", "0.75"),
        ("\u5341\u4e8c", "12"), ("\u4e8c\u5341\u4e00", "21"), ("XII", "12"), ("\u216b", "12"),
        ("none", "0"),
        ("twice", "2"), ("1 in 4", "0.25"), ("one in four", "0.25"), ("1 in 4", "4"),
    ],
)  # fmt: skip
def test_what_may_be_another_number_is_unclear(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is None


@pytest.mark.parametrize(
    "answer",
    [
        "5-7", "5 - 7 km", "5\u20137", "5\u20147", "5\u20267", "5 bis 7", "5 \u00e0 7", "5 + 7",
        "5 \u00d7 7",
        "5 plus 7", "5 mod 7", "9 = 2 + 7", "<7", "> 7", ">=7", "7 at most", "max. 7", "exceeds 7",
        "7 minimum", "mehr als 7", "plus de 7", "5 oder 7", "5 ou 7", "5 and/or 7",
        "7\u03c0", "\\boxed{7\\pi}", "\\boxed{7x}", "\\boxed{2+7i}", "sqrt(7)", "\\ln 7",
        "\\sin(7)",
        "the square root of 7", "\\frac{\\pi}{7}", "\\binom{9}{7}", "\\boxed{5, 7}", "(5, 7)",
        "{5, 7}",
        "\\boxed{5 \\text{ or } 7}", "both 5 and 7", "5, 6 and 7",
        "7 because there are 3 left", "3, since there are 7 left", "It is 7, as 3 were eaten.",
        "7 - there are 3 left", "7: 3 were eaten",
        "The answer is 7. No, 8.", "The answer is 7. That is wrong.",
        "\\boxed{7}. Hmm, no. It is 8.",
        "The answer is 7. However, this is incorrect; it should be 8.", "#### 7\nHmm, no. 8",
        "The answer is 7 - no wait, 8", "Answer: 7\nSorry, it should be 8", "Answer: 7\nEDIT: 8",
    ],
)  # fmt: skip
def test_a_number_that_stands_for_another_or_is_not_kept_to_is_unclear(answer: str) -> None:
    assert verdict(answer, "7") is None


@pytest.mark.parametrize(
    "answer",
    [
        "wrong: 7", "Incorrect answer: 7", "The wrong answer is 7.", "7 is too high", "answer != 7",
        "x \u2260 7", "no es 7", "\u4e0d\u662f7", "7 ist falsch", "moins 7", "0x7F",
        "7<sup>2</sup>",
    ],
)  # fmt: skip
def test_a_number_that_is_said_to_be_wrong_is_not_right(answer: str) -> None:
    assert verdict(answer, "7") is False


@pytest.mark.parametrize(
    ("answer", "gold"), [("US$ 1.2bn", "1200000000"), ("2 lakh", "200000"), ("3 crore", "30000000")]
)
def test_scales_of_other_countries_and_of_newspapers_are_read(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("2^{10}-1", "1023"), ("2^10 - 1", "1023"), ("$2^{10}-1$", "1023"),
        ("So it is $2^{10} - 1$.", "1023"), ("\\boxed{2^{10} - 1}", "1023"),
        ("\\boxed{2^{2^{3}}}", "256"), ("10^5 - 10^3", "99000"), ("2^{100}", str(2**100)),
        ("2*3", "6"), ("2 + 3 * 4", "14"), ("2(3 + 4)", "14"), ("-(3 + 4)", "-7"),
        ("7!/5!", "42"), ("\\binom{7}{2}", "21"), ("5 choose 2", "10"),
        ("\\sqrt{16} + 1", "5"), ("17 \\bmod 5", "2"), ("-7 mod 5", "3"),
        ("1/3 + 1/3", "2/3"), ("480 x 800", "480 x 800"),
        ("It has 480 x 800 pixels.", "480 x 800"), ("2^10 - 1 = 1023", "1023"),
        ("f'(x) = 3", "3"), ("f(3) = 7", "7"), ("3 \\pmod{7}", "3"), ("x \\equiv 3 \\pmod 7", "3"),
        ("5\u2032", "5"), ("The answer is 7!", "7"), ("It is 7!", "7"),
        ("**7** - 3 apples left", "7"),
        ("7 (2 + 5)", "7"),
    ],
)  # fmt: skip
def test_an_expression_is_what_it_comes_to(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is not False
    assert verdict(answer, "87654") is False


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("2^{10}-1", "1023"), ("2^10 - 1", "1023"), ("$2^{10}-1$", "1023"), ("2*3", "6"),
        ("\\binom{7}{2}", "21"), ("7!/5!", "42"), ("2^{100}", str(2**100)), ("2(3 + 4)", "14"),
        ("10^5 - 10^3", "99000"), ("It has 480 x 800 pixels.", "480 x 800"),
        ("x \\equiv 3 \\pmod 7", "3"), ("f(3) = 7", "7"), ("It is 7!", "7"),
    ],
)  # fmt: skip
def test_a_clear_expression_is_worked_out(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("\\boxed{7!}", "7"), ("7!", "7"), ("$7!$", "7"), ("2^{10}-1", "2"), ("2^{10}-1", "1"),
        ("2^10 - 1", "10"), ("So it is $2^{10} - 1$.", "1"), ("\\binom{7}{2}", "2"),
        ("\\binom72", "72"), ("17 \\bmod 5", "5"), ("17 \\pmod 5", "5"), ("3 \\pmod{7}", "7"),
        ("\\sqrt[3]{27}", "27"), ("3x + 7", "7"), ("x^2 + 7", "7"), ("n - 1", "1"), ("2^n", "2"),
        ("2^{n-1}", "1"), ("\\frac{7}{n}", "7"), ("n/7", "7"), ("f(3)", "3"), ("f'(3)", "3"),
        ("\\gcd(12, 8)", "8"), ("max(3, 7)", "7"), ("7e", "7"), ("2^{2^3}", "3"), ("5 x 7", "7"),
        ("half of 10", "10"), ("twice 7", "7"), ("two thirds of 12", "12"), ("50% of 80", "80"),
        ("the square of 7", "7"), ("7 squared", "7"), ("{10 \\choose 7}", "7"), ("|-7|", "-7"),
        ("\\lfloor 7.5 \\rfloor", "7.5"), ("three times 7", "7"), ("2^{100}", "2"),
    ],
)  # fmt: skip
def test_a_part_of_an_expression_is_not_what_it_says(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is not True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("\\boxed{7!}", "5040"), ("It is 7!", "5040"), ("half of 10", "5"), ("twice 7", "14"),
        ("two thirds of 12", "8"), ("50% of 80", "40"), ("\\sqrt[3]{27}", "3"),
        ("\\log_2 8", "3"), ("\\gcd(12, 8)", "4"), ("7 squared", "49"), ("2\\pi", "6.283"),
        ("5 x 7", "35"), ("5000 m", "5"), ("90 minutes", "1.5"),
    ],
)  # fmt: skip
def test_what_may_come_to_the_gold_is_unclear(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is None


@pytest.mark.parametrize(
    "answer",
    [
        "42 students in 7 rows", "There are 42 students in 7 rows.", "42 km in 3 hours",
        "The answer is 42 students in 7 rows.", "She has 42 apples left after giving 3 to Bob.",
        "There are 42 episodes. The last one aired in 1994.",
        "It has 42 members, two from each of the 21 states.",
        "It was in 42, after the war of 39 had ended.",
    ],
)  # fmt: skip
def test_one_of_several_numbers_of_a_sentence_is_unclear(answer: str) -> None:
    assert verdict(answer, "42") is None
    assert verdict(answer, "43") is False


@pytest.mark.parametrize(
    "answer", ["42 students in 7 rows", "300 g of flour for 7 cakes", "3 bags of 7"]
)
def test_a_number_that_only_says_more_of_another_is_unclear(answer: str) -> None:
    assert verdict(answer, "7") is None


@pytest.mark.parametrize(
    "answer",
    [
        "5 red and 2 blue, so 7 in total", "From 5 and 2 you get 7", "5 + 2 = 7",
        "He has 5. She has 2.\n7", "It is 5, or rather 7", "She had 5 and ate some, which leaves 7",
    ],
)  # fmt: skip
def test_a_number_before_the_outcome_is_wrong(answer: str) -> None:
    assert verdict(answer, "5") is False
    assert verdict(answer, "7") is True


@pytest.mark.parametrize(
    "answer", ["Season 4 of The Flash consists of 23 episodes.", "It ended 2022 with 23 points."]
)
def test_a_number_that_names_something_leaves_the_other_as_it_is(answer: str) -> None:
    assert verdict(answer, "23") is True


def test_a_raised_number_apart_from_its_word_is_a_note() -> None:
    assert verdict("It was filmed in 2014 \u2079.", "2014") is True


def test_other_numbers_than_all_of_a_gold_answer_are_wrong() -> None:
    assert verdict("They are 4.52 amp, 3.91 amp", "3.91 amp, 4.52 amp") is False
    assert verdict("He died on 5 May 1917, at 16.13.", "May 5, 1917") is True
