"""A field that nothing would read is refused, by the fields beside it."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import ct_guard
from ct_guard import workflows
from ct_guard.errors import FieldError, UsageError
from ct_guard.workflows import BaselineConfig, GradeConfig
from ct_guard.workflows.settings import bits_of, check_spreadsheet, place_of, refuse_idle

CONFIGS = [getattr(workflows, name) for name in workflows.__all__ if name.endswith("Config")]
VERBS = [name for name in workflows.__all__ if name.islower()]


def test_every_verb_has_one_configuration_and_one_result() -> None:
    assert VERBS == [
        "audit", "baseline", "calibrate", "calibrate_decisions", "calibrate_runs", "certify",
        "cost", "evaluate", "grade", "monitor", "outcomes", "report", "score", "serve", "split",
        "tune", "weigh",
    ]  # fmt: skip
    for verb in VERBS:
        for kind in ("Config", "Result"):
            assert is_dataclass(getattr(workflows, f"{verb.title().replace('_', '')}{kind}"))


@pytest.mark.parametrize(
    "name", [name for name in workflows.__all__ if name not in ("Reporter", "Work")]
)
def test_the_package_names_what_the_workflows_name(name: str) -> None:
    assert getattr(ct_guard, name) is getattr(workflows, name)
    assert name in ct_guard.__all__


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_a_configuration_is_frozen_and_named_by_keywords(config: type) -> None:
    assert all(field.kw_only for field in fields(config))
    made: Any = object.__new__(config)
    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(config)[0].name, "other")


def test_a_field_is_refused_where_it_is_not_at_its_default() -> None:
    refuse_idle(GradeConfig(temperature=1.0))
    with pytest.raises(FieldError, match="`temperature` is for answers that a `model` makes"):
        refuse_idle(GradeConfig(temperature=0.5))
    refuse_idle(GradeConfig(model="mini", samples=2, temperature=0.5))


def test_a_field_that_was_given_is_refused_even_at_its_default() -> None:
    config = BaselineConfig(method="likelihood", base="mini")
    refuse_idle(config, ())
    refuse_idle(config, ("base", "backend"))
    with pytest.raises(FieldError, match="`seed` is for the baseline sampling: leave it out"):
        refuse_idle(config, ("base", "seed"))


def test_the_error_is_one_of_usage() -> None:
    assert issubclass(FieldError, UsageError)
    with pytest.raises(ValueError, match=r"`output` that ends in \.csv"):
        check_spreadsheet(True, "out.jsonl")
    check_spreadsheet(True, "out.CSV")
    check_spreadsheet(False, "out.jsonl")


def test_no_bits_are_none() -> None:
    assert [bits_of(one) for one in (None, "none", "8bit", "4bit")] == [None, None, "8bit", "4bit"]


def test_a_changed_estimator_stays_where_it_is_but_for_embedded_ones(tmp_path: Path) -> None:
    from ct_guard.store import locate

    assert place_of(tmp_path, None) == tmp_path
    assert place_of(tmp_path, "other") == Path("other")
    with pytest.raises(FieldError, match="write a copy with `output`"):
        place_of(locate("mini"), None)
