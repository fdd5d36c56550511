"""What the fields of an answer are, and how they are named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.errors import UsageError
from ct_guard.fields import (
    MOST_FIELDS,
    fields_of,
    group_of,
    leaves,
    parse_path,
    path_of,
    read_object,
)
from ct_guard.fields.leaves import may_have_fields

INVOICE: dict[str, Any] = {
    "invoice": {"total": 12.5, "paid": False, "note": " ", "currency": "EUR"},
    "items": [{"price": 3, "tags": []}, {"price": "3"}],
    "a.b": None,
}


def by_path(value: Any, asked: tuple[str, ...] = ()) -> dict[str, str]:
    return {leaf.path: leaf.kind for leaf in fields_of(value, asked)}


def test_every_leaf_is_a_field_in_its_order() -> None:
    assert by_path(INVOICE) == {
        "invoice.total": "number",
        "invoice.paid": "truth",
        "invoice.note": "empty",
        "invoice.currency": "text",
        "items[0].price": "number",
        "items[0].tags": "empty",
        "items[1].price": "text",
        '["a.b"]': "empty",
    }


def test_fields_of_lists_are_of_one_group() -> None:
    groups = {leaf.group for leaf in leaves(INVOICE)}
    assert "items[].price" in groups
    assert group_of(parse_path("a[3].b[0]")) == "a[].b[]"


def test_a_path_that_is_asked_for_and_not_there_is_missing() -> None:
    asked = ("invoice.due", "items[].tags", "items[7].price", "nobody.knows")
    assert by_path(INVOICE, asked) == {
        "invoice.due": "missing",
        "items[0].tags": "empty",
        "items[1].tags": "missing",
        "items[7].price": "missing",
        "nobody.knows": "missing",
    }


def test_a_path_to_an_object_means_all_that_is_in_it() -> None:
    assert set(by_path(INVOICE, ("items[0]", "items[].price"))) == {
        "items[0].price",
        "items[0].tags",
        "items[1].price",
    }


def test_places_of_a_list_that_is_not_there_are_unknown() -> None:
    assert by_path({}, ("items[].price",)) == {}


@pytest.mark.parametrize("text", ["", "a..b", ".a", "a[", "a[x]", "a b", "[]x", '["a"', "9lives"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"no path|empty text"):
        parse_path(text)


@given(st.lists(st.text(max_size=8) | st.integers(0, 999), min_size=1, max_size=5))
def test_a_name_says_the_steps_whatever_the_keys(steps: list[str | int]) -> None:
    assert parse_path(path_of(steps)) == tuple(steps)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[{}]", [{}]),
        ('Here it is:\n```json\n{"a": 1}\n```\nDone.', {"a": 1}),
    ],
)
def test_an_answer_may_stand_in_a_fence(answer: str, value: Any) -> None:
    assert may_have_fields(answer)
    assert read_object(answer) == value


@pytest.mark.parametrize("answer", ["Kelso", "4", '"x"', '{"a": NaN}', '{"a": 1', "[" * 2000])
def test_an_answer_without_fields_says_so(answer: str) -> None:
    with pytest.raises(UsageError, match=r"no JSON|single JSON value"):
        read_object(answer)


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(UsageError, match="name those that count"):
        fields_of(list(range(MOST_FIELDS + 1)))
    assert len(fields_of(list(range(MOST_FIELDS + 1)), ("[3]",))) == 1
