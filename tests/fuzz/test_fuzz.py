"""A short run of `python -m tests.fuzz`, which `make fuzz` does at length."""

import pytest

from tests.fuzz.run import Found, fuzz
from tests.fuzz.targets import TARGETS

SLOW = {"tokenizer": 12, "tokenizer-config": 30, "gguf": 60}
"""Inputs of targets that load much for each."""
INPUTS = {name: SLOW.get(name, 150) for name in TARGETS}


@pytest.fixture(scope="module")
def fed() -> dict[str, Found]:
    return fuzz(INPUTS)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_errors_of_ours_comes_of_damaged_input(
    name: str, fed: dict[str, Found]
) -> None:
    found = fed[name]
    assert found.broken == []
    assert found.outcomes.total() == INPUTS[name]
    assert found.outcomes["read"] < INPUTS[name] or name.startswith("rows-")  # damage is noticed


@pytest.mark.parametrize(
    ("name", "at"),
    [
        pytest.param("rows-parquet", 1067, id="a footer that Arrow ends the process over"),
        pytest.param("rows-parquet", 4265, id="references to values that are not there"),
        pytest.param("prior", 709483, id="millions of small lists"),
        pytest.param("base-config", 703848, id="a large configuration"),
        pytest.param("evidence", 33, id="ratios that are not those of all degrees"),
        pytest.param("evidence", 700179, id="percentiles without those of the pool"),
        pytest.param("evidence", 594, id="a layer of more features than the evidence has"),
        pytest.param("graded-decisions", 406, id="a type that is several lines"),
        pytest.param("graded-decisions", 985, id="a score that no float holds"),
    ],
)
def test_what_once_broke_is_one_error_of_ours(name: str, at: int) -> None:
    assert fuzz({name: 1}, at)[name].broken == []
