"""Calibration tuning: an adapter or a probe learns from graded answers to tell right from wrong."""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.backends import Adapter
from ct_guard.backends.placement import free_bytes, number_format, out_of_memory
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import MismatchError, NonFiniteScoreError, TuningError, UsageError
from ct_guard.estimators.fields import reader_of
from ct_guard.methods import METHODS
from ct_guard.metrics import auroc, log_loss
from ct_guard.query import ContextStyle, Query, build_query
from ct_guard.records import GradedAnswer
from ct_guard.store import ProbeHead

from .batches import Batch, batches
from .checkpoint import Identity, Progress, Run, load_run, run_identity, save_run
from .config import TuningConfig
from .data import RenderedAnswer, render_graded
from .learners import LEARNERS, Learner, QueryLearner
from .life import RunLife
from .loss import divergence, label_loss, pair_loss
from .processes import Processes, processes

__all__ = ["Tuned", "tune"]


_MOST = math.sqrt(torch.finfo(torch.float32).max)
"""A product of two larger weights overflows; a norm behind it can make a number of that again."""
AT_ONCE = 256
"""Validation rows between two words on how many there are."""


@dataclass
class Tuned:
    """The best step, or the last where the settings say so, saved in the folder. What was trained:
    the adapter, the probe's head, both."""

    adapter: Adapter | None
    query: Query
    kept_step: int
    validation_log_loss: float
    history: list[Progress] = field(default_factory=list)
    head: ProbeHead | None = None


def tune(
    backend: TransformersBackend,
    training: Sequence[GradedAnswer],
    validation: Sequence[GradedAnswer],
    *,
    style: ContextStyle,
    folder: Path,
    config: TuningConfig | None = None,
    method: str = "query",
    fields: bool = False,
    life: RunLife | None = None,
) -> Tuned:
    """Tune on graded answers and save the step with the best validation log loss (or the last one,
    see `TuningConfig.keep`).

    With activation `query`, the base model reads context and answer without gradients and with the
    adapter off; only the query's tokens are learnt on, over that cache. With `all`, the adapter
    acts on every token. Several answers to one question are welcome and stay in one batch.

    Args:
        backend: the base model.
        training: graded answers to learn from.
        validation: graded answers to other questions, to stop by.
        style: how question and answer become text; recorded with what is made.
        folder: where the LoRA (PEFT's files) and the head (`probe.safetensors`) are written.
        config: the settings; the defaults are those of `TuningConfig`.
        method: `query`, `probe` or `lora_probe` (activation `all`).
        fields: whether the LoRA learns from the grades of fields, too, each by a query of its own;
            for the method `query` with activation `query`.
        life: where the run is kept, what memory it takes, who hears of it.

    Raises:
        TuningError: a split has one class, the loss is not finite, the LoRA does not fit the base,
            no gradient would reach it, the checkpoint is of another run, or a file cannot be
            written.
        UsageError: the method is unknown or does not fit the settings.
    """
    config, life = config or TuningConfig(), life or RunLife()
    _check_settings(backend, method, config, fields=fields)
    group = processes()
    query = build_query(style, backend.encoder)
    reader = reader_of(style, backend, query) if fields else None
    budget = min(config.budget or backend.max_tokens, backend.max_tokens)
    rows, held_out = (
        render_graded(part, style=style, backend=backend, query=query, budget=budget, reader=reader)
        for part in (training, validation)
    )
    identity = run_identity(
        {
            "method": method,
            "settings": config,
            "style": query,
            "tuning rows": rows,
            "validation rows": held_out,
            "base": backend.fingerprint,
            "number format (`dtype`, `quantization`)": number_format(backend.model),
            "number of processes": group.count,
        }
    )
    torch.manual_seed(config.seed)
    learner = _learner(method, backend, query, style, folder, config)
    if group.count == 1:
        free = free_bytes(backend.device) // 4
        room = free if life.cache_bytes is None else life.cache_bytes
        learner.prepare([*rows, *held_out], room, partial(life.on_rows, "first reading"))
    optimizer = torch.optim.AdamW(
        learner.weights, lr=config.learning_rate, weight_decay=config.weight_decay
    )
    run = Run()
    if life.resume and life.checkpoint is not None:
        run = load_run(life.checkpoint, identity, learner.weights, optimizer)
    trainer = _Trainer(learner, optimizer, config, life, group, identity, run, held_out)
    if config.start == "probe" and method == "query" and not run.history:
        if group.first:
            learner.start(rows, held_out, partial(life.on_rows, "starting from a probe"))
        group.share(learner.weights)
        trainer.evaluate(None)
    trainer.learn(rows)
    with torch.no_grad():
        for weight, kept in zip(learner.weights, run.kept_weights, strict=True):
            weight.copy_(kept)
    head = learner.save() if group.first else None
    group.wait()
    return Tuned(learner.adapter, query, run.kept_step, run.kept_loss, run.history, head)


