"""From graded answers to the embedded estimators: tune, fit, calibrate, certify, measure, write."""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import load_file, save_file

from ct_guard import __version__
from ct_guard.backends import Adapter
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.certificates import Certificate, Sample
from ct_guard.evidence.question_prior import PRIOR_FILE
from ct_guard.methods import METHODS
from ct_guard.query import Query, build_query
from ct_guard.records import GradedAnswer
from ct_guard.risk import binned, certify
from ct_guard.store import PROBE, BaseModelRef, Manifest, Scope, load_probe, save_estimator
from ct_guard.store.probe import dump_probe
from ct_guard.store.questions import dump_questions, questions_name
from ct_guard.tuning import Progress, RunLife, Tuned, TuningConfig, split_by_question, tune
from ct_guard.tuning.augment import with_attacks
from ct_guard.tuning.parts import question_hashes, set_hashes

from .answers import (
    HELD_OUT_PARTS,
    SPLITS,
    Row,
    matched_misconceptions,
    question_of,
    split_rows,
)
from .corpus import questions
from .measure import (
    BUDGET,
    STYLE,
    Behind,
    Figures,
    Made,
    Part,
    figures,
    graded,
    make,
    measure,
    prior_of,
    tuned_labels,
)
from .world import World

ALPHA, DELTA = 0.10, 0.10
KEPT = "kept.json"
TEST = "the test split, which the promise is about"
TUNING = TuningConfig(
    rank=16,
    alpha=32,
    dropout=0.2,
    targets=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    learning_rate=2e-3,
    batch_size=40,
    steps=1600,
    warmup=20,
    pair_weight=0.3,
    evaluate_every=200,
    budget=BUDGET,
)
FRAMES = (("Reverse ", "."), ("What is ", " backwards?"))
DESCRIPTION = (
    "sums, differences and products, digits to add up or sort, letters to move on or reverse, short"
    " passages to read, and facts about invented people: the miniature world of tools/mini_world"
)


