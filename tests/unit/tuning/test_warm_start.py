"""A LoRA starts where a linear probe of the query's last hidden state ends."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from ct_guard.backends import Adapter
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import UsageError
from ct_guard.metrics import auroc
from ct_guard.query import build_query
from ct_guard.tuning.config import TuningConfig
from ct_guard.tuning.data import render_graded
from ct_guard.tuning.learners import QueryLearner
from ct_guard.tuning.trainer import tune
from ct_guard.tuning.warm_start import Read, fit_weights
from tests.unit.tuning.rows import graded


def world(seed: int, rows: int, size: int = 60) -> tuple[Read, np.ndarray, np.ndarray]:
    """Inputs with a level far above their spread, as some of a network have; a base whose margin is
    linear in them and says nothing; answers that one direction of theirs decides, and the
    probability that they are right."""
    rng = np.random.default_rng(seed)
    level, spread = rng.normal(0, 20, size), np.exp(rng.normal(0, 1, size))
    truth, idle = rng.normal(size=(2, size)) / np.sqrt(size)
    draw = np.random.default_rng([seed, rows])
    known = draw.normal(size=(rows, size))
    margins = -2.5 + 0.6 * known @ idle
    p = expit(0.8 + 2.0 * known @ truth)
    return Read(level + known * spread, margins, np.ones(size)), draw.random(rows) < p, p


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_fit_is_the_log_odds_of_a_right_answer_whatever_the_base_says(seed: int) -> None:
    learnt, chosen, asked = (world(seed, count) for count in (4000, 1000, 1001))
    weights = fit_weights(*learnt[:2], *chosen[:2])
    read, correct, truth = asked
    p = expit(read.margins + read.inputs @ weights)
    base_rate = correct.mean()
    entropy = -(base_rate * np.log(base_rate) + (1 - base_rate) * np.log1p(-base_rate))
    area, best = auroc(p, correct), auroc(truth, correct)
    assert area is not None
    assert best is not None
    assert area > best - 0.05
    assert -np.log(np.where(correct, p, 1 - p)).mean() < entropy
    assert abs(p.mean() - base_rate) < 0.06, "the constant is there, without an intercept"


def test_fewer_rows_than_inputs_are_no_trouble() -> None:
    learnt, chosen = world(1, 40), world(1, 30)
    assert np.isfinite(fit_weights(*learnt[:2], *chosen[:2])).all()


def test_the_adapter_says_what_the_probe_says(backend: TransformersBackend, tmp_path: Path) -> None:
    """Before the first step, on the serving path, and through the file that is written."""
    query = build_query("chat_turn", backend.encoder)
    rows, held_out = (
        render_graded(part, style="chat_turn", backend=backend, query=query, budget=512)
        for part in (graded(60), graded(20, offset=100))
    )
    config = TuningConfig(targets="all-linear", start="probe", dropout=0.0)
    learner = QueryLearner(backend, query, tmp_path / "lora", config)
    heard: list[tuple[int, int]] = []
    plain = np.diff(learner.logits(held_out), axis=1)[:, 0]
    learner.start(rows, held_out, lambda done, total: heard.append((done, total)))
    assert heard[-1] == (80, 80)
    started = np.diff(learner.logits(held_out), axis=1)[:, 0]
    correct = np.array([row.correct for row in held_out])
    assert auroc(expit(started), correct) == 1.0
    assert np.abs(started - plain).max() > 0.1
    learner.save()
    served = Adapter("served", tmp_path / "lora", "query")
    backend.add_adapter(served)
    learner.adapter = served
    np.testing.assert_allclose(np.diff(learner.logits(held_out), axis=1)[:, 0], started, atol=1e-4)


def test_the_start_is_an_evaluation_and_may_be_what_is_kept(
    backend: TransformersBackend, tmp_path: Path
) -> None:
    config = TuningConfig(
        targets="all-linear", start="probe", steps=4, evaluate_every=2, batch_size=8,
        learning_rate=0.3, warmup=0,
    )  # fmt: skip
    tuned = tune(
        backend, graded(60), graded(20, offset=100), style="chat_turn", folder=tmp_path / "lora",
        config=config,
    )  # fmt: skip
    assert [progress.step for progress in tuned.history] == [0, 2, 4]
    assert tuned.history[0].loss is None
    assert tuned.kept_step == 0, "steps of this size only do harm"


def test_a_lora_that_does_not_write_last_of_all_starts_from_nothing(
    backend: TransformersBackend, tmp_path: Path
) -> None:
    """As on the projections of queries, whose outputs have the hidden state's size, too."""
    query = build_query("chat_turn", backend.encoder)
    rows, held_out = (
        render_graded(part, style="chat_turn", backend=backend, query=query, budget=512)
        for part in (graded(60), graded(20, offset=100))
    )
    config = TuningConfig(targets=("q_proj", "v_proj"), start="probe")
    learner = QueryLearner(backend, query, tmp_path / "lora", config)
    heard: list[tuple[int, int]] = []
    plain = learner.logits(held_out)
    learner.start(rows, held_out, lambda done, total: heard.append((done, total)))
    np.testing.assert_allclose(learner.logits(held_out), plain, atol=1e-6)


def test_the_start_goes_with_the_query_in_one_order_of_labels() -> None:
    for settings_ in ({"activation": "all"}, {"label_orders": "both"}):
        with pytest.raises(UsageError, match="start"):
            TuningConfig(start="probe", **settings_)  # type: ignore[arg-type]
