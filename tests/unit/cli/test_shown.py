"""Texts of strangers do nothing to a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.cli.shown import one_line, say, shown


@pytest.mark.parametrize("text", ["plain", "Zoë – “é” 漢字", "👩\u200d🔬", "نص عربي", ""])
def test_text_stays_as_it_is(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("good\ncertificate    p >= 0.5", r"good\ncertificate    p >= 0.5"),
        ("a\rb\tc", r"a\rb\tc"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("hid\u200bden\u2028line", r"hid\u200bden\u2028line"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_obeys_or_hides_is_escaped(text: str, visible: str) -> None:
    assert shown(text) == visible


@given(st.text())
def test_whatever_is_shown_is_one_line_of_printable_text(text: str) -> None:
    for line in (shown(text), one_line(text)):
        assert len(line.splitlines()) <= 1
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)
        line.encode()


def test_a_message_is_said_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\ntwo \x1b[1m")
    say("three", out=True)
    captured = capsys.readouterr()
    assert captured.err == "one\ntwo \\x1b[1m\n"
    assert captured.out == "three\n"
