"""Runs: interrupted and resumed, divided into parts, with a divergence, with a head."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ct_guard.backends.base import Activation
from ct_guard.backends.placement import number_format
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import TuningError, UsageError
from ct_guard.records import GradedAnswer
from ct_guard.store import PROBE, load_probe
from ct_guard.tuning import Progress, RunLife, Tuned, TuningConfig, tune
from ct_guard.tuning.batches import batches
from ct_guard.tuning.checkpoint import read_history
from ct_guard.tuning.data import render_graded
from ct_guard.tuning.learners import QueryLearner
from ct_guard.tuning.loss import divergence
from ct_guard.tuning.processes import Processes
from tests.unit.tuning.rows import graded

CONFIG = TuningConfig(
    rank=4,
    dropout=0.1,
    targets=("q_proj", "v_proj"),
    learning_rate=5e-3,
    batch_size=8,
    steps=9,
    warmup=2,
    evaluate_every=3,
    pair_weight=0.5,
)


class Stopped(Exception):
    pass


def run(
    base: Path,
    folder: Path,
    config: TuningConfig,
    method: str = "query",
    training: Sequence[GradedAnswer] = (),
    **life: Any,
) -> Tuned:
    return tune(
        TransformersBackend.load(base, device="cpu"),
        training or graded(24),
        graded(8, offset=500),
        style="chat_turn",
        folder=folder,
        config=config,
        method=method,
        life=RunLife(**life),
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def stop_at(step: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.step == step:
            raise Stopped

    return stop


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, activation="all")])
def test_a_resumed_run_ends_like_one_that_was_never_interrupted(
    config: TuningConfig, tiny_base: Path, tmp_path: Path
) -> None:
    whole = run(tiny_base, tmp_path / "whole", config)
    checkpoint = tmp_path / "checkpoint.safetensors"
    part = tmp_path / "part"
    with pytest.raises(Stopped):
        run(tiny_base, part, config, checkpoint=checkpoint, on_progress=stop_at(6))
    assert not part.exists()
    seen: list[int] = []
    resumed = run(
        tiny_base,
        part,
        config,
        checkpoint=checkpoint,
        resume=True,
        on_step=lambda step, loss: seen.append(step),
    )
    assert seen == [7, 8, 9]
    assert [p.validation_log_loss for p in resumed.history] == [
        p.validation_log_loss for p in whole.history
    ]
    one, other = weights(tmp_path / "whole"), weights(part)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_of_another_run_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        run(tiny_base, tmp_path / "a", CONFIG, checkpoint=checkpoint, on_progress=stop_at(3))
    assert [progress.step for progress in read_history(checkpoint)] == [3]
    with pytest.raises(TuningError, match=r"of a run that differs in settings: resume with the"):
        run(tiny_base, tmp_path / "a", replace(CONFIG, seed=1), checkpoint=checkpoint, resume=True)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    with pytest.raises(TuningError, match="damaged"):
        run(tiny_base, tmp_path / "a", CONFIG, checkpoint=checkpoint, resume=True)
    with pytest.raises(TuningError, match="damaged"):
        read_history(checkpoint)
    with pytest.raises(TuningError, match="no interrupted run"):
        run(tiny_base, tmp_path / "a", CONFIG, checkpoint=tmp_path / "none", resume=True)


def test_a_checkpoint_of_more_processes_is_refused(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        run(tiny_base, tmp_path / "a", CONFIG, checkpoint=checkpoint, on_progress=stop_at(3))
    monkeypatch.setattr("ct_guard.tuning.trainer.processes", lambda: Processes(count=2))
    with pytest.raises(TuningError, match="differs in number of processes: resume"):
        run(tiny_base, tmp_path / "a", CONFIG, checkpoint=checkpoint, resume=True)


def test_the_number_format_is_that_of_the_bases_weights_as_they_were_loaded(
    backend: TransformersBackend, tmp_path: Path
) -> None:
    from ct_guard.query import build_query

    assert number_format(backend.model) == "float32"
    backend.model.to(torch.bfloat16)
    query = build_query("chat_turn", backend.encoder)
    assert QueryLearner(backend, query, tmp_path / "a", CONFIG).weights[0].dtype == torch.float32
    assert number_format(backend.model) == "bfloat16"
    eight_bits = torch.nn.ParameterList(
        torch.nn.Parameter(torch.zeros(1, dtype=kind), requires_grad=False)
        for kind in (torch.int8, torch.float16)
    )
    assert number_format(eight_bits) == "float16, int8"


@pytest.mark.parametrize("activation", ["query", "all"])
def test_a_step_in_parts_is_the_same_step(
    activation: Activation, tiny_base: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, dropout=0.0, activation=activation)
    run(tiny_base, tmp_path / "whole", config)
    run(tiny_base, tmp_path / "parts", replace(config, accumulate=3))
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=2e-4)


def test_parts_hold_whole_questions_and_all_rows(backend: TransformersBackend) -> None:
    from ct_guard.query import build_query

    query = build_query("raw", backend.encoder)
    rows = render_graded(graded(20), style="raw", backend=backend, query=query, budget=512)
    batch = next(batches(rows, size=14, seed=0))
    parts = batch.split(3)
    assert sum(len(part.rows) for part in parts) == len(batch.rows) == 14
    questions = [set(part.question) for part in parts]
    assert sum(map(len, questions)) == len(set.union(*questions))
    assert sum(part.pairs for part in parts) == batch.pairs == 7


def test_gradient_checkpointing_changes_nothing_but_memory(tiny_base: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, activation="all", steps=3)
    run(tiny_base, tmp_path / "kept", config)
    run(tiny_base, tmp_path / "twice", replace(config, gradient_checkpointing=True))
    one, other = weights(tmp_path / "kept"), weights(tmp_path / "twice")
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-5)


def test_the_divergence_is_taken_at_the_answers_tokens_and_keeps_the_base_close(
    backend: TransformersBackend, tiny_base: Path, tmp_path: Path
) -> None:
    def distance(kappa: float) -> float:
        config = replace(
            CONFIG, activation="all", kappa=kappa, kl="reverse", steps=20, evaluate_every=20
        )
        served = TransformersBackend.load(tiny_base, device="cpu")
        folder = tmp_path / f"kappa-{kappa}"
        tuned = tune(
            served, graded(24), graded(8, 500), style="chat_turn", folder=folder, config=config
        )
        rows = render_graded(
            graded(8, 900), style="chat_turn", backend=served, query=tuned.query, budget=512
        )
        learner = QueryLearner(served, tuned.query, folder, replace(config, kappa=1.0))
        served.reload_adapter(learner.adapter)
        before = learner.before(rows)
        assert before.answers is not None
        assert before.answers.shape[0] == sum(len(row.answer) for row in rows)
        with torch.no_grad(), served.adapted(learner.adapter.name):
            after = learner.read(rows, before).answers
        assert after is not None
        # without an adapter, both are the same logits
        with torch.no_grad(), served.adapted(None):
            untouched = learner.read(rows, before).answers
        assert untouched is not None
        np.testing.assert_allclose(untouched, before.answers, atol=1e-4)
        return float(divergence("jsd", after, before.answers))

    assert distance(5.0) < 0.5 * distance(0.0)


@pytest.mark.parametrize("method", ["probe", "lora_probe"])
def test_probes_learn_and_what_is_saved_is_what_was_measured(
    method: str, tiny_base: Path, tmp_path: Path
) -> None:
    activation: Activation = "all" if method == "lora_probe" else "query"
    config = replace(CONFIG, activation=activation, steps=40, evaluate_every=20, pair_weight=0.0)
    tuned = run(tiny_base, tmp_path / "p", config, training=graded(64), method=method)
    assert tuned.validation_log_loss < 0.3
    assert tuned.head is not None
    saved = load_probe(tmp_path / "p" / PROBE)
    assert all(np.array_equal(a, b) for a, b in zip(saved.weights, tuned.head.weights, strict=True))
    assert (tmp_path / "p" / "adapter_model.safetensors").exists() == (method == "lora_probe")


def test_a_lora_probe_acts_on_every_token(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="activation 'all'"):
        run(tiny_base, tmp_path / "p", CONFIG, method="lora_probe")


def test_a_loss_that_is_not_finite_ends_the_run_and_saves_nothing(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ct_guard.tuning.trainer.label_loss",
        lambda logits, correct, kind: logits.sum() * math.nan,
    )
    with pytest.raises(TuningError, match=r"loss is nan .* step 1: lower the learning rate"):
        run(tiny_base, tmp_path / "x", CONFIG)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("settings", "method", "said"),
    [
        *[
            (settings, method, "the weights overflow at step 1")
            for method in ("query", "probe", "lora_probe")
            for settings in (
                {"learning_rate": 1e20},
                {"learning_rate": 1e37, "weight_decay": 0.1},
                {"learning_rate": 1e38},
            )
        ],
        ({"learning_rate": 1e18}, "probe", "validation logits are not finite at step 1"),
        ({"learning_rate": 1e18}, "lora_probe", "validation logits are not finite at step 1"),
    ],
)
def test_a_learning_rate_that_is_far_too_large_is_said_to_be(
    settings: dict[str, float], method: str, said: str, tiny_base: Path, tmp_path: Path
) -> None:
    config = replace(
        CONFIG,
        activation="all" if method == "lora_probe" else "query",
        warmup=0,
        evaluate_every=1,
        **settings,  # type: ignore[arg-type]
    )
    with pytest.raises(TuningError, match=rf"{said}.*: lower the learning rate \(1e\+\d\d\)"):
        run(tiny_base, tmp_path / "x", config, method=method)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize(
    "name", ["learning_rate", "weight_decay", "pair_weight", "kappa", "dropout"]
)
def test_settings_that_are_no_numbers_to_reckon_with_are_named(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"{name} is {value} and must be"):
        replace(CONFIG, activation="all", **{name: value})  # type: ignore[arg-type]


def test_layers_that_the_base_does_not_have_are_named(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="does not fit the base model"):
        run(tiny_base, tmp_path / "x", replace(CONFIG, targets=("c_attn",)))


def test_without_patience_it_never_stops_early(tiny_base: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, learning_rate=1e-9, steps=12)
    assert [p.step for p in run(tiny_base, tmp_path / "a", replace(config, patience=1)).history] < [
        3, 6, 9, 12,
    ]  # fmt: skip
    found = run(tiny_base, tmp_path / "b", replace(config, patience=0)).history
    assert [progress.step for progress in found] == [3, 6, 9, 12]


def test_the_last_step_is_kept_where_the_settings_say_so(tiny_base: Path, tmp_path: Path) -> None:
    worse = [
        GradedAnswer(qa=row.qa, correct=not row.correct) for row in graded(8, offset=500)
    ]  # what is learnt is wrong for these

    def tuned(name: str, config: TuningConfig) -> Tuned:
        served = TransformersBackend.load(tiny_base, device="cpu")
        return tune(
            served, graded(24), worse, style="chat_turn", folder=tmp_path / name, config=config
        )

    config = replace(CONFIG, steps=30, patience=0)
    best = tuned("best", config)
    last = tuned("last", replace(config, keep="last"))
    assert best.kept_step < last.kept_step == 30
    assert last.validation_log_loss == last.history[-1].validation_log_loss
    assert last.validation_log_loss > best.validation_log_loss
    one, other = weights(tmp_path / "best"), weights(tmp_path / "last")
    assert any(not torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(UsageError, match="use patience 0, or keep the best"):
        replace(config, keep="last", patience=3)


def test_out_of_memory_says_what_helps(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ct_guard.tuning.trainer.backward", full)
    with pytest.raises(TuningError, match=r"out of memory at step 1 with \d+ rows.*`accumulate`"):
        run(tiny_base, tmp_path / "a", CONFIG)


def test_brier_learns_too(tiny_base: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, loss="brier", steps=40, evaluate_every=20)
    rows: list[GradedAnswer] = graded(64)
    assert run(tiny_base, tmp_path / "b", config, training=rows).validation_log_loss < 0.5
