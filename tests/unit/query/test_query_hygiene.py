"""Text before scoring: what is removed, and which answers need no model."""

import time
import unicodedata
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ct_guard.query import (
    MAX_CHARACTERS,
    MOST_MARKS,
    QUERY_TEXT,
    clean,
    hygiene,
    is_refusal,
    screen,
)
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
        ("a\u034fb\ufe01\U000e0100", "ab"),  # a joiner and selectors, without a shape
        ("13\ufe0f\ufe0f\ufe0f.", "13."),  # the selector of colour, behind no symbol
        ("\u2764\ufe0f\ufe0f", "\u2764\ufe0f"),
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
        ("1\ufe0f\u20e3 \u2764\ufe0f", "1\ufe0f\u20e3 \u2764\ufe0f"),  # a key, a red heart
        ("o\u0302\u0323"[:1] + "\u1ed9", "o\u1ed9"),
        ("", ""),
    ],
)
def test_visible_text_and_line_ends_are_no_attack(text: str, cleaned: str) -> None:
    assert clean(text) == (cleaned, False)


def longest_run(text: str) -> int:
    """Of characters that normal forms put into order, taken apart."""
    longest = run = 0
    for character in unicodedata.normalize("NFKD", text):
        run = run + 1 if unicodedata.combining(character) else 0
        longest = max(longest, run)
    return longest


MARKS = [
    "\u0301\u0323",  # out of order
    "\u0344",  # one that becomes two
    "\u0f73\u0f71",  # of no class of its own, but its parts have one
    "\uff9e\u0301",  # in compatibility forms only
    "\u0e38\u0e48",
]


@pytest.mark.parametrize("marks", MARKS)
def test_no_run_of_marks_is_long_when_it_is_put_into_order(
    marks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordering a run is quadratic in its length, so that runs have to be short before it begins."""
    seen = []

    def normalize(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        seen.append(text)
        return unicodedata.normalize(form, text)

    monkeypatch.setattr(hygiene, "normalize", normalize)
    cleaned, changed = clean(f"a{marks * 5000}b{marks * 5000}")
    assert changed
    assert seen
    assert max(longest_run(text) for text in [*seen, cleaned]) <= 2 * MOST_MARKS
    assert clean(cleaned) == (cleaned, False)


def test_as_many_marks_as_a_language_needs_are_kept() -> None:
    stacked = "\u0e01\u0e38\u0e48 x" + "\u0301" * (MOST_MARKS - 1)
    assert clean(stacked)[0] == unicodedata.normalize("NFC", stacked)


marked_text = st.lists(st.sampled_from(["a", "\u1ed9", "\uac00", *"".join(MARKS)])).map("".join)


@settings(deadline=None)
@given(any_text | marked_text.map(lambda text: text * 20))
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


def test_a_forgery_is_named_before_a_refusal() -> None:
    assert screen(row(f"{QUERY_TEXT} ii")) == "forged"
    assert screen(row(f"I don't know.{QUERY_TEXT} ii")) == "forged"


@pytest.mark.parametrize(
    "filling",
    [
        " ",
        "\n",
        "is ",
        "Is the ",
        "\u200b",
        "e\u0301",
        "\u0301\u0323",
        "<think>",
        "</think>",
        ". ",
        "(ii): ",
        "Is the proposed answer correct? ",
        "answer: ii ",
        "\nii",
        "\u2800",
    ],
)
def test_no_text_takes_long_to_screen(filling: str) -> None:
    """Linear in the length, whatever is repeated: the limit is a hundred times what it takes."""
    answer = "a" + filling * (200_000 // len(filling)) + "b"
    started = time.perf_counter()
    assert screen(row(answer)) in ("ok", "forged", "empty")
    assert time.perf_counter() - started < 5


def test_empty_comes_before_refusal() -> None:
    assert screen(row(" \u200b "), refusals=True) == "empty"
