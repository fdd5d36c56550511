"""The trainer learns, saves its best step, and serves what it trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ct_guard.backends import Activation, Adapter, Item
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import TuningError
from ct_guard.metrics import auroc
from ct_guard.query import build_query
from ct_guard.records import GradedAnswer
from ct_guard.tuning import Progress, RunLife, TuningConfig, tune
from ct_guard.tuning.data import render_graded
from ct_guard.tuning.learners import QueryLearner
from tests.present import present
from tests.unit.tuning.rows import graded

CONFIG = TuningConfig(
    rank=8,
    dropout=0.0,
    targets=("q_proj", "k_proj", "v_proj", "o_proj"),
    learning_rate=5e-3,
    batch_size=16,
    steps=60,
    warmup=5,
    evaluate_every=20,
)
ROUNDINGS = 256
"""Of float32, which two orders of the sums over layers, positions and channels may differ by."""


@pytest.mark.parametrize("activation", ["query", "all"])
def test_what_was_learnt_is_saved_and_served(
    activation: Activation, backend: TransformersBackend, tiny_base: Path, tmp_path: Path
) -> None:
    before = {name: w.clone() for name, w in backend.model.named_parameters()}
    told: list[Progress] = []
    tuned = tune(
        backend,
        graded(64),
        graded(32, offset=500),
        style="chat_turn",
        folder=tmp_path / "adapter",
        config=replace(CONFIG, activation=activation),
        life=RunLife(on_progress=told.append),
    )
    assert [progress.step for progress in told] == [20, 40, 60]
    assert tuned.validation_log_loss == min(p.validation_log_loss for p in told) < 0.5
    after = {
        name.replace(".base_layer", ""): weight
        for name, weight in backend.model.named_parameters()
        if "lora_" not in name
    }
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())

    served = TransformersBackend.load(tiny_base, device="cpu")
    rows = render_graded(
        graded(32, offset=900), style="chat_turn", backend=served, query=tuned.query, budget=512
    )
    logits = served.score(
        [Item(row.context, row.answer) for row in rows],
        tuned.query,
        Adapter("fresh", tmp_path / "adapter", activation),
        frozenset({"labels"}),
    ).label_logits
    assert logits is not None
    margin = (logits[:, 1] - logits[:, 0]).astype(float)
    assert auroc(1 / (1 + np.exp(-margin)), [row.correct for row in rows]) == 1.0


@pytest.mark.parametrize("activation", ["query", "all"])
def test_the_trainer_and_the_server_compute_the_same_logits(
    activation: Activation,
    backend: TransformersBackend,
    tiny_adapter: Path,
) -> None:
    query = build_query("chat_turn", backend.encoder)
    config = replace(CONFIG, activation=activation, targets=("q_proj", "v_proj"), rank=4)
    learner = QueryLearner(backend, query, tiny_adapter, config)
    backend.reload_adapter(learner.adapter)
    rows = render_graded(graded(8), style="chat_turn", backend=backend, query=query, budget=512)
    served = learner.logits(rows)
    before = learner.before(rows)
    with learner.learning():
        trained = learner.read(rows, before).labels.detach().numpy()
    np.testing.assert_allclose(trained, served, atol=1e-4)


def test_both_label_orders_are_learnt_on_as_they_are_served(
    backend: TransformersBackend, tiny_adapter: Path
) -> None:
    query, exchanged = (
        build_query("chat_turn", backend.encoder, swapped=order) for order in (False, True)
    )
    config = replace(CONFIG, targets=("q_proj", "v_proj"), rank=4)
    both = QueryLearner(backend, query, tiny_adapter, config, exchanged)
    backend.reload_adapter(both.adapter)
    rows = render_graded(graded(8), style="chat_turn", backend=backend, query=query, budget=512)
    before = both.before(rows)
    with both.learning():
        trained = both.read(rows, before).labels.detach().numpy()
    items = [Item(row.context, row.answer) for row in rows]
    asked = [
        present(backend.score(items, order, both.adapter, frozenset({"labels"})).label_logits)
        for order in (query, exchanged)
    ]
    rounding = ROUNDINGS * float(np.finfo(np.float32).eps * np.abs(asked).max())
    np.testing.assert_allclose(both.logits(rows), np.mean(asked, axis=0), rtol=0, atol=rounding)
    np.testing.assert_allclose(trained, np.mean(asked, axis=0), atol=1e-4)


def test_the_same_seed_gives_the_same_weights(tiny_base: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=6, evaluate_every=3, dropout=0.1)
    weights = []
    for name in ("a", "b"):
        tune(
            TransformersBackend.load(tiny_base, device="cpu"),
            graded(24),
            graded(8, offset=500),
            style="chat_turn",
            folder=tmp_path / name,
            config=config,
        )
        weights.append(load_file(tmp_path / name / "adapter_model.safetensors"))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_tuning_stops_when_validation_no_longer_improves(
    backend: TransformersBackend, tmp_path: Path
) -> None:
    told: list[Progress] = []
    tune(
        backend,
        graded(32),
        [GradedAnswer(qa=row.qa, correct=not row.correct) for row in graded(16, offset=500)],
        style="chat_turn",
        folder=tmp_path / "adapter",
        config=replace(CONFIG, steps=400, evaluate_every=10, patience=2),
        life=RunLife(on_progress=told.append),
    )
    assert told[-1].step < 400


def test_labels_that_are_all_alike_are_refused(
    backend: TransformersBackend, tmp_path: Path
) -> None:
    alike = [row for row in graded(16) if row.correct]
    with pytest.raises(TuningError, match="right and wrong"):
        tune(backend, alike, graded(8), style="raw", folder=tmp_path / "x", config=CONFIG)
    assert not (tmp_path / "x").exists()