def _learner(
    method: str,
    backend: TransformersBackend,
    query: Query,
    style: ContextStyle,
    folder: Path,
    config: TuningConfig,
) -> Learner:
    if config.label_orders == "both":
        exchanged = build_query(style, backend.encoder, swapped=True)
        return QueryLearner(backend, query, folder, config, exchanged)
    return LEARNERS[method](backend, query, folder, config)


@dataclass
class _Trainer:
    """The loop: steps, and evaluations between them."""

    learner: Learner
    optimizer: torch.optim.Optimizer
    config: TuningConfig
    life: RunLife
    group: Processes
    identity: Identity
    run: Run
    held_out: Sequence[RenderedAnswer]
    started: float = field(default_factory=time.monotonic)
    seen: int = 0
    """Rows learnt from since `started`."""

    def learn(self, rows: Sequence[RenderedAnswer]) -> None:
        config, run = self.config, self.run
        patience = config.patience * config.evaluate_every or math.inf
        order = islice(batches(rows, size=config.batch_size, seed=config.seed), run.step, None)
        losses: list[float] = []
        while run.step < config.steps and run.step - run.kept_step < patience:
            batch = next(order)
            run.step += 1
            losses.append(_step(self.learner, batch, self.optimizer, run.step, config, self.group))
            self.seen += len(batch.rows)
            self.life.on_step(run.step, losses[-1])
            if run.step % config.evaluate_every == 0 or run.step == config.steps:
                self.evaluate(math.fsum(losses) / len(losses))
                losses.clear()

    def evaluate(self, loss: float | None) -> None:
        """On the validation rows; keeps the weights where they are the best so far (or the last,
        where those are asked for), and writes the checkpoint. `loss`: the mean over the steps
        since the last evaluation, nats."""
        run, config = self.run, self.config
        own = self.group.mine(self.held_out)
        margins = self.group.together(
            _margins(self.learner, own, partial(self.life.on_rows, "validating"))
        )
        if not np.isfinite(margins).all():
            raise _diverged(f"validation logits are not finite at step {run.step}", config)
        p = expit(np.array(margins))
        labels = np.array([row.correct for row in self.held_out])
        progress = Progress(
            step=run.step,
            steps=config.steps,
            loss=loss,
            validation_log_loss=log_loss(p, labels),
            validation_auroc=auroc(p, labels),
            rows_per_second=self.seen / (time.monotonic() - self.started),
        )
        run.history.append(progress)
        if progress.validation_log_loss < run.kept_loss or config.keep == "last":
            run.kept_loss, run.kept_step = progress.validation_log_loss, run.step
            run.kept_weights = [weight.detach().clone().cpu() for weight in self.learner.weights]
        if self.life.checkpoint is not None and self.group.first:
            save_run(self.life.checkpoint, self.identity, run, self.learner.weights, self.optimizer)
        self.life.on_progress(progress)


def _check_settings(
    backend: TransformersBackend, method: str, config: TuningConfig, *, fields: bool
) -> None:
    if method not in LEARNERS:
        raise UsageError(f"unknown method {method!r}: there are {', '.join(LEARNERS)}")
    if METHODS[method].acts_on_answers and config.activation != "all":
        raise UsageError(f"a {method} reads the answer through its LoRA: use activation 'all'")
    if config.label_orders == "both" and not METHODS[method].both_orders:
        raise UsageError(f"both label orders are for the method 'query', not for {method!r}")
    alone = method == "query" and config.activation == "query" and config.label_orders == "fixed"
    if fields and not alone:
        raise UsageError(
            "fields are learnt by the method 'query' with activation 'query', in one order of the"
            " labels"
        )
    _check_gradients(backend, method)


