"""Figures, differences, slices and remarks of scored files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from ct_guard.errors import InputError, UsageError
from ct_guard.evaluation import Options, evaluate_files, read_scored
from ct_guard.evaluation.figures import METRICS, PAPER_ECE, SMOOTH_ECE
from ct_guard.evaluation.slices import MACRO
from ct_guard.metrics import paper_folded_ece, within_auroc

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]
FEW = Options(resamples=100, prior=False)


def test_figures_are_those_of_the_field_with_intervals_around_them(
    write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(400)
    scored = read_scored(write("s.jsonl", rows))
    options = Options(metrics=(*METRICS, PAPER_ECE), resamples=200, prior=False)
    found = evaluate_files([scored], options)
    figures = {figure.name: figure.interval for figure in found.estimators[0].figures}
    correct, p = [r["correct"] for r in rows], [r["confidence"] for r in rows]
    assert figures["AUROC"].value == pytest.approx(roc_auc_score(correct, p))
    assert figures["log loss"].value == pytest.approx(log_loss(correct, p))
    assert figures["Brier score"].value == pytest.approx(brier_score_loss(correct, p))
    assert figures[PAPER_ECE.name].value == pytest.approx(paper_folded_ece(p, correct))
    assert set(figures) == {metric.name for metric in METRICS} | {PAPER_ECE.name}
    for name, interval in figures.items():
        assert interval.value is not None, name
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= interval.value <= interval.high, name


def test_smooth_ece_is_a_figure_when_asked_for(write: Write, make_rows: MakeRows) -> None:
    scored = read_scored(write("s.jsonl", make_rows(100)))
    options = Options(metrics=(METRICS[1], SMOOTH_ECE), resamples=20, prior=False)
    figures = evaluate_files([scored], options).estimators[0].figures
    assert [figure.name for figure in figures] == ["AUROC", "smooth ECE"]
    assert 0 < (figures[1].interval.value or 0) < 0.2


def test_pair_accuracy_needs_questions_with_a_right_and_a_wrong_answer(
    write: Write, make_rows: MakeRows
) -> None:
    single = read_scored(write("s.jsonl", make_rows(60, answers=1)))
    names = {figure.name for figure in evaluate_files([single], FEW).estimators[0].figures}
    assert "pair accuracy" not in names


def with_kinds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The kind tells most of correctness, and so does its name in the question."""
    rng = np.random.default_rng(7)
    for n, row in enumerate(rows):
        easy = (n // 2) % 2 == 0
        row["kind"] = "easy" if easy else "hard"
        row["question"] = f"{row['kind']} {row['question']}"
        row["correct"] = bool(rng.random() < (0.85 if easy else 0.15))
        row["confidence"] = float(np.clip((0.8 if easy else 0.2) + rng.normal(0, 0.05), 0, 1))
    return rows


def test_an_estimator_that_knows_the_kind_only_is_told_so(
    write: Write, make_rows: MakeRows
) -> None:
    scored = read_scored(write("s.jsonl", with_kinds(make_rows(600))), keep=("kind",))
    found = evaluate_files([scored], Options(by="kind", resamples=100))
    one = found.estimators[0]
    figures = {figure.name: figure.interval.value for figure in one.figures}
    said = " ".join(one.remarks)
    assert (figures["AUROC"] or 0) > 0.75
    assert "cannot tell a right from a wrong answer to the same question" in said
    assert "does not beat the question prior in AUROC" in said
    assert found.prior is not None
    assert [part.name for part in one.slices] == ["easy", "hard", MACRO]
    macro = one.slices[-1].figures["AUROC"]
    kinds = scored.column("kind")
    assert macro.interval.value == pytest.approx(within_auroc(scored.p, scored.correct, kinds))
    assert macro.interval.value == pytest.approx(0.5, abs=0.1)


def test_an_estimator_that_knows_the_answer_beats_the_prior_without_a_word(
    write: Write, make_rows: MakeRows
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(600)))
    found = evaluate_files([scored], Options(resamples=100))
    assert found.estimators[0].remarks == []
    gain = {f.name: f.interval for f in found.differences[0].figures}
    assert (gain["AUROC"].low or 0) > 0
    assert (gain["log loss"].high or 0) < 0
    assert gain["pair accuracy"].value is not None


