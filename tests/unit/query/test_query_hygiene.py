"""Text before scoring: what is removed, and which answers need no model."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.query import MAX_CHARACTERS, QUERY_TEXT, clean, is_refusal, screen
from ct_guard.records import Message, QuestionAnswer

any_text = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\u200bb", "ab"),  # zero-width space
        ("\ufeffa", "a"),  # byte order mark
        ("a\u202eb\u2066c", "abc"),  # bidirectional override and isolate
        ("a\x00b\x1b[0m\x7f", "ab[0m"),  # NUL, escape, delete
        ("e\u0301", "\u00e9"),  # NFC
        ("a\ud800b", "ab"),  # a lone surrogate
    ],
)
def test_hidden_and_denormalised_characters_are_removed_and_flagged(
    text: str, cleaned: str
) -> None:
    assert clean(text) == (cleaned, True)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("line\r\nline\rline\n", "line\nline\nline\n"),
        ("tab\tand newline\n", "tab\tand newline\n"),
        ("caf\u00e9 \u6771\u4eac \U0001f600", "caf\u00e9 \u6771\u4eac \U0001f600"),
        ("", ""),
    ],
)
def test_visible_text_and_line_ends_are_no_attack(text: str, cleaned: str) -> None:
    assert clean(text) == (cleaned, False)


@given(any_text)
def test_cleaning_leaves_nothing_to_clean(text: str) -> None:
    cleaned, _ = clean(text)
    assert clean(cleaned) == (cleaned, False)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(
        unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in cleaned if c not in "\n\t"
    )
    cleaned.encode("utf-8")


def row(answer: str, **fields: object) -> QuestionAnswer:
    return QuestionAnswer.model_validate({"question": "Who?", "answer": answer, **fields})


@pytest.mark.parametrize("answer", ["", " \n\t", "\u200b\u202e", "\x00", "\u3000"])
def test_nothing_visible_is_empty(answer: str) -> None:
    assert screen(row(answer)) == "empty"


@pytest.mark.parametrize(
    "answer",
    [
        "I don't know.",
        "I don\u2019t know.",
        "  i do not know the answer",
        "I really don't know.",
        "I'm sorry, but I can't help with that.",
        "Sorry, I cannot answer this.",
        "I am afraid I am unable to say.",
        "I cannot answer that.",
        "I can't help you.",
        "I'm not able to browse.",
        "As an AI language model, I cannot have opinions.",
        "I don\u200b't know.",
        "Unknown",
        "Not sure.",
        "N/A",
        "No idea!",
    ],
)
def test_declining_is_a_refusal(answer: str) -> None:
    assert screen(row(answer)) == "refusal"


@pytest.mark.parametrize(
    "answer",
    [
        "Paris",
        "The Unknown Pleasures album",
        "Unknown Pleasures",
        "Not sure-footed goats, but sheep.",
        "He said: I don't know.",
        "I know that it is Paris.",
        "I can say that it is Paris.",
        "Sorry is a word in the title. It cannot be another.",
        "AI cannot do that.",
        "No answering machine existed then.",
    ],
)
def test_an_answer_that_only_mentions_declining_is_scored(answer: str) -> None:
    assert not is_refusal(answer)
    assert screen(row(answer)) == "ok"


def test_refusals_can_be_scored_like_answers() -> None:
    assert screen(row("I don't know."), refusals=False) == "ok"


def test_length_counts_all_texts_of_a_row_and_comes_before_everything_else() -> None:
    half = "x" * (MAX_CHARACTERS // 2)
    messages = (Message(role="user", content=half),)
    assert screen(row("a", context=half, messages=messages)) == "too_long"
    assert screen(row(" " * (MAX_CHARACTERS + 1))) == "too_long"
    assert screen(row("I don't know. " * MAX_CHARACTERS)) == "too_long"
    assert screen(row("x" * (MAX_CHARACTERS - len("Who?")))) == "ok"


def test_an_answer_that_is_nothing_but_the_query_is_empty() -> None:
    assert screen(row(f"{QUERY_TEXT} ii")) == "empty"
    assert screen(row(f"I don't know.{QUERY_TEXT} ii")) == "refusal"


@pytest.mark.parametrize("filling", [" ", "\n", "is ", "Is the ", "\u200b", "e\u0301"])
def test_no_text_takes_long_to_screen(filling: str) -> None:
    """Linear in the length, whatever is repeated: the limit is a hundred times what it takes."""
    answer = "a" + filling * (200_000 // len(filling)) + "b"
    started = time.perf_counter()
    assert screen(row(answer)) == "ok"
    assert time.perf_counter() - started < 5


def test_empty_comes_before_refusal() -> None:
    assert screen(row(" \u200b "), refusals=True) == "empty"
