"""Lists of texts as CSV files hold them, whoever wrote the file."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ct_guard.files.lists import list_of_texts


@pytest.mark.parametrize(
    "text",
    [
        '["one", "two"]',
        "['one', 'two']",  # Python and pandas
        "['one' 'two']",  # numpy
        "['one'\n 'two']",
        "('one', 'two')",
        "array(['one', 'two'], dtype=object)",
        "np.array(['one', 'two'])",
        "array(['one', 'two'], dtype='<U3')",
        " ['one', \"two\",] ",
        "['one', nan, 'two', None]",
    ],
)
def test_a_list_is_its_texts(text: str) -> None:
    assert list_of_texts(text) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[]", []),
        ('["it\'s", "a \\"b\\""]', ["it's", 'a "b"']),
        ('["it\'s", \'a "b"\']', ["it's", 'a "b"']),
        ("['a\\nb']", ["a\nb"]),
        ("['a\nb']", ["a\nb"]),
        ("['one', 2, 3.5]", ["one", "2", "3.5"]),
        ("['[x]', '(y)']", ["[x]", "(y)"]),
        ("['\u6771\u4eac']", ["\u6771\u4eac"]),
    ],
)
def test_quotes_and_numbers_within_a_list(text: str, items: list[str]) -> None:
    assert list_of_texts(text) == items


@pytest.mark.parametrize(
    "text",
    [
        "Paris", "", "[1, 2]", "(a)", "[oops", "['a'] is the list", "x = ['a']", "[['a'], ['b']]",
        '[{"a": 1}]', '("quoted")? yes', "{'a', 'b'}", "[a, b]",
    ],
)  # fmt: skip
def test_other_text_is_no_list(text: str) -> None:
    assert list_of_texts(text) is None


@pytest.mark.parametrize("text", ["['one', 'two'", "['one', 'tw", "['one' ... 'two']"])
def test_a_list_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"without an end|shortened"):
        list_of_texts(text)


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1))
def test_what_python_writes_is_read_back(items: list[str]) -> None:
    assert list_of_texts(repr(items)) == items


@settings(deadline=None)
@given(st.text() | st.text("['\"],( \\"))
def test_no_text_is_trouble(text: str) -> None:
    try:
        list_of_texts(f"['{text}")
    except ValueError as error:
        assert str(error)  # noqa: PT017
