"""Figures in the manifest: those of the evaluation, of questions that nobody used before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard.errors import InputError, OutputExistsError
from ct_guard.evaluation import Evaluation, Options, evaluate_files, read_scored
from ct_guard.evaluation.certify import certify
from ct_guard.evaluation.disjoint import check_unused
from ct_guard.store import load_manifest, load_questions, question_hash, set_hash
from ct_guard.workflows.recording import (
    RECORDED,
    recorded_figures,
    save_certificate,
    save_figures,
)

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]
Evaluate = Callable[..., Evaluation]


@pytest.fixture
def evaluated(write: Write, make_rows: MakeRows) -> Evaluate:
    """Evaluates made-up rows, in the slices of `sample` where asked to."""

    def evaluating(count: int = 400, *, by: str | None = None, **how: Any) -> Evaluation:
        path = write("scored.jsonl", make_rows(count, **how))
        scored = read_scored(path, keep=() if by is None else (by,))
        return evaluate_files([scored], Options(by=by, prior=False, resamples=100))

    return evaluating


def test_each_figure_stands_beside_its_interval(evaluated: Evaluate) -> None:
    found = evaluated(by="sample")
    figures = recorded_figures(found, by="sample")
    assert (figures["test rows"], figures["test questions"]) == (400, 200)
    known = {one.name: one.interval for one in found.estimators[0].figures}
    macro = found.estimators[0].slices[-1].figures["AUROC"]
    known["AUROC within sample (macro average)"] = macro.interval
    for name in (*RECORDED, "AUROC within sample (macro average)"):
        value, low, high = (figures[f"test {name}{end}"] for end in ("", " low", " high"))
        assert (value, low, high) == (known[name].value, known[name].low, known[name].high)
        assert isinstance(low, float)
        assert isinstance(high, float)
        assert low < high
    assert len(figures) == 2 + 3 * (len(RECORDED) + 1)


def test_what_was_not_measured_has_no_number(evaluated: Evaluate) -> None:
    figures = recorded_figures(evaluated(answers=1, bias=50.0))
    assert figures["test AUROC"] is None
    assert "test AUROC low" not in figures
    assert not [name for name in figures if "pair accuracy" in name or "within" in name]


def test_figures_of_a_part_of_the_rows_say_so(evaluated: Evaluate) -> None:
    figures = recorded_figures(evaluated(), where=("kind=short", "sample=0"))
    assert figures["test rows with"] == "kind=short, sample=0"


def test_a_later_test_replaces_the_figures_and_adds_its_questions(
    evaluated: Evaluate, estimator: Path, tmp_path: Path
) -> None:
    save_figures(estimator, estimator, evaluated(by="sample"), by="sample")
    first = load_manifest(estimator)
    second = evaluated(100, prefix="other")
    written = save_figures(estimator, tmp_path / "copy", second)
    assert written == load_manifest(tmp_path / "copy")
    assert written.figures == recorded_figures(second)
    keys = second.rows.question_keys()
    assert written.data == {"test": set_hash(keys)}
    assert written.questions is not None
    hashes = load_questions(tmp_path / "copy" / written.questions)["test"]
    assert len(hashes) == 250
    assert hashes > set(map(question_hash, keys))
    assert load_manifest(estimator) == first
    with pytest.raises(OutputExistsError):
        save_figures(estimator, tmp_path / "copy", second)


def test_a_certificate_and_the_figures_leave_each_other_be(
    evaluated: Evaluate, estimator: Path, write: Write, make_rows: MakeRows
) -> None:
    found = evaluated()
    save_figures(estimator, estimator, found)
    rows = read_scored(write("c.jsonl", make_rows(500, answers=1, prefix="new")), need="logit")
    manifest = load_manifest(estimator)
    with pytest.raises(InputError, match="200 of 200 questions were in the split 'test'"):
        check_unused(found.rows, estimator, manifest, allowed=("certification",))
    assert check_unused(rows, estimator, manifest) == []
    certificate = certify(rows, manifest, alpha=0.2, delta=0.1)
    written = save_certificate(estimator, estimator, certificate, rows)
    assert written.figures == recorded_figures(found)
    assert set(written.data) == {"certification", "test"}
