"""Blanks, dots and hanging marks move no score: an answer is read with few of them, and flagged."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ct_guard.query import read_answer, without_filler


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("13" + " " * 10 + ".", "13."),
        ("13" + " " * 300 + ".", "13."),
        ("13 .", "13."),
        ("13\n\n.", "13."),
        ("13\u2800\u3164\u2800.", "13."),
        ("13\u00a0\u2003\u3000\u2003.", "13."),
        ("13\t\t\t.", "13."),
        ("13 . . . . . .", "13..."),
        ("13" + "." * 50, "13..."),
        ("13 " + ". " * 20 + "so it is", "13 ... so it is"),
        ("13" + " " * 40 + "it is", "13 it is"),
        ("13" + " (" * 40, "13"),
        ("13 ." + "\n:" * 12, "13."),
        ("13" + "," * 12, "13"),
        ("13 , , ,", "13"),
        ("13 , ; : [ { <", "13"),
        ("13\u2003(\u2003(\u2003(\u2003(", "13"),
        ("13" + "\uff0e" * 40, "13..."),
        ("13" + " \u2024" * 40, "13..."),
        ("13" + "\u3002" * 4, "13..."),
        ("13   \nit is", "13\nit is"),
        ("13" + "\n" * 30 + "it is", "13\n\n\nit is"),
        ("13" + "\n \n  " * 10 + "it is", "13\n\n\n  it is"),
        ("13\n" + " " * 300 + "it is", "13\n" + " " * 32 + "it is"),
        ("13 ?", "13"),
        ("13 :", "13"),
        ("13 ;", "13"),
        ("13 !", "13"),
        ("Oui !", "Oui"),
        ("13 \u2014", "13"),
        ("13 ?!", "13"),
        ("13 ? : ;", "13"),
        ("13 ? .", "13."),
        ("13? .", "13?"),
        ("13\u00a0?", "13"),
        ("13\n?", "13"),
        ("\u662f \uff1f", "\u662f"),
        ("\u0646\u0639\u0645 \u061f", "\u0646\u0639\u0645"),
        ("13 ..", "13."),
        ("13..", "13."),
        ("13. .", "13."),
        ("Well. . .", "Well..."),
        ("13 (", "13"),
        ("13 )", "13"),
        ("{a} 13 ]", "{a} 13"),
        ('13 "', "13"),
        ('13""', "13"),
        ('It is 13.""', "It is 13."),
        ("13\u201c\u201d", "13"),
        ("13 \u201c", "13"),
        ("13 \u00ab", "13"),
        ("13 **", "13"),
        ("13\n**", "13"),
        ("13\n- ", "13"),
        ("13\n>", "13"),
        ("13\n\n---", "13"),
        ("13 - - - -", "13"),
        ("f ( x ) ;", "f ( x )"),
        ("f ( x ) .", "f ( x )."),
    ],
)
def test_filler_is_read_as_the_little_that_it_is(answer: str, read: str) -> None:
    assert without_filler(answer) == (read, True)
    assert read_answer(answer) == (read, True)


@pytest.mark.parametrize(
    "answer",
    [
        "13",
        "13.",
        "Well...",
        "who?",
        "Oui!",
        "?",
        "-",
        "B)",
        "O -",
        "Na +",
        "C #",
        "A *",
        "13 %",
        "It is 7 + 6 =",
        "import *",
        "cd ~",
        'x = ""',
        "It is [ ]",
        '"13""',
        'x=""',
        "main ( )",
        "( 13 )",
        "[ 0, 1 )",
        "| 0 >",
        "\u00ab Oui \u00bb",
        "\u201e Ja \u201c",
        "\u201c13 \u201d",
        "** 13 **",
        "```\n13\n```",
        "\\[ x = 13 \\]",
        "5''",
        "../..",
        "It is so.  And so.",
        "A line with a break  \nand its end",
        "def f():\n    if x:\n        return 1\n\n\ny = f()",
        "a. b. c. d. e.",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "1\u00a0000 \u20ac",
        '{"a": [\n    1\n  ]\n}',
        "He said: 'Go!'",
        "(f (g (h (i x))))",
        "It is so:",
        "1,,,,2",
        "((((a",
        "\u662f\u3002",
    ],
)
def test_text_as_people_write_it_is_read_letter_by_letter(answer: str) -> None:
    assert without_filler(answer) == (answer, False)


def test_white_space_around_an_answer_is_no_filler() -> None:
    assert without_filler("\n\n\n\n  13    \n") == ("\n\n\n\n  13    \n", False)


@settings(deadline=None)
@given(st.text() | st.text(' \n\t.\u00a0\u2800\u2026a,!(:\u3002)"*-'))
def test_nothing_is_left_to_shorten_and_no_word_is_lost(answer: str) -> None:
    read, _ = without_filler(answer)
    assert without_filler(read) == (read, False)
    assert [c for c in read if c.isalnum()] == [
        c for c in answer if c.isalnum() and c not in "\u115f\u1160\u3164\uffa0"
    ]
