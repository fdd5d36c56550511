"""Tuning and asking, one process for each way and seed; the findings stay in the runs folder."""

import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import torch

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import build_query
from tools.mini_world.answers import Row, question_of, read_answers, split_rows
from tools.mini_world.estimators import tuned
from tools.mini_world.measure import STYLE, Pairs, tuned_labels

from .attempts import Attempt

__all__ = [
    "PARTS",
    "ask",
    "ask_all",
    "folder_of",
    "labels_of",
    "to_tune_on",
]

PARTS = ("calibration", "test", "held_out")


def ask_all(base: Path, runs: Path, ways: Iterable[tuple[Attempt, int]], jobs: int) -> None:
    """Tune and ask in every way that is not in `runs` yet, in `jobs` processes of one thread."""
    missing = [(way, seed) for way, seed in ways if not _is_done(runs, way, seed)]
    if not missing:
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(ask, base, runs, way, seed) for way, seed in missing]
        for task, (way, seed) in zip(tasks, missing, strict=True):
            task.result()
            click.echo(f"{way.slug}, seed {seed}", err=True)


def ask(base: Path, runs: Path, way: Attempt, seed: int) -> None:
    """Tune in this way, and keep its label logits for the rows of all `PARTS`."""
    torch.set_num_threads(1)
    backend = TransformersBackend.load(base, device="cpu")
    query = build_query(STYLE, backend.encoder)
    rows = read_answers(runs / "answers")
    folder = folder_of(runs, way, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    config = replace(way.config, seed=seed)
    chosen = to_tune_on(split_rows(rows, "tuning"), way, seed)
    made = tuned(backend, query, chosen, folder, config, seed, way.method)
    orders = [query]
    if config.label_orders == "both":
        orders.append(build_query(STYLE, backend.encoder, swapped=True))
    for part in PARTS:
        of_part = split_rows(rows, part)
        labels = [tuned_labels(backend, of_part, asked, made) for asked in orders]
        np.save(folder / f"{part}.npy", np.mean(labels, axis=0))


def labels_of(runs: Path, way: Attempt, seed: int, part: str) -> Pairs:
    return np.asarray(np.load(folder_of(runs, way, seed) / f"{part}.npy"), np.float32)


def to_tune_on(rows: Sequence[Row], way: Attempt, seed: int) -> list[Row]:
    """Those of the tuning split that this way uses."""
    chosen = [row for row in rows if row["sample"] == 0 or not way.greedy_only]
    if way.rows is None:
        return chosen
    by_question: dict[str, list[Row]] = {}
    for row in chosen:
        by_question.setdefault(question_of(row), []).append(row)
    questions = list(by_question.values())
    random.Random(f"rows-{seed}").shuffle(questions)
    return [row for answers in questions for row in answers][: way.rows]


def _is_done(runs: Path, way: Attempt, seed: int) -> bool:
    return (folder_of(runs, way, seed) / f"{PARTS[-1]}.npy").exists()


def folder_of(runs: Path, way: Attempt, seed: int) -> Path:
    return runs / "adapters" / f"{way.slug}-{seed}"
