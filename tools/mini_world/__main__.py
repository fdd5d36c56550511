"""Make the embedded model again, in one command: world, base, answers, estimators, GGUF, card.

    python -m tools.mini_world

Every stage leaves its result in the runs folder and is skipped when it is there; a killed training
goes on from its last checkpoint.
"""

import json
from pathlib import Path

import click
import torch

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.export import BASE_FILE, export_base, export_estimator
from ct_guard.store import MINI

from .answers import answer_and_grade
from .card import card
from .estimators import build
from .pretrain import pretrain
from .world import make_world


@click.command(help=__doc__)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/mini"))
@click.option("--target", type=click.Path(path_type=Path), default=MINI, show_default=True)
@click.option(
    "--steps", multiple=True, default=(5500, 4000), show_default=True,
    help="Pre-training steps; each number is a round.",
)  # fmt: skip
@click.option("--scale", default=1.0, show_default=True, help="Share of the questions to ask.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(
    runs: Path, target: Path, steps: tuple[int, ...], scale: float, seed: int, threads: int
) -> None:
    torch.set_num_threads(threads)
    world = make_world(seed)
    base = pretrain(world, runs, steps=steps, seed=seed)
    backend = TransformersBackend.load(base, device="cpu")
    parameters = sum(weight.numel() for weight in backend.model.parameters())
    rows = answer_and_grade(world, backend, runs / "answers", seed=seed, scale=scale)
    reports = build(world, backend, rows, base=base, runs=runs, target=target, seed=seed)
    export_base(target / "base", target / "base" / BASE_FILE, kind="f32", overwrite=True)
    for name in reports:
        if (target / name / "adapter").is_dir():
            export_estimator(target / name, only="adapter", overwrite=True)
        else:
            export_estimator(target / name, only="base")  # is there: its hash joins the manifest
    default = json.loads((target / "index.json").read_text())["default"]
    rounds = " ".join(f"--steps {count}" for count in steps)
    command = f"python -m tools.mini_world {rounds} --seed {seed}"
    (target / "README.md").write_text(card(reports, default, command, parameters))


if __name__ == "__main__":
    main()
