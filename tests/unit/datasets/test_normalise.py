"""Normalisation: what does not matter goes, what tells answers apart stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.datasets.graders.normalise import contains, normalise, words

pieces = st.sampled_from(
    ["the", "a", "An", "Twenty", "one", "five", "-5", "1,000", "12.0", "3.50", "007", "km", "C++",
     "don't", "\u2212", "-", ".", ",", "\u017f", "\u1e9e", "\u0130", "\uff11\uff12", "\u00bd", " "]
)  # fmt: skip
any_text = st.text() | st.lists(pieces).map(" ".join) | st.lists(pieces).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Eiffel Tower.", "eiffel tower"),
        ("  an  ANSWER!\n", "answer"),
        ("1,234,567.50", "1234567.5"),
        ("12.0", "12"),
        ("twelve", "12"),
        ("Twenty-one", "21"),
        ("twenty one hundred", "21 hundred"),
        ("ninety", "90"),
        ("\u22125", "-5"),
        ("3-5", "3 5"),
        ("007", "007"),
        ("12km", "12 km"),
        ("\uff21\uff22", "ab"),
        ("don\u2019t", "dont"),
        ("C++", "c++"),
        ("vitamin A", "vitamin a"),
        ("m a s", "m a s"),
        ("?!", ""),
    ],
)
def test_one_spelling(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5", "-5"),
        ("C", "C++"),
        ("1.5", "15"),
        ("vitamin", "vitamin A"),
        ("12", "120"),
        ("a b", "b"),
    ],
)
def test_different_answers_stay_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(any_text)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(any_text)
def test_case_outer_space_and_full_stops_never_matter(text: str) -> None:
    plain = normalise(text)
    assert normalise(f" \n{text} .") == plain
    assert normalise(text.casefold()) == plain


@given(st.integers(-(10**12), 10**12))
def test_digit_groups_and_empty_decimals_never_matter(number: int) -> None:
    assert normalise(f"{number:,}.00") == normalise(str(number)) == str(number)


@given(st.lists(st.integers(0, 3)), st.integers(0, 5), st.integers(0, 5))
def test_a_slice_is_contained(numbers: list[int], start: int, size: int) -> None:
    said = [str(number) for number in numbers]
    assert contains(said, said[start : start + size])


def test_what_is_not_side_by_side_is_not_contained() -> None:
    assert not contains(words("new old york"), words("New York"))
