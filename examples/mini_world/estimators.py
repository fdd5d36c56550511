"""From graded answers to the embedded estimators: tune, fit, calibrate, certify, measure, write."""

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from ct_guard import __version__
from ct_guard.adapters import BaseModelRef, LogisticLayer, Manifest, Scope, save_estimator
from ct_guard.backends import Adapter, Item, ScoreBatch
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.calibration import apply, fit
from ct_guard.estimators import METHODS, features
from ct_guard.metrics import (
    auroc,
    coverage_at_risk,
    ece,
    log_loss,
    pair_accuracy,
    within_auroc,
)
from ct_guard.query import ContextStyle, Query, build_query, render
from ct_guard.records import CalibratorState, Certificate, GradedAnswer, QuestionAnswer
from ct_guard.risk import certify
from ct_guard.tuning import Progress, TuningConfig, fit_layer, split_by_question, split_hash, tune
from ct_guard.tuning.augment import with_attacks

from .corpus import questions
from .world import World

Row = dict[str, Any]
Floats = NDArray[np.float64]

STYLE: ContextStyle = "chat_turn"
BUDGET = 512
ALPHA, DELTA = 0.10, 0.10
TUNING = TuningConfig(
    rank=16,
    alpha=32,
    dropout=0.05,
    targets=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    learning_rate=2e-3,
    batch_size=40,
    steps=600,
    warmup=20,
    pair_weight=1.0,
    evaluate_every=50,
    budget=BUDGET,
)
DESCRIPTION = (
    "sums, differences, remainders, letters and digits to reverse, sort or count, and facts about"
    " invented people: the miniature world of examples/mini_world"
)


@dataclass(frozen=True)
class Part:
    """Rows of one split with what the backend says of them, tuned and not."""

    rows: list[Row]
    tuned: ScoreBatch
    plain: ScoreBatch

    @property
    def correct(self) -> NDArray[np.bool_]:
        return np.array([row["correct"] for row in self.rows])

    def batch(self, method: str) -> ScoreBatch:
        return self.plain if method == "zero-shot" else self.tuned

    def take(self, keep: Callable[[Row], bool]) -> "Part":
        at = [number for number, row in enumerate(self.rows) if keep(row)]
        return Part([self.rows[n] for n in at], _take(self.tuned, at), _take(self.plain, at))


def _take(batch: ScoreBatch, at: Sequence[int]) -> ScoreBatch:
    if batch.label_logits is None or batch.answer_logprobs is None:
        raise ValueError("label logits and log-probabilities are both needed")
    index = np.array(at, dtype=int)
    return ScoreBatch(
        label_logits=batch.label_logits[index],
        answer_logprobs=[batch.answer_logprobs[n] for n in at],
        hidden=None,
        cached_tokens=batch.cached_tokens[index],
        prefilled_tokens=batch.prefilled_tokens[index],
    )


def graded(rows: Sequence[Row]) -> list[GradedAnswer]:
    return [
        GradedAnswer(
            qa=QuestionAnswer(question=row["question"], answer=row["answer"], id=row["id"]),
            correct=row["correct"],
        )
        for row in rows
    ]


