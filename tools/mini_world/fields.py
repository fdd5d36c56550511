"""The adapter of the embedded estimator that acts on queries about fields: tuned on records of the
world, calibrated, certified, measured, written."""

import json
import math
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.backends import Adapter
from ct_guard.backends.forward import select
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.calibration import fit
from ct_guard.estimators.fields import FieldReader, calibrated_fields
from ct_guard.metrics import auroc, ece, log_loss
from ct_guard.query import Query, build_field_query, build_query, render
from ct_guard.records import CalibratorState, QuestionAnswer
from ct_guard.risk import certify_fields
from ct_guard.store import EVERY_MODEL, FieldReading, load_manifest, write_manifest
from ct_guard.store.directory import sha256
from ct_guard.store.manifest import ADAPTER_FILES
from ct_guard.tuning.trained import create_lora, save_lora

from .estimators import TUNING, to_float16
from .measure import BUDGET, STYLE
from .records import Record, ask_people, records_of
from .world import World

Floats = NDArray[np.float64]

RECORDS = {
    "tuning": (8, 1200),
    "calibration": (3, 400),
    "certification": (1, 160),
    "test": (2, 800),
}
"""By split: records of every person, and copied ones."""
STEPS, AT_ONCE = 1400, 12
"""Of tuning, and records in each."""
LEARNING_RATE, WARMUP = 2e-3, 30
LOOK_EVERY = 100
ALPHA, DELTA = 0.10, 0.10
FOLDER = "fields"
"""Of the adapter, in the estimator's directory."""


@dataclass(frozen=True)
class Encoded:
    """A record as it is read, and the queries about its fields."""

    prefix: tuple[int, ...]
    queries: tuple[Query, ...]
    groups: tuple[str, ...]
    correct: tuple[bool, ...]


def encoded(rows: Sequence[Record], backend: TransformersBackend) -> list[Encoded]:
    query = build_query(STYLE, backend)
    reader = FieldReader(build_field_query(STYLE, backend, query.label_ids), None, FieldReading())
    made = []
    for row in rows:
        qa = QuestionAnswer(question=str(row["question"]), answer=str(row["answer"]), fields=())
        asked = reader.questions(qa, backend)
        text = render(qa, style=STYLE, encoder=backend, query=query, budget=BUDGET)
        grades = cast("Mapping[str, bool]", row["fields_correct"])
        made.append(
            Encoded(
                (*text.context, *text.answer, *reader.query.preamble),
                asked.queries,
                tuple(leaf.group for leaf in asked.leaves),
                tuple(grades[leaf.path] for leaf in asked.leaves),
            )
        )
    return made


