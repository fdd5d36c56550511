"""Field by field: right or wrong."""

from typing import Any

import pytest

from ct_guard.fields import grade_fields, without


@pytest.mark.parametrize(
    ("said", "gold", "right"),
    [
        ("Kelso", " kelso.", True),
        ("Kelso", "Selby", False),
        (12.5, "12.50", True),
        ("1,200", 1200, True),
        (12.5, 12.6, False),
        ("12 EUR", 12, False),
        (True, "true", True),
        (True, 1, False),
        (None, None, True),
        ("", None, True),
        ([], None, True),
        (None, "Kelso", False),
        ("Kelso", None, False),
        ("007", "7", False),
        ("007", 7, True),
        ("+49", "49", False),
        ("12e3", "12000", False),
        ("0.30", "0.3", True),
        (0.1 + 0.2, 0.3, True),
        (1234567890, 1234567891, False),
        ("4111111111111111", "4111111111111112", False),
        ("9007199254740993", 9007199254740992, False),
        ("!", "?", False),
    ],
)
def test_a_value_is_compared_as_what_it_is(said: Any, gold: Any, right: bool) -> None:
    assert grade_fields({"x": said}, {"x": gold}) == {"x": right}


def test_what_the_answer_lacks_is_wrong_unless_there_is_nothing() -> None:
    gold = {"a": 1, "b": {"c": 2, "d": None}}
    assert grade_fields({"a": 1}, gold) == {"a": True, "b.c": False}


def test_what_nobody_asked_for_is_wrong_unless_it_is_empty() -> None:
    assert grade_fields({"a": 1, "b": 2, "c": None}, {"a": 1}) == {"a": True, "b": False, "c": True}


def test_an_empty_list_stands_for_all_that_is_in_it() -> None:
    assert grade_fields({"items": []}, {"items": [{"p": 1}]}) == {"items": False}


def test_numbers_may_be_off_by_a_share() -> None:
    assert grade_fields({"x": 101}, {"x": 100}, tolerance=0.02) == {"x": True}
    assert grade_fields({"x": 103}, {"x": 100}, tolerance=0.02) == {"x": False}


def test_only_what_is_asked_for_is_graded() -> None:
    assert grade_fields({"a": 1, "b": 2}, {"a": 1, "b": 3}, ("a",)) == {"a": True}


def test_dropped_fields_are_null_and_others_keep_their_paths() -> None:
    value = {"a": [{"b": 1}, {"b": 2}], "c": [7, 8]}
    made = without(value, ["a[0].b", "c[0]", "not.there", "c[9]"])
    assert made == {"a": [{"b": None}, {"b": 2}], "c": [None, 8]}
    assert value["c"] == [7, 8]
