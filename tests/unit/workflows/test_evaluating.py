"""Figures of scored files, and where they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard import CertifyConfig, EvaluateConfig, certify, evaluate
from ct_guard.errors import FieldError, InputError, OutputExistsError
from ct_guard.store import load_manifest
from tests.unit.workflows.conftest import Heard

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]
QUICK: dict[str, Any] = {"prior": False, "resamples": 100}


@pytest.fixture
def source(write: Write, make_rows: MakeRows) -> Path:
    return write("test.jsonl", make_rows(300))


def test_one_file_is_evaluated_and_the_work_is_heard_of(source: Path, heard: Heard) -> None:
    made = evaluate(source, EvaluateConfig(**QUICK), report=heard)
    assert len(made.evaluation.rows) == 300
    assert made.folder is None
    assert heard.works == [("Evaluating", None, "figures")]
    assert heard.done == 1


def test_several_are_compared_to_the_first(source: Path, write: Write, make_rows: MakeRows) -> None:
    rows = [{**row, "confidence": 0.5, "estimator": "other"} for row in make_rows(300)]
    made = evaluate([source, write("other.jsonl", rows)], EvaluateConfig(**QUICK))
    assert [(one.one, one.other) for one in made.evaluation.differences] == [("other", "tiny")]


def test_figures_are_recorded_with_their_questions(
    source: Path, estimator: Path, tmp_path: Path
) -> None:
    config = EvaluateConfig(
        estimator=estimator, record=True, output=tmp_path / "copy", where={"sample": "0"}, **QUICK
    )
    made = evaluate(source, config)
    assert made.folder == tmp_path / "copy"
    figures = load_manifest(made.folder).figures
    assert figures["test rows"] == 150
    assert figures["test rows with"] == "sample=0"
    assert load_manifest(estimator).figures == {}


def test_a_place_that_is_taken_is_refused_before_the_work(
    source: Path, estimator: Path, tmp_path: Path, heard: Heard
) -> None:
    (tmp_path / "mine").mkdir()
    config = EvaluateConfig(estimator=estimator, record=True, output=tmp_path / "mine", **QUICK)
    with pytest.raises(OutputExistsError):
        evaluate(source, config, report=heard)
    assert heard.works == []


def test_seen_questions_are_a_remark_and_to_record_them_is_refused(
    source: Path, estimator: Path
) -> None:
    certify(source, CertifyConfig(estimator=estimator, first=True))
    seen = evaluate(source, EvaluateConfig(estimator=estimator, **QUICK))
    assert any("in the split 'certification'" in line for line in seen.remarks)
    with pytest.raises(InputError, match="in the split 'certification'"):
        evaluate(source, EvaluateConfig(estimator=estimator, record=True, **QUICK))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"record": True}, "`record` needs `estimator`"),
        ({"output": "x", "estimator": "mini"}, "`output` goes with `record`"),
    ],
)
def test_fields_that_do_not_fit_each_other_are_no_configuration(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(FieldError, match=said):
        EvaluateConfig(**given)


def test_an_estimator_goes_with_one_file(source: Path, estimator: Path) -> None:
    with pytest.raises(FieldError, match="`estimator` goes with one scored file"):
        evaluate([source, source], EvaluateConfig(estimator=estimator))