def logits_of(rows: Sequence[Encoded], backend: TransformersBackend, adapter: Adapter) -> Floats:
    """Raw scores of all fields, record by record."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), 32):
            part = rows[start : start + 32]
            labels = _read(part, backend, adapter, training=False)
            found.append((labels[:, 1] - labels[:, 0]).numpy())
    return np.concatenate(found).astype(np.float64)


def _read(
    rows: Sequence[Encoded], backend: TransformersBackend, adapter: Adapter, *, training: bool
) -> torch.Tensor:
    """Label logits [fields, 2]: each prefix is read once, by the base."""
    decoder = backend.decoder
    with torch.no_grad():
        past = decoder.read([row.prefix for row in rows]).past
    places = [at for at, row in enumerate(rows) for _ in row.queries]
    queries = [query for row in rows for query in row.queries]
    with backend.adapted(adapter.name, training=training):
        step = decoder.read([query.ids for query in queries], select(past, places))
    return decoder.head.logits(step.hidden[:, -1], queries[0].label_ids)


def tune_fields(
    backend: TransformersBackend,
    rows: Sequence[Encoded],
    held_out: Sequence[Encoded],
    *,
    start: Path,
    folder: Path,
    steps: int,
    seed: int,
) -> Adapter:
    """Tune a LoRA that begins as the one in `start`; of the looks at `held_out` the best is
    kept."""
    adapter = Adapter("fields", folder, "query")
    torch.manual_seed(seed)
    weights = create_lora(backend, adapter, TUNING)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ADAPTER_FILES:
        shutil.copyfile(start / name, folder / name)
    backend.reload_adapter(adapter)
    optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.01)
    rng, best = random.Random(f"fields-{seed}"), math.inf
    correct = _correct(held_out)
    for number in range(steps):
        share = 0.5 * (1 + math.cos(math.pi * number / steps))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * share * min(1.0, (number + 1) / WARMUP)
        chosen = rng.sample(list(rows), AT_ONCE)
        labels = _read(chosen, backend, adapter, training=True)
        target = torch.from_numpy(_correct(chosen).astype(np.int64))
        loss = torch.nn.functional.cross_entropy(labels.float(), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if (number + 1) % LOOK_EVERY == 0 or number + 1 == steps:
            logits = logits_of(held_out, backend, adapter)
            held = log_loss(expit(logits), correct)
            print(
                f"step {number + 1}: loss {loss.item():.3f}, held out {held:.4f},"
                f" AUROC {auroc(logits, correct):.4f}",
                flush=True,
            )
            if held < best:
                best = held
                save_lora(backend, adapter)
    backend.reload_adapter(adapter)
    return adapter


def build_fields(
    world: World,
    backend: TransformersBackend,
    target: Path,
    runs: Path,
    *,
    seed: int,
    steps: int = STEPS,
    share: float = 1.0,
) -> FieldReading:
    """Tune, calibrate, certify and measure on records, and write what came of it into the estimator
    at `target`, which has an adapter of its own that the one of fields begins as."""
    people = ask_people(world, backend, seed, share)
    rows = {
        split: records_of(people, split, each=each, copied=round(share * copied), seed=seed)
        for split, (each, copied) in RECORDS.items()
    }
    for split, made in rows.items():
        text = "".join(json.dumps(row) + "\n" for row in made)
        (runs / f"records-{split}.jsonl").write_text(text)
    read = {split: encoded(made, backend) for split, made in rows.items()}
    folder = runs / FOLDER
    manifest = load_manifest(target)
    held = len(read["tuning"]) // 12
    adapter = tune_fields(
        backend,
        read["tuning"][held:],
        read["tuning"][:held],
        start=target / str(manifest.adapter),
        folder=folder,
        steps=steps,
        seed=seed,
    )
    to_float16(folder / "adapter_model.safetensors")
    backend.reload_adapter(adapter)
    logits = {split: logits_of(read[split], backend, adapter) for split in list(RECORDS)[1:]}
    states = _calibrators(read["calibration"], logits["calibration"])
    p = {
        split: calibrated_fields(states, logits[split], _groups(read[split]))[0] for split in logits
    }
    certificate = certify_fields(
        p["certification"],
        _correct(read["certification"]),
        _answers(read["certification"]),
        alpha=ALPHA,
        delta=DELTA,
    )
    reading = FieldReading(
        adapter=FOLDER,
        calibrators=states,
        figures=_figures(rows["test"], read["test"], p["test"]),
    )
    shutil.copytree(folder, target / FOLDER, dirs_exist_ok=True)
    files = {f"{FOLDER}/{name}": sha256(target / FOLDER / name) for name in ADAPTER_FILES}
    others = tuple(one for one in manifest.promises if one.kind != "fields")
    changed = {
        "fields": reading,
        "promises": (certificate, *others),
        "files": dict(sorted({**manifest.files, **files}.items())),
    }
    write_manifest(target, manifest.model_copy(update=changed))
    return reading


def _calibrators(rows: Sequence[Encoded], logits: Floats) -> dict[str, CalibratorState]:
    groups, correct = np.array(_groups(rows)), _correct(rows)
    names = sorted(set(groups))
    return {
        EVERY_MODEL: fit("platt", logits, correct),
        **{name: fit("platt", logits[groups == name], correct[groups == name]) for name in names},
    }


def _figures(
    rows: Sequence[Record], read: Sequence[Encoded], p: Floats
) -> dict[str, float | int | str | None]:
    """Of all fields, and of records by kind."""
    correct = _correct(read)
    kind = np.array([row["kind"] for row, one in zip(rows, read, strict=True) for _ in one.queries])
    found: dict[str, float | int | str | None] = {"test records": len(rows), "test fields": len(p)}
    for name in ("all", "known", "copied"):
        at = np.ones(len(p), bool) if name == "all" else kind == name
        found[f"test AUROC, {name}"] = auroc(p[at], correct[at])
        found[f"test ECE, {name}"] = ece(p[at], correct[at])
        found[f"test accuracy, {name}"] = float(correct[at].mean())
    return found


def _correct(rows: Sequence[Encoded]) -> NDArray[np.bool_]:
    return np.array([right for row in rows for right in row.correct], np.bool_)


def _groups(rows: Sequence[Encoded]) -> list[str]:
    return [group for row in rows for group in row.groups]


def _answers(rows: Sequence[Encoded]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(rows)), [len(row.queries) for row in rows])
