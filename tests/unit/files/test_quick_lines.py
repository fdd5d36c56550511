"""Lines are read by a quick parser: nothing of what the careful one says is lost by that."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.files.jsonl import _odd_row, _row, decode_line, encode_line, encode_lines

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**30), 5e-324, 1.7976931348623157e308, -0.0]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text() | st.text("NaInfity\\\x7f\u2028\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.text() | st.just("question"), VALUES, max_size=4)


@given(FIELDS)
def test_it_reads_every_line_as_the_careful_one_does(fields: dict[str, Any]) -> None:
    line = json.dumps(fields).encode()
    assert repr(_row(1, "x", line)) == repr(_odd_row(1, "x", line))


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": 1e400}',
        b'{"a": [1, {"b": -2.5E+999}]}',
        b'{"question": 1e400}',
        b'{"a": 1' + b"0" * 400 + b".5}",
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b'{"a": 1, "a": 2}',
        b'{"a": -0, "b": 01}',
        b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}",
        b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"a": "\xff"}',
        b"[1]",
        b"3",
        b'{"a": 1} {"b": 2}',
        b'{"a": 1' + b"0" * 5000 + b"}",
    ],
)
def test_odd_lines_are_the_careful_ones(line: bytes) -> None:
    assert repr(_row(7, "file, line 7", line)) == repr(_odd_row(7, "file, line 7", line))


def finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@given(FIELDS)
def test_what_is_written_is_read_again_and_nothing_that_json_does_not_know_is_written(
    fields: dict[str, Any],
) -> None:
    if not finite(fields):
        with pytest.raises(ValueError, match="JSON compliant"):
            encode_line(fields)
        return
    line = encode_line(fields)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert repr(decode_line(line)) == repr(json.loads(json.dumps(fields)))


@given(st.lists(FIELDS, max_size=5))
def test_many_lines_at_once_are_those_one_by_one(values: list[dict[str, Any]]) -> None:
    if not all(map(finite, values)):
        with pytest.raises(ValueError, match="JSON compliant"):
            encode_lines(values)
        return
    assert encode_lines(values) == b"".join(map(encode_line, values))


def test_what_is_odd_in_one_line_changes_no_other() -> None:
    values = [{"a": "NaN, é"}, {"a": "half \ud800 é"}, {"a": "\u202e"}]
    assert encode_lines(values).split(b"\n") == [
        '{"a":"NaN, é"}'.encode(),
        b'{"a": "half \\ud800 \\u00e9"}',
        b'{"a":"\\u202e"}',
        b"",
    ]