@dataclass(frozen=True)
class Report:
    """What the card says of one estimator."""

    figures: Figures
    certificate: Certificate
    behind: Mapping[str, Behind]
    """By slice: what passes the certified threshold."""


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
) -> dict[str, Report]:
    """Tune and write every embedded estimator below `target`; returns a report by estimator."""
    inside = {split: split_rows(rows, split) for split in SPLITS}
    query = build_query(STYLE, backend.encoder)
    trained = tuned(backend, query, inside["tuning"], runs / "adapter", config, seed)
    part = {}
    for name in SPLITS[1:]:
        read = measure(backend, inside[name], query)
        part[name] = read.with_labels(tuned_labels(backend, read.rows, query, trained))
    made, without_prior = _made(part["calibration"], inside["tuning"])
    default = min(made, key=lambda method: made[method].selection_log_loss)
    used = {name: graded(inside[name]) for name in SPLITS if name != "held_out"}
    asked = dump_questions(question_hashes(used))
    _copy_base(base, target / "base")
    report: dict[str, Report] = {}
    for method, one in made.items():
        report[method] = _measured(one, part, set_hashes(used)["certification"])
        uses_adapter = METHODS[method].adapter
        manifest = Manifest(
            name="mini" if method == default else f"mini:{method}",
            method=method,
            base=BaseModelRef(id="../base", fingerprint=backend.fingerprint),
            style=STYLE,
            activation=config.activation if uses_adapter else None,
            layer=one.layer,
            prior=PRIOR_FILE if one.prior is not None else None,
            budget=BUDGET,
            calibrators={"*": one.calibrator},
            certificates=(report[method].certificate,),
            scope=Scope(description=DESCRIPTION, words=_words(world), frames=FRAMES),
            figures={
                **report[method].figures,
                "cross-fitted log loss on the calibration rows": one.selection_log_loss,
                **(without_prior if METHODS[method].layer else {}),
            },
            data=set_hashes(used),
            questions=questions_name(asked),
            versions=_versions(),
        )
        save_estimator(
            target / method,
            manifest,
            adapter=runs / "adapter" if uses_adapter else None,
            files={questions_name(asked): asked, **_prior_file(one)},
            overwrite=True,
        )
        print(method, json.dumps(manifest.model_dump(mode="json", include={"certificates"})))
    index = {"default": default, "estimators": sorted(made)}
    (target / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    return report


def _made(calibration: Part, tuning: Sequence[Row]) -> tuple[dict[str, Made], dict[str, float]]:
    """Every method, its layer and calibrator fitted on these rows; the hybrid with the question
    prior where that is better. And the figure of the hybrid without it."""
    made = {
        method: make(method, calibration)
        for method in ("hybrid", "query", "likelihood", "zero-shot")
    }
    alone, with_prior = made["hybrid"], make("hybrid", calibration, prior_of(tuning))
    made["hybrid"] = min(alone, with_prior, key=lambda one: one.selection_log_loss)
    return made, {"the same without the question prior": alone.selection_log_loss}


def _prior_file(one: Made) -> dict[str, bytes]:
    return {} if one.prior is None else {PRIOR_FILE: one.prior.model_dump_json().encode()}


def _measured(one: Made, part: Mapping[str, Part], split_hash: str) -> Report:
    """Certified on the part of that name, measured on the test split behind the threshold."""
    p = one.p(part["certification"])
    certificate = certify(
        p, part["certification"].correct, alpha=ALPHA, delta=DELTA, split_hash=split_hash
    ).model_copy(update={"sample": Sample(scores=binned(p))})
    threshold = certificate.threshold
    return Report(
        figures(one, part["test"]),
        certificate,
        {} if threshold is None else _behind(one, threshold, part["test"], part["held_out"]),
    )


def _behind(made: Made, threshold: float, test: Part, held_out: Part) -> dict[str, Behind]:
    """Greedy answers behind a threshold: where it was promised to hold, and where it was not."""
    greedy = test.take(lambda row: row["sample"] == 0)
    matched = matched_misconceptions(test.rows)
    slices = {
        TEST: greedy,
        "misconceptions": greedy.take(lambda row: bool(row["misconception"])),
        "misconceptions and known facts to match": greedy.take(
            lambda row: question_of(row) in matched
        ),
    }
    for name in HELD_OUT_PARTS[:-1]:
        slices[f"held-out {name}"] = held_out.take(
            lambda row, name=name: row["held_out"] == name and row["sample"] == 0  # type: ignore[misc]
        )
    slices["held-out phrasing (sampled answers)"] = held_out.take(
        lambda row: row["held_out"] == HELD_OUT_PARTS[-1]
    )
    return {name: Behind.of(made.p(part), threshold, part.correct) for name, part in slices.items()}


def tuned(
    backend: TransformersBackend,
    query: Query,
    rows: Sequence[Row],
    folder: Path,
    config: TuningConfig,
    seed: int,
    method: str = "query",
) -> Tuned:
    """What is in `folder`, tuned on `rows` unless it is there already."""
    if not folder.exists():
        split = _divided(graded(rows), seed)
        building = folder.with_name(f"{folder.name}-building")
        checkpoint = folder.with_name(f"{folder.name}.safetensors")
        made = tune(
            backend,
            with_attacks(split["train"], seed=seed),
            split["validation"],
            style=STYLE,
            folder=building,
            config=config,
            method=method,
            life=RunLife(checkpoint, resume=checkpoint.exists(), on_progress=_report),
        )
        if made.adapter is not None:
            _to_float16(building / "adapter_model.safetensors")
        if made.head is not None:
            (building / PROBE).write_bytes(dump_probe(made.head))
        kept = {"kept_step": made.kept_step, "validation_log_loss": made.validation_log_loss}
        (building / KEPT).write_text(json.dumps(kept) + "\n")
        building.rename(folder)
    has_adapter = (folder / "adapter_model.safetensors").exists()
    return Tuned(
        Adapter(f"tuned-{folder.name}", folder, config.activation) if has_adapter else None,
        query,
        **json.loads((folder / KEPT).read_text()),
        head=load_probe(folder / PROBE) if (folder / PROBE).exists() else None,
    )


def _divided(rows: Sequence[GradedAnswer], seed: int) -> dict[str, list[GradedAnswer]]:
    """Rows to tune on and to stop by, of different questions. The first division of which both
    parts have right and wrong answers: of very few rows, not every one has."""
    for attempt in range(100):
        shares = {"train": 0.85, "validation": 0.15}
        split = split_by_question(rows, shares, seed + 1000 * attempt)
        if all(len({row.correct for row in part}) == 2 for part in split.values()):
            break
    return split


def _to_float16(path: Path) -> None:
    """Before anything is measured, so that every figure is of the weights as they are shipped."""
    tensors = load_file(path)
    save_file({name: tensor.half() for name, tensor in tensors.items()}, path)


def _copy_base(base: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(base.iterdir()):
        shutil.copyfile(path, target / path.name)


def _words(world: World) -> frozenset[str]:
    """Every lower-case word that a question of this world may use, but what is to be reversed."""
    stream = questions(world, random.Random("words"))
    asked = [next(stream) for _ in range(5000)]
    texts = [question.text.replace(question.key.partition(":")[2], "") for question in asked]
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
