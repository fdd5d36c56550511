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
