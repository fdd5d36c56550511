"""Calibration tuning: a LoRA learns to answer the uncertainty query from graded answers."""

import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.backends import Activation, Adapter, Item
from ct_guard.backends.forward import Past, extend
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import TuningError
from ct_guard.metrics import auroc, log_loss
from ct_guard.query import ContextStyle, Query, build_query
from ct_guard.records import GradedAnswer

from .data import RenderedAnswer, group_by_question, render_graded
from .loss import label_loss, pair_loss

__all__ = ["Progress", "Tuned", "TuningConfig", "tune"]


@dataclass(frozen=True)
class TuningConfig:
    """Settings of one tuning run; equal settings and seed give equal weights on one machine."""

    activation: Activation = "query"
    rank: int = 8
    alpha: int = 32
    dropout: float = 0.1
    targets: tuple[str, ...] | str | None = None
    """Linear layers that get a LoRA; None is PEFT's default for the architecture (q and v)."""
    learning_rate: float = 1e-4
    batch_size: int = 32
    """Rows a step; all answers to one question come together."""
    steps: int = 500
    warmup: int = 20
    pair_weight: float = 0.0
    """Weight of the pairwise term beside the cross-entropy."""
    evaluate_every: int = 50
    patience: int = 6
    """Evaluations without a better validation log loss before tuning stops."""
    budget: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """One evaluation: losses in nats, AUROC None when a class is missing, rate in rows/s."""

    step: int
    steps: int
    loss: float
    validation_log_loss: float
    validation_auroc: float | None
    rows_per_second: float


@dataclass
class Tuned:
    """The adapter of the best step, loaded in the backend and saved at `adapter.path`."""

    adapter: Adapter
    query: Query
    best_step: int
    validation_log_loss: float
    history: list[Progress] = field(default_factory=list)


def tune(
    backend: TransformersBackend,
    training: Sequence[GradedAnswer],
    validation: Sequence[GradedAnswer],
    *,
    style: ContextStyle,
    folder: Path,
    config: TuningConfig | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Tuned:
    """Tune a LoRA on graded answers and save the step with the best validation log loss.

    With activation `query`, the base model reads context and answer without gradients and with the
    adapter off; only the query's tokens are learnt on, over that cache. With `all`, the adapter
    acts on every token. Several answers to one question are welcome and stay in one batch.

    Raises TuningError when a split has one class or the loss is not finite.
    """
    config = config or TuningConfig()
    query = build_query(style, backend)
    budget = min(config.budget or backend.max_tokens, backend.max_tokens)
    rows, held_out = (
        render_graded(part, style=style, backend=backend, query=query, budget=budget)
        for part in (training, validation)
    )
    torch.manual_seed(config.seed)
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    adapter = Adapter(f"tuned-{name}", folder, config.activation)
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets)
        if isinstance(config.targets, tuple)
        else config.targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    weights = backend.create_adapter(adapter, lora)
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cosine(step, config))
    batches = _batches(rows, config)
    history: list[Progress] = []
    best, best_step, losses, seen, started = math.inf, 0, 0.0, 0, time.monotonic()

    for step in range(1, config.steps + 1):
        batch, question = next(batches)
        past = _prefix(backend, adapter, batch)
        optimizer.zero_grad()
        with backend.adapted(adapter.name, training=True):
            logits = _label_logits(backend, adapter, query, batch, past)
            correct = torch.tensor([row.correct for row in batch], device=logits.device)
            loss = label_loss(logits, correct)
            if config.pair_weight:
                loss = loss + config.pair_weight * pair_loss(logits, correct, question)
            if not torch.isfinite(loss):
                raise TuningError(
                    f"the loss is {loss.item()} at step {step}: lower the learning rate"
                    f" ({config.learning_rate:g}) or use float32"
                )
            loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        losses += loss.item()
        seen += len(batch)

        if step % config.evaluate_every and step != config.steps:
            continue
        p = _probabilities(backend, adapter, query, held_out)
        labels = np.array([row.correct for row in held_out])
        since_last = (step - 1) % config.evaluate_every + 1
        progress = Progress(
            step=step,
            steps=config.steps,
            loss=losses / since_last,
            validation_log_loss=log_loss(p, labels),
            validation_auroc=auroc(p, labels),
            rows_per_second=seen / (time.monotonic() - started),
        )
        losses = 0.0
        history.append(progress)
        on_progress(progress)
        if progress.validation_log_loss < best:
            best, best_step = progress.validation_log_loss, step
            backend.save_adapter(adapter)
        elif step - best_step >= config.patience * config.evaluate_every:
            break

    if not best_step:
        raise TuningError("no step was evaluated with a finite loss: nothing was saved")
    backend.reload_adapter(adapter)
    return Tuned(adapter, query, best_step, best, history)


def _prefix(
    backend: TransformersBackend, adapter: Adapter, batch: Sequence[RenderedAnswer]
) -> Past | None:
    """What the base model has read before the query, for activation `query`; else nothing."""
    if adapter.activation == "all":
        return None
    with torch.no_grad():
        return extend(backend.model, [(*row.context, *row.answer) for row in batch]).past


def _label_logits(
    backend: TransformersBackend,
    adapter: Adapter,
    query: Query,
    batch: Sequence[RenderedAnswer],
    past: Past | None,
) -> torch.Tensor:
    """Label logits [B, 2]; the adapter must be on."""
    rows = [
        query.ids if past is not None else (*row.context, *row.answer, *query.ids) for row in batch
    ]
    return extend(backend.model, rows, past).logits[:, -1, list(query.label_ids)]


def _probabilities(
    backend: TransformersBackend, adapter: Adapter, query: Query, rows: Sequence[RenderedAnswer]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """P(correct) of rows through the backend, as it will be when the adapter serves."""
    items = [Item(row.context, row.answer) for row in rows]
    logits = backend.score(items, query, adapter, frozenset({"labels"})).label_logits
    if logits is None:
        raise TuningError("the backend returned no label logits")
    margin = (logits[:, 1] - logits[:, 0]).astype(np.float64)
    return np.asarray(expit(margin))


def _batches(
    rows: Sequence[RenderedAnswer], config: TuningConfig
) -> Iterator[tuple[list[RenderedAnswer], list[int]]]:
    """Endless batches of whole questions in random order, with each row's question number."""
    rng = random.Random(config.seed)  # noqa: S311
    groups = group_by_question(rows)
    while True:
        rng.shuffle(groups)
        batch: list[RenderedAnswer] = []
        question: list[int] = []
        for number, group in enumerate(groups):
            batch += group
            question += [number] * len(group)
            if len(batch) >= config.batch_size:
                yield batch, question
                batch, question = [], []
        if batch:
            yield batch, question


def _cosine(step: int, config: TuningConfig) -> float:
    if step < config.warmup:
        return (step + 1) / config.warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / config.steps)))
