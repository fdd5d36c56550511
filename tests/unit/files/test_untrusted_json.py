"""One parser for the JSON of strangers: what it lets through, nothing behind it stumbles over."""

from math import inf
from pathlib import Path

import pytest

from ct_guard.files.untrusted_json import DEPTH, MOST_VALUES, JsonError, parse_json, read_json


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, -2.5e3, "é\\u00e9\\ud83d\\ude00", null, true]}',
        "9223372036854775807",
        '"\\\\ud8"',
    ],
)
def test_what_is_json_within_the_limits_is_read(text: str) -> None:
    assert parse_json(text) == parse_json(text.encode())


def test_nesting_is_bounded() -> None:
    assert parse_json("[" * DEPTH + "]" * DEPTH)
    for deep in (DEPTH + 1, 500, 100_000):
        with pytest.raises(JsonError, match="nested more than 100 deep"):
            parse_json('{"a":' * deep + "1" + "}" * deep)


def test_lists_and_objects_which_take_the_time_are_bounded() -> None:
    half = MOST_VALUES // 2 - 1
    assert len(parse_json("[" + "[{}]," * half + "1]")) == half + 1
    with pytest.raises(JsonError, match="more than 1,000,000 lists and objects"):
        parse_json("[" + "[{}]," * (half + 1) + "1]")


def test_configurations_of_models_may_hold_what_is_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"time_step_limit": [0.0, Infinity], "a": 1e999}')
    assert read_json(path, finite=False) == {"time_step_limit": [0.0, inf], "a": inf}
    with pytest.raises(JsonError, match="Infinity is no JSON number"):
        read_json(path)
    path.write_text('{"a": Infinity, "a": 1}')
    with pytest.raises(JsonError, match="'a' stands twice"):
        read_json(path, finite=False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1" * 20, "out of range"),
        ("1" * 5000, "out of range"),
        ("1e999", "out of range"),
        ("NaN", "NaN is no JSON number"),
        ("-Infinity", "-Infinity is no JSON number"),
        ('["\\ud800"]', "lone surrogate"),
        ('{"\\uDFFF": 1}', "lone surrogate"),
        (b'"\xff"', "byte 2 is not UTF-8"),
        ('{"a": 1, "b": 2, "a": 1}', "'a' stands twice"),
        ('[{"b": {"a": 1, "\\u0061": 2}}]', "'a' stands twice"),
        ("{", "Expecting"),
        ("", "Expecting"),
    ],
)
def test_everything_else_is_one_error_of_one_line(text: str | bytes, problem: str) -> None:
    with pytest.raises(JsonError, match=problem) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)


def test_a_file_holds_an_object_of_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}
    with pytest.raises(JsonError, match="larger than 7 bytes"):
        read_json(path, most_bytes=7)
    path.write_text("[]")
    with pytest.raises(JsonError, match="one JSON object"):
        read_json(path)
    with pytest.raises(JsonError, match="No such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(JsonError, match="directory"):
        read_json(tmp_path)