def _check_gradients(backend: TransformersBackend, method: str) -> None:
    """Raise TuningError where no gradient would reach a LoRA: bitsandbytes multiplies by 4-bit
    weights on a CPU without one, and says nothing."""
    in_4_bits = getattr(backend.model, "is_loaded_in_4bit", False)
    if in_4_bits and backend.device == "cpu" and METHODS[method].adapter:
        raise TuningError(
            "a base in 4 bits passes no gradients on a CPU, there it can only score: tune on a GPU,"
            " or load the base in 8 bits"
        )


def _step(
    learner: Learner,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    step: int,
    config: TuningConfig,
    group: Processes,
) -> float:
    """Learn from a batch, each process from its share of it; returns the loss, in nats. Raises
    TuningError where a number is not finite or memory is not enough."""
    torch.manual_seed(_step_seed(config.seed, step - 1, group.rank))
    weights = learner.weights
    for settings in optimizer.param_groups:
        settings["lr"] = config.learning_rate * _cosine(step - 1, config)
    optimizer.zero_grad()
    own = torch.zeros((), device=weights[0].device)
    for part in group.mine(batch.split(config.accumulate * group.count)):
        if part.rows:
            with _enough_memory(len(part.rows), step):
                own += backward(learner, part, batch, config)
    for weight in weights:
        weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    group.add_up([own, *gradients])
    loss = own.item()
    norm = torch.nn.utils.clip_grad_norm_(weights, 1.0)
    if not (math.isfinite(loss) and bool(torch.isfinite(norm))):
        raise _diverged(f"the loss is {loss} and its gradient {norm.item()} at step {step}", config)
    try:
        optimizer.step()
    except RuntimeError as error:
        if "overflow" not in str(error):
            raise
        raise _diverged(f"the weights overflow at step {step}", config) from error
    if any(bool((weight.detach().abs() > _MOST).any()) for weight in weights):
        raise _diverged(f"the weights overflow at step {step}", config)
    return loss


def backward(learner: Learner, part: Batch, batch: Batch, config: TuningConfig) -> torch.Tensor:
    """Add the gradient of this part's share of the batch's loss; returns that share. The shares of
    all parts add up to the loss of the whole batch, however it was divided."""
    before = learner.before(part.rows)
    with learner.learning():
        reading = learner.read(part.rows, before)
        correct = torch.tensor([row.correct for row in part.rows], device=reading.labels.device)
        share = len(part.rows) / len(batch.rows)
        loss = share * label_loss(reading.labels, correct, config.loss)
        if config.pair_weight and part.pairs:
            share = part.pairs / batch.pairs
            loss = loss + config.pair_weight * share * pair_loss(
                reading.labels, correct, part.question
            )
        if reading.answers is not None and before.answers is not None:
            share = part.answer_tokens / batch.answer_tokens
            loss = loss + config.divergence_weight * share * divergence(
                config.kl, reading.answers, before.answers
            )
        loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach().float()


def _margins(
    learner: Learner, rows: Sequence[RenderedAnswer], on_rows: Callable[[int, int], None]
) -> list[float]:
    """The label logits' difference, yes - no, of each row; NaN for all where the weights have
    diverged so far that the server would refuse them."""
    margins: list[float] = []
    for start in range(0, len(rows), AT_ONCE):
        try:
            with np.errstate(all="ignore"):
                found = learner.logits(rows[start : start + AT_ONCE]) @ np.array([-1.0, 1.0])
        except (NonFiniteScoreError, MismatchError):
            return [math.nan] * len(rows)
        margins += [float(margin) for margin in found]
        on_rows(len(margins), len(rows))
    return margins


def _diverged(what: str, config: TuningConfig) -> TuningError:
    return TuningError(f"{what}: lower the learning rate ({config.learning_rate:g}) or use float32")


@contextmanager
def _enough_memory(rows: int, step: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise TuningError(
            f"out of memory at step {step:,} with {rows} rows read at once: read a step's rows in"
            " more parts (`accumulate` 2, 4, …; the step stays the same), or take a shorter"
            " `budget`, a base in `quantization` 8bit, or `gradient_checkpointing` with"
            " activation 'all'"
        ) from error


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Every step draws its dropout from a seed of its own, so that a resumed run goes on as if it
    had never stopped."""
    return random.Random(f"{seed}:{step}:{rank}").getrandbits(62)  # noqa: S311


def _cosine(step: int, config: TuningConfig) -> float:
    if step < config.warmup:
        return (step + 1) / config.warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / config.steps)))
