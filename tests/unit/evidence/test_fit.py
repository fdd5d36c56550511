"""Fitting evidence: which layer, what each evidence adds, and what is refused."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from ct_guard.errors import CalibrationError
from ct_guard.evidence import Answers, Fitted, answers_of, fit_evidence, read_logits
from ct_guard.evidence.layer import FITS, Both, fit_filled, logits_of
from ct_guard.evidence.trees import fit_trees, trees_logits
from ct_guard.metrics import auroc, log_loss


def world(n: int, seed: int = 0, *, missing: float = 0.0) -> tuple[Answers, NDArray[np.bool_]]:
    """Three models answer each question; `score` tells something, `noise` nothing."""
    random = np.random.default_rng(seed)
    asked, answer, model, score, correct = [], [], [], [], []
    for question in range(n):
        for name, skill in (("good", 0.8), ("fair", 0.6), ("poor", 0.35)):
            right = bool(random.random() < skill)
            asked.append(f"{question} of {seed}?")
            answer.append("yes" if right else f"{random.integers(3)}")
            model.append(name)
            known = float(random.normal(1.0 if right else 0.0))
            score.append(None if random.random() < missing else known)
            correct.append(right)
    noise = random.random(len(asked)).tolist()
    columns = {"score": score, "noise": noise}
    return answers_of(asked, answer, model=list(model), columns=columns), np.array(correct)


EVIDENCE = ("agreement", "model", "column:score", "column:noise")


def test_evidence_beats_what_is_known_without_and_says_what_each_part_adds() -> None:
    answers, correct = world(250)
    found = fit_evidence(answers, correct, EVIDENCE)
    test, truth = world(200, 1)
    p = expit(read_logits(found.fitted, test))
    area = auroc(p, truth)
    assert area is not None
    assert area > 0.9
    chosen = found.log_loss[found.kind]
    assert chosen == min(found.log_loss.values()) < found.base_rate
    assert log_loss(p, truth) == pytest.approx(chosen, abs=0.08)
    assert found.without["agreement"] > chosen + 0.05
    assert abs(found.without["column:noise"] - chosen) < 0.02
    assert found.alone.keys() == found.without.keys() == set(EVIDENCE)


def test_it_is_plain_json_there_and_back() -> None:
    answers, correct = world(120)
    fitted = fit_evidence(answers, correct, EVIDENCE, explain=False).fitted
    again = Fitted.model_validate(json.loads(fitted.model_dump_json()))
    assert read_logits(again, answers).tolist() == read_logits(fitted, answers).tolist()


def test_no_question_is_in_the_fold_that_judges_it() -> None:
    answers, _ = world(100)
    correct = np.random.default_rng(5).random(len(answers)) < 0.5
    found = fit_evidence(answers, correct, ("model", "column:noise"), explain=False)
    area = auroc(expit(found.logits), correct)
    assert area is not None
    assert abs(area - 0.5) < 0.1


def test_evidence_that_is_absent_at_scoring_still_gives_numbers() -> None:
    answers, correct = world(150, missing=0.2)
    fitted = fit_evidence(answers, correct, EVIDENCE, explain=False).fitted
    alone = answers_of(["Quite another one?"], ["yes"], model=["unknown"])
    assert np.isfinite(read_logits(fitted, alone)).all()


def test_a_number_that_is_the_label_is_refused_unless_forced() -> None:
    answers, correct = world(100)
    answers.columns["grade"] = correct.astype(float).tolist()
    with pytest.raises(CalibrationError, match=r"column:grade .* AUROC of 1\.0000.*--force"):
        fit_evidence(answers, correct, ("model", "column:grade"))
    found = fit_evidence(answers, correct, ("model", "column:grade"), force=True, explain=False)
    assert any("column:grade" in remark for remark in found.remarks)


def test_a_constant_and_an_absent_column_are_refused() -> None:
    answers, correct = world(50)
    answers.columns["same"] = [1.0] * len(answers)
    with pytest.raises(CalibrationError, match="column:same is 1 in every row"):
        fit_evidence(answers, correct, ("column:same",))
    for name, place in (
        ("column:absent", "numbers in a column 'absent'"),
        ("stated", "a column 'stated' or .*column:NAME"),
    ):
        with pytest.raises(CalibrationError, match=f"no row has the evidence {name}.*{place}"):
            fit_evidence(answers, correct, ("model", name))


def test_missing_values_are_remarked_on() -> None:
    answers, correct = world(100, missing=0.5)
    found = fit_evidence(answers, correct, ("model", "column:score"), explain=False)
    assert any("column:score is missing in" in remark for remark in found.remarks)


def test_trees_in_json_say_what_scikit_learn_says() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    random = np.random.default_rng(0)
    features = random.normal(size=(800, 4))
    features[random.random(features.shape) < 0.2] = np.nan
    correct = (np.nan_to_num(features[:, 0]) * np.nan_to_num(features[:, 1], nan=1.0)) > 0.1
    ours = fit_trees("abcd", features, correct)
    theirs = HistGradientBoostingClassifier(
        learning_rate=0.06, max_iter=120, max_leaf_nodes=8, min_samples_leaf=20,
        l2_regularization=5.0, early_stopping=False, random_state=0,
    ).fit(features, correct)  # fmt: skip
    fresh = random.normal(size=(300, 4))
    fresh[random.random(fresh.shape) < 0.2] = np.nan
    np.testing.assert_allclose(trees_logits(ours, fresh), theirs.decision_function(fresh))


def test_trees_pass_over_a_number_that_no_row_has() -> None:
    random = np.random.default_rng(0)
    features = np.column_stack([random.normal(size=300), np.full(300, np.nan)])
    correct = features[:, 0] > 0
    layer = fit_trees("ab", features, correct)
    area = auroc(expit(trees_logits(layer, features)), correct)
    assert area is not None
    assert area > 0.99
    assert all(1 not in tree.feature for tree in layer.trees)


def test_the_mean_of_both_layers_is_one_of_its_own() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(400, 2))
    features[::7, 1] = np.nan
    correct = features[:, 0] + random.normal(size=400) > 0
    both = FITS["both"](["a", "b"], features, correct, seed=0)
    assert isinstance(both, Both)
    parts = [logits_of(FITS[kind](["a", "b"], features, correct, seed=0), features)
             for kind in ("logistic", "trees")]  # fmt: skip
    np.testing.assert_allclose(logits_of(both, features), np.mean(parts, axis=0))
    again = Both.model_validate_json(both.model_dump_json())
    assert logits_of(again, features).tolist() == logits_of(both, features).tolist()


def test_a_logistic_layer_learns_what_a_missing_number_means() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(2000, 1))
    gone = random.random(2000) < 0.3
    correct = np.where(gone, random.random(2000) < 0.1, random.random(2000) < 0.7)
    values[gone] = np.nan
    layer = fit_filled(["x"], values, correct)
    said = expit(logits_of(layer, np.array([[np.nan], [0.0]])))
    assert said[0] == pytest.approx(0.1, abs=0.04)
    assert said[1] == pytest.approx(0.7, abs=0.04)
