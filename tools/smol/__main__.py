"""Make the estimator `smol` again from a folder of real graded answers, and measure it.

    python -m tools.smol DATA

Tuned, exported and scored by the commands that everybody has (`ct-guard tune`, `ct-guard score`),
over the base `smol`. DATA holds the sets that `tools/smol/parts.py` names; 2,520 rows are read to
make it, 1,200 to measure it, on other questions. About an hour on 2 cores, most of it reading.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from .baselines import likelihood_and_probe
from .card import card, figures_of
from .parts import Row, parts_of_sets

TARGET = Path("ct_guard/smol")
SETTINGS = (
    "--base", "smol", "--method", "hybrid", "--targets", "q_proj,v_proj,down_proj", "--rank", "4",
    "--calibrator", "platt",
)  # fmt: skip
"""Of `ct-guard tune`: rank and layers keep the package small."""


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/smol"))
@click.option("--target", type=click.Path(path_type=Path), default=TARGET, show_default=True)
@click.option("--steps", default=1, show_default=True)
@click.option("--learning-rate", default=1e-4, show_default=True)
def main(data: Path, runs: Path, target: Path, steps: int, learning_rate: float) -> None:
    runs.mkdir(parents=True, exist_ok=True)
    parts = parts_of_sets(data)
    files = {name: runs / f"{name}.jsonl" for name in parts}
    for name, rows in parts.items():
        write_rows(files[name], rows)
    made = runs / "smol"
    settings = (*SETTINGS, "--steps", str(steps), "--learning-rate", str(learning_rate))
    given = [
        option
        for name in ("validation", "layer", "calibration")
        for option in (f"--{name}", str(files[name]))
    ]
    if not made.exists():
        again = "--resume" if (runs / "smol.run").exists() else "--overwrite"
        where = ("--evaluate-every", "20", "-o", str(made), again)
        run("tune", str(files["tuning"]), *given, *settings, *where)
    scores = {
        "smol": scored(files["test"], made, runs / "scored.transformers.jsonl", "transformers"),
        "smol, llama.cpp": scored(
            files["test"], made, runs / "scored.llama_cpp.jsonl", "llama_cpp"
        ),
    }
    scores |= likelihood_and_probe(parts, runs / "baselines.npz")
    figures = figures_of(parts["test"], scores)
    (runs / "figures.json").write_text(json.dumps(figures, indent=1))
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(made, target)
    manifest = json.loads((target / "manifest.json").read_text())
    command = f"python -m tools.smol DATA --steps {steps} --learning-rate {learning_rate:g}"
    (target / "README.md").write_text(card(parts, figures, manifest, command))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def scored(rows: Path, estimator: Path, output: Path, backend: str) -> list[float | None]:
    """P(correct) of every row, None where it was not scored."""
    if not output.exists():
        run("score", str(rows), "-e", str(estimator), "--backend", backend, "-o", str(output))
    return [json.loads(line)["confidence"] for line in output.read_text().splitlines()]


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ct_guard", *arguments], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
