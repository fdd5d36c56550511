"""An estimator for the fields of records: tuned, calibrated by path, and measured on other people.

    python -m tools.mini_world.fields OUT [--share 1] [--records 8] [--steps 1500] [--dropout 0]

OUT gets the records of each part (no person is in two), the estimator `mini-fields` over the
embedded base, its records of the test part scored, and their figures.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import torch

from ct_guard import (
    CalibrateConfig,
    EvaluateConfig,
    ScoreConfig,
    TuneConfig,
    calibrate,
    score,
    tune,
)
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.store import MINI
from ct_guard.workflows.fielding import evaluate_fields

from .records import Record, Said, ask_people, copied_record, known_record
from .world import make_world

SHARES = {"tuning": 0.55, "validation": 0.1, "calibration": 0.2, "test": 0.15}
"""Of the people, and of the records that are copied from passages about nobody of the world."""
RECORDS = 4
"""About each person, of other questions or with other values."""
TUNING = TuneConfig(
    base="mini", recipe="small", fields=True, twins=0.0, evaluate_every=100, cache_gb=1.0
)


def records_by_part(
    people: Sequence[Said], seed: int, learnt: int = RECORDS
) -> dict[str, list[Record]]:
    """Known and copied records in like numbers, of other people in each part; `learnt` about each
    person to tune on."""
    rng = random.Random(f"fields-{seed}")
    order = sorted(people, key=lambda said: said.person)
    rng.shuffle(order)
    parts: dict[str, list[Record]] = {}
    start = 0.0
    for name, share in SHARES.items():
        first, last = (round(at * len(order)) for at in (start, start + share))
        start += share
        each = learnt if name == "tuning" else RECORDS
        known = [known_record(said, rng) for said in order[first:last] for _ in range(each)]
        parts[name] = known + [copied_record(rng) for _ in known]
    return parts


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--share", default=1.0, show_default=True, help="Of the world's people.")
@click.option("--records", default=2 * RECORDS, show_default=True, help="Of a person to tune on.")
@click.option("--steps", default=1500, show_default=True)
@click.option("--dropout", default=0.0, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(
    out: Path, share: float, records: int, steps: int, dropout: float, seed: int, threads: int
) -> None:
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    people = asked_once(out / "said.json", share, seed)
    for name, rows in records_by_part(people, seed, records).items():
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    estimator = make(out, replace(TUNING, steps=steps, dropout=dropout, seed=seed))
    for kind in ("known", "copied"):
        figures, _ = evaluate_fields(
            out / "test.scored.jsonl", EvaluateConfig(where={"kind": kind}, estimator=estimator)
        )
        click.echo(f"{kind}: {figures}")


def asked_once(kept: Path, share: float, seed: int) -> list[Said]:
    """What the base says of people: asked once, and kept."""
    if not kept.exists():
        backend = TransformersBackend.load(MINI / "base", device="cpu")
        people = ask_people(make_world(0), backend, seed, share)
        kept.write_text(json.dumps([vars(said) for said in people]))
    return [Said(**one) for one in json.loads(kept.read_text())]


def make(out: Path, config: TuneConfig) -> Path:
    """Tuned; then calibrated by path on what it says of the calibration part; the test part is
    scored by it."""
    tuned, target = out / "tuned", out / "mini-fields"
    if not tuned.exists():
        tune(
            out / "tuning.jsonl",
            tuned,
            replace(
                config,
                validation=out / "validation.jsonl",
                calibration=out / "calibration.jsonl",
                resume=(out / "tuned.run" / "checkpoint.safetensors").exists(),
            ),
        )
    asked = ScoreConfig(estimator=tuned, fields=(), device="cpu", overwrite=True)
    for part in ("calibration", "test"):
        score(out / f"{part}.jsonl", out / f"{part}.scored.jsonl", asked)
    calibrate(
        out / "calibration.scored.jsonl",
        target,
        CalibrateConfig(estimator=tuned, fields=True, overwrite=True),
    )
    return target


if __name__ == "__main__":
    main()