def test_files_are_matched_row_by_row_and_compared_in_pairs(
    write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(400)
    rng = np.random.default_rng(2)
    worse = [
        row | {"estimator": "noisy", "confidence": float(np.clip(row["confidence"] + e, 0, 1))}
        for row, e in zip(rows, rng.normal(0, 0.4, len(rows)), strict=True)
    ]
    order = rng.permutation(len(rows))[:390]
    files = [
        read_scored(write("a.jsonl", rows)),
        read_scored(write("b.jsonl", [worse[n] for n in order])),
    ]
    found = evaluate_files(files, FEW)
    assert len(found.rows) == 390
    assert "10 graded rows of" in found.remarks[0]
    pair = found.differences[0]
    assert (pair.one, pair.other) == ("noisy", "tiny")
    kept = sorted(order)
    labels = [rows[n]["correct"] for n in kept]
    expected = roc_auc_score(labels, [worse[n]["confidence"] for n in kept]) - roc_auc_score(
        labels, [rows[n]["confidence"] for n in kept]
    )
    gain = {figure.name: figure.interval for figure in pair.figures}["AUROC"]
    assert gain.value == pytest.approx(expected)
    assert (gain.high or 0) < 0


def test_without_ids_question_and_answer_match_and_repeats_keep_their_order(
    write: Write, make_rows: MakeRows
) -> None:
    rows = [{k: v for k, v in row.items() if k != "id"} for row in make_rows(60)]
    for n in (1, 3):
        rows[n]["answer"] = rows[n - 1]["answer"]
        rows[n]["correct"] = rows[n - 1]["correct"]
    other = [row | {"estimator": "other"} for row in rows]
    files = [
        read_scored(write(name, some)) for name, some in (("a.jsonl", rows), ("b.jsonl", other))
    ]
    found = evaluate_files(files, FEW)
    assert len(found.rows) == 60
    assert all(f.interval.value in (0.0, None) for f in found.differences[0].figures)


def test_files_of_other_rows_or_other_grades_are_refused(write: Write, make_rows: MakeRows) -> None:
    rows = make_rows(20)
    one = read_scored(write("a.jsonl", rows))
    strange = read_scored(write("b.jsonl", make_rows(20, prefix="other")))
    with pytest.raises(InputError, match=r"b\.jsonl has no row of .*a\.jsonl"):
        evaluate_files([one, strange], FEW)
    rows[4] = rows[4] | {"correct": not rows[4]["correct"]}
    regraded = read_scored(write("c.jsonl", rows))
    with pytest.raises(InputError, match=r"c\.jsonl, line 5: field 'correct' is not what"):
        evaluate_files([one, regraded], FEW)


def test_a_prior_from_a_training_file_of_other_questions(write: Write, make_rows: MakeRows) -> None:
    test = read_scored(write("s.jsonl", with_kinds(make_rows(200))))
    train = read_scored(write("t.jsonl", with_kinds(make_rows(400, prefix="t"))))
    found = evaluate_files([test], Options(resamples=100), train=train)
    assert found.prior is not None
    assert roc_auc_score(test.correct, found.prior.p) > 0.75
    with pytest.raises(UsageError, match="shares 100 questions"):
        evaluate_files([test], Options(resamples=100), train=test)


def test_one_class_is_said_and_leaves_the_rest_standing(write: Write, make_rows: MakeRows) -> None:
    rows = [row | {"correct": False} for row in make_rows(30)]
    found = evaluate_files([read_scored(write("s.jsonl", rows))], Options(resamples=100))
    assert found.prior is None
    assert "No question prior" in found.remarks[0]
    said = found.estimators[0].remarks[0]
    assert said.startswith("All 30 graded answers are wrong")
    assert found.to_json()["estimators"][0]["figures"]["AUROC"]["value"] is None


def test_a_ranking_that_is_upside_down_is_called_below_chance(
    write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(400, scale=-2.0)
    found = evaluate_files([read_scored(write("s.jsonl", rows))], FEW)
    said = " ".join(found.estimators[0].remarks)
    assert "below chance" in said
    assert "includes 0.5)." not in said


def test_scores_of_two_states_of_an_estimator_are_told_apart(
    write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(40)
    for state in (1, 2):
        mixed = [{**row, "scorer": f"state {at % state}"} for at, row in enumerate(rows)]
        found = evaluate_files([read_scored(write("s.jsonl", mixed))], FEW).estimators[0]
        told = any("scored by 2 states of the estimator" in said for said in found.remarks)
        assert told == (state == 2)