def measure(backend: TransformersBackend, rows: list[Row], query: Query, adapter: Adapter) -> Part:
    """Score rows once with and once without the adapter; every estimator follows from this."""
    rendered = [
        render(row.qa, style=STYLE, encoder=backend, query=query, budget=BUDGET)
        for row in graded(rows)
    ]
    items = [Item(made.context, made.answer) for made in rendered]
    want = frozenset({"labels", "answer_logprobs"})
    return Part(
        rows,
        backend.score(items, query, adapter, want),  # type: ignore[arg-type]
        backend.score(items, query, None, want),  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class Made:
    """One estimator before it is written."""

    method: str
    layer: LogisticLayer | None
    calibrator: CalibratorState
    selection_log_loss: float

    def logits(self, part: Part) -> Floats:
        manifest = Manifest(
            name="", method=self.method, base=BaseModelRef(id="."), layer=self.layer
        )
        return METHODS[self.method](manifest).logits(part.batch(self.method))

    def p(self, part: Part) -> Floats:
        return apply(self.calibrator, self.logits(part))


def make(method: str, layer_part: Part, platt_part: Part, selection_part: Part) -> Made:
    """Fit the layer (hybrid only), the calibrator, and measure the log loss to choose by, each on
    questions of its own."""
    layer = (
        fit_layer(features(layer_part.tuned), layer_part.correct) if method == "hybrid" else None
    )
    blank = CalibratorState(kind="temperature", params={"temperature": 1.0}, n=0)
    raw = Made(method, layer, blank, 0.0).logits(platt_part)
    calibrator = fit("platt", raw, platt_part.correct)
    made = Made(method, layer, calibrator, 0.0)
    loss = log_loss(made.p(selection_part), selection_part.correct)
    return Made(method, layer, calibrator, loss)


def figures(made: Made, part: Part) -> dict[str, float | int | str | None]:
    """Figures on one part: ranking overall, within kinds and within questions; calibration."""
    p, correct = made.p(part), part.correct
    question = np.array([row["id"].rsplit("-", 1)[0] for row in part.rows])
    kind = np.array([row["kind"] for row in part.rows])
    pairs = pair_accuracy(p, correct, question)
    return {
        "rows": len(part.rows),
        "questions": len(set(question)),
        "accuracy of the answers": float(correct.mean()),
        "AUROC": auroc(p, correct),
        "AUROC within kinds": within_auroc(p, correct, kind),
        "pair accuracy": pairs.value,
        "questions with pairs": pairs.questions,
        "ECE": ece(p, correct),
        "log loss": log_loss(p, correct),
        "coverage at 10% risk": coverage_at_risk(p, correct, 0.10),
    }


def certificate(made: Made, part: Part) -> Certificate:
    """Certified on the greedy answers to the certification questions, one each."""
    return certify(
        made.p(part),
        part.correct,
        alpha=ALPHA,
        delta=DELTA,
        split_hash=split_hash(graded(part.rows)),
    )


def build(
    world: World,
    backend: TransformersBackend,
    rows: list[Row],
    *,
    base: Path,
    runs: Path,
    target: Path,
    seed: int,
    config: TuningConfig = TUNING,
) -> dict[str, dict[str, float | int | str | None]]:
    """Tune and write every embedded estimator below `target`; returns figures by estimator."""
    inside = {
        split: [row for row in rows if row["split"] == split and row["held_out"] is None]
        for split in ("tuning", "calibration", "certification", "test")
    }
    adapter = Adapter(f"mini-{config.activation}", runs / "adapter", config.activation)
    if not (adapter.path / "adapter_model.safetensors").exists():
        split = split_by_question(
            graded(inside["tuning"]), {"train": 0.85, "validation": 0.15}, seed
        )
        building = runs / "adapter-building"
        tune(
            backend,
            with_attacks(split["train"], seed=seed),
            split["validation"],
            style=STYLE,
            folder=building,
            config=config,
            on_progress=_report,
        )
        _to_float16(building / "adapter_model.safetensors")
        building.rename(adapter.path)
    query = build_query(STYLE, backend)
    part = {
        name: measure(backend, inside[name], query, adapter)
        for name in ("calibration", "certification", "test")
    }
    thirds = [part["calibration"].take(lambda row, n=n: _third(row) == n) for n in range(3)]  # type: ignore[misc]
    made = {
        method: make(method, *thirds) for method in ("hybrid", "query", "likelihood", "zero-shot")
    }
    default = min(made, key=lambda method: made[method].selection_log_loss)
    report: dict[str, dict[str, float | int | str | None]] = {}
    _copy_base(base, target / "base")
    for method, one in made.items():
        report[method] = figures(one, part["test"])
        uses_adapter = method in ("hybrid", "query")
        manifest = Manifest(
            name="mini" if method == default else f"mini:{method}",
            method=method,
            base=BaseModelRef(id="../base", fingerprint=backend.fingerprint),
            style=STYLE,
            activation=config.activation if uses_adapter else None,
            layer=one.layer,
            budget=BUDGET,
            calibrators={"*": one.calibrator},
            certificates=(certificate(one, part["certification"]),),
            scope=Scope(description=DESCRIPTION, words=_words(world)),
            figures={
                **report[method],
                "log loss on the selection rows": one.selection_log_loss,
            },
            data={name: split_hash(graded(inside[name])) for name in inside},
            versions=_versions(),
        )
        save_estimator(
            target / method,
            manifest,
            adapter=adapter.path if uses_adapter else None,
            overwrite=True,
        )
        print(method, json.dumps(manifest.model_dump(mode="json", include={"certificates"})))
    index = {"default": default, "estimators": sorted(made)}
    (target / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    return report


def _to_float16(path: Path) -> None:
    """Before anything is measured, so that every figure is of the weights as they are shipped."""
    tensors = load_file(path)
    save_file({name: tensor.half() for name, tensor in tensors.items()}, path)


def _third(row: Row) -> int:
    number = int(row["id"].split("-")[1])
    return 0 if number % 10 < 4 else 1 if number % 10 < 7 else 2


def _copy_base(base: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(base.iterdir()):
        shutil.copyfile(path, target / path.name)


def _words(world: World) -> frozenset[str]:
    """Every lower-case word that a question of this world may use."""
    stream = questions(world, random.Random("words"))
    texts = [next(stream).text for _ in range(5000)]
    words = {word.strip(".,?'") for text in texts for word in text.split()}
    return frozenset(word for word in words if word.isalpha() and word.islower() and len(word) > 1)


def _versions() -> dict[str, str]:
    libraries: Mapping[str, str] = {
        name: version(name) for name in ("torch", "transformers", "peft", "scikit-learn")
    }
    return {"ct-guard": __version__, **libraries}


def _report(progress: Progress) -> None:
    shown = progress.validation_auroc
    print(
        f"step {progress.step}/{progress.steps}: loss {progress.loss:.4f}, validation log loss"
        f" {progress.validation_log_loss:.4f}, AUROC {shown if shown is None else round(shown, 4)},"
        f" {progress.rows_per_second:.0f} rows/s",
        flush=True,
    )
