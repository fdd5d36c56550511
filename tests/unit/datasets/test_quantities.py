"""Quantities in several parts, years, and numbers in words beside others."""

import pytest

from ct_guard.datasets import Question
from ct_guard.datasets.graders import Numeric


def verdict(answer: str, gold: str) -> bool | None:
    [grade] = Numeric().grade([answer], [Question("How many?", (), (gold,))])
    return grade.correct


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("1 hour and 30 minutes", "90"), ("1h30", "90"), ("5'3\"", "63"),
        ("5 feet 6 inches", "5\u00a0ft 6\u00a0in"),
        ("5 feet 3 inches", "63"),
        ("3 hours and 48 minutes", "228 minutes"), ("90 minutes", "1 hour and 30 minutes"),
        ("two and a half million", "2500000"), ("an hour and a half", "1.5"),
        ("44 BC", "44 BC"), ("44 BC", "44"), ("the 1990s", "1990s"),
        ("It was in the 16th century.", "16th century"),
    ],
)  # fmt: skip
def test_the_parts_of_a_quantity_are_one_number(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("5 feet 3 inches", "5.25"), ("an hour and a half", "90"), ("300,000 km/s", "3e8"),
        ("nineteen eighty-four", "1984"), ("twenty fifteen", "2015"), ("three fifty", "350"),
        ("twenty-first", "21"), ("the twentieth", "20"), ("no apples", "0"),
        ("There are no solutions", "0"), ("Henry VIII", "8"), ("XIX century", "19"),
        ("in the 1990s", "1996"), ("1990s", "1990"), ("the 16th century", "1524"),
        ("44 BC", "-44"), ("It was in 20171.", "2017"), ("14/12/1972", "1972"),
        ("There are 42 students, 12 of whom are girls.", "12"),
        ("There are 42 students, 12 of whom are girls.", "42"),
        ("She won two silver medals in 1986.", "2"),
        ("Seventeen, i.e. 1 more than 16.", "17"),
        ("Total: 12\n- apples: 7\n- pears: 5", "12"), ("Total: 12\n- apples: 7\n- pears: 5", "5"),
        ("| n |\n|---|\n| total | 12 |\n| pears | 5 |", "5"),
    ],
)  # fmt: skip
def test_what_may_be_the_gold_by_its_parts_or_its_years_is_unclear(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is None


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("44 AD", "44 BC"), ("the 1980s", "1996"), ("the 18th century", "1524"), ("20171", "2018"),
        ("15000", "1500"), ("1 hour and 30 minutes", "95"),
    ],
)  # fmt: skip
def test_other_years_and_quantities_are_wrong(answer: str, gold: str) -> None:
    assert verdict(answer, gold) is False


def test_the_last_row_counts_where_it_is_the_total() -> None:
    table = "| item | n |\n|---|---|\n| pears | 5 |\n| **total** | **12** |"
    assert verdict(table, "12") is True
    assert verdict(table, "5") is False
