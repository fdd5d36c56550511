"""A short run of `python -m tests.fuzz`, which `make fuzz` does at length."""

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS

SLOW = {"tokenizer": 12, "tokenizer-config": 30, "gguf": 60}
"""Inputs of targets that load much for each."""


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_errors_of_ours_comes_of_damaged_input(name: str) -> None:
    inputs = SLOW.get(name, 150)
    found = fuzz(name, 0, inputs)
    assert found.broken == []
    assert found.outcomes.total() == inputs
    assert found.outcomes["read"] < inputs or name.startswith("rows-")  # damage is noticed
