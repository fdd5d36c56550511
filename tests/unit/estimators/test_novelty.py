"""`ood`: uniform for answers like those calibrated on, small for others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from ct_guard.backends import ScoreBatch
from ct_guard.errors import CalibrationError, ManifestError, MismatchError
from ct_guard.estimators import make_method
from ct_guard.estimators.novelty import (
    MIN_QUESTIONS,
    Novelty,
    fit_novelty,
    load_novelty,
    novelty_file,
    state_wants,
    states_of,
)
from ct_guard.store import BaseModelRef, Manifest

SIZE = 24


def draws(rng: np.random.Generator, questions: int, answers: int) -> np.ndarray:
    """Answers' states, in an odd shape: those to a question lie together, and tails are heavy."""
    centre = rng.standard_t(3, (questions, 1, SIZE)) * np.linspace(0.1, 3, SIZE)
    states = centre + 0.3 * rng.standard_normal((questions, answers, SIZE))
    return (states @ np.tri(SIZE)).reshape(-1, SIZE)


def fitted(rng: np.random.Generator, questions: int, answers: int) -> Novelty:
    keys = np.repeat([f"q{n}" for n in range(questions)], answers)
    return fit_novelty(draws(rng, questions, answers), keys.tolist())


@pytest.mark.parametrize("answers", [1, 5])
def test_the_p_value_of_an_answer_to_one_more_question_is_uniform(answers: int) -> None:
    rng = np.random.default_rng(answers)
    found = [fitted(rng, 200, answers).p(draws(rng, 1, 1))[0] for _ in range(400)]
    assert kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(MIN_QUESTIONS, 90))
@settings(max_examples=40, deadline=None)
def test_a_p_value_is_never_zero_and_falls_with_the_distance(
    seed: int, answers: int, questions: int
) -> None:
    rng = np.random.default_rng(seed)
    novelty = fitted(rng, questions, answers)
    along = novelty.mean + np.linspace(0, 1e4, 50)[:, None] * rng.standard_normal(SIZE)
    p = novelty.p(along)
    assert (np.diff(p) <= 0).all()
    assert p[0] == 1
    least = 1 / (1 + (questions - questions // 2))
    assert p[-1] == pytest.approx(least)


def test_a_question_with_many_answers_counts_once() -> None:
    rng = np.random.default_rng(0)
    states = draws(rng, 100, 1)
    keys = [f"q{n}" for n in range(100)]
    once = fit_novelty(states, keys)
    again = fit_novelty(np.concatenate([states, states]), keys + keys)
    assert again.weights.sum() == pytest.approx(once.weights.sum())
    assert set(again.weights.tolist()) == {0.5}


def test_foreign_answers_have_small_p_values() -> None:
    rng = np.random.default_rng(3)
    novelty = fitted(rng, 400, 1)
    foreign = rng.standard_normal((200, SIZE)) * 30
    assert np.mean(novelty.p(foreign) <= 0.05) > 0.95
    assert np.mean(novelty.p(draws(rng, 500, 1)) <= 0.05) < 0.1


@pytest.mark.parametrize("size", [1, 4, 700])
def test_any_number_of_dimensions_is_fitted(size: int) -> None:
    rng = np.random.default_rng(size)
    states = rng.standard_normal((100, size))
    novelty = fit_novelty(states, [str(n) for n in range(100)])
    assert len(novelty.axes) <= min(size, 64)
    assert np.median(novelty.p(rng.standard_normal((400, size)))) == pytest.approx(0.5, abs=0.2)
    assert novelty.p(np.full((1, size), 1e3))[0] == pytest.approx(1 / 51)


def test_too_few_questions_and_states_that_are_all_alike_are_refused() -> None:
    keys = [f"q{n}" for n in range(MIN_QUESTIONS - 1)]
    with pytest.raises(CalibrationError, match=r"at least 40 questions.* have 39"):
        fit_novelty(np.eye(len(keys)), keys)
    with pytest.raises(CalibrationError, match="the same"):
        fit_novelty(np.ones((50, 3)), [str(n) for n in range(50)])


def test_a_file_gives_back_the_same_p_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    novelty = fitted(rng, 80, 3)
    name, content = novelty_file(novelty)
    assert name.startswith("novelty-")
    (tmp_path / name).write_bytes(content)
    states = draws(rng, 30, 1)
    np.testing.assert_array_equal(load_novelty(tmp_path / name).p(states), novelty.p(states))
    with pytest.raises(MismatchError, match="of size 24, these have 25"):
        novelty.p(np.zeros((1, 25)))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mean", np.zeros((SIZE, 1), np.float32), "do not fit each other"),
        ("axes", np.zeros((2, SIZE - 1), np.float32), "do not fit each other"),
        ("rest", np.array([0.0]), "above 0"),
        ("spreads", np.array([np.nan]), "do not fit|NaN"),
        ("distances", np.array([2.0, 1.0]), "do not fit|ascend"),
        ("weights", np.array([]), "do not fit"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    tmp_path: Path, name: str, value: np.ndarray, said: str
) -> None:
    broken = replace(fitted(np.random.default_rng(1), 60, 1), **{name: value})
    path = tmp_path / "novelty.safetensors"
    path.write_bytes(novelty_file(broken)[1])
    with pytest.raises(ManifestError, match=said):
        load_novelty(path)
    path.write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(ManifestError, match="no file of ood"):
        load_novelty(path)


def test_what_a_method_reads_is_its_state() -> None:
    none = np.zeros(2, np.int32)
    rows = [np.array([-1.0, -3.0], np.float32), np.array([-0.5], np.float32)]
    hidden, behind = np.full((2, 3), 1.0, np.float32), np.full((2, 3), 2.0, np.float32)
    batch = ScoreBatch(None, rows, hidden, none, none, behind)
    method: dict[str, Any] = {
        name: make_method(Manifest(name="e", method=name, base=BaseModelRef(id="b")))
        for name in ("query", "perplexity")
    }
    assert state_wants(method["query"]) == {"labels", "query_hidden"}
    assert states_of(method["query"], batch) is behind
    assert state_wants(method["perplexity"]) == {"answer_logprobs"}
    expected = [[-4.0, -2.0, -3.0, np.log(2)], [-0.5, -0.5, -0.5, 0.0]]
    np.testing.assert_allclose(states_of(method["perplexity"], batch), expected)
