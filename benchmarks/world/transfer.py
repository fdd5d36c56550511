"""Does an estimator judge the answers of a model that it has never seen?

    python -m benchmarks.world.transfer [--runs runs/bench-world]

After `python -m benchmarks.world`: a second base, smaller, with a tokenizer, a training text and
knowledge of its own, is trained once and answers questions of the world. The estimators of the
embedded base, tuned and calibrated on the embedded base's own answers, judge these answers. Beside
them: the second model's own likelihood, and the same estimators calibrated on its answers.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import torch

from benchmarks.tables import between_markers
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import build_query
from ct_guard.store import MINI
from tools.mini_world.answers import Row, answer_and_grade, read_answers, split_rows
from tools.mini_world.estimators import tuned
from tools.mini_world.measure import STYLE, Part, make, measure, prior_of, tuned_labels
from tools.mini_world.pretrain import Size, pretrain
from tools.mini_world.world import make_world

from .asking import folder_of
from .attempts import QUERY
from .columns import Floats
from .report import Slice, main_table, measure_all

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
SEED = 1


@click.command(help=__doc__)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/bench-world"))
@click.option("--base", type=click.Path(path_type=Path), default=MINI / "base", show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option("--steps", default=1500, show_default=True, help="Of the second base's training.")
@click.option("--scale", default=0.3, show_default=True, help="Share of the questions to ask it.")
@click.option("--threads", default=2, show_default=True)
def main(runs: Path, base: Path, results: Path, steps: int, scale: float, threads: int) -> None:
    torch.set_num_threads(threads)
    world = make_world()
    where = pretrain(world, runs / "second", steps=(steps,), seed=SEED, size=Size(layers=4))
    second = TransformersBackend.load(where, device="cpu")
    answers = answer_and_grade(world, second, runs / "second" / "answers", seed=SEED, scale=scale)
    own = {
        part: measure(second, rows, build_query(STYLE, second.encoder))
        for part, rows in _parts(answers)
    }

    backend = TransformersBackend.load(base, device="cpu")
    query = build_query(STYLE, backend.encoder)
    folder = folder_of(runs, QUERY, 0)
    adapter = tuned(backend, query, (), folder, QUERY.config, 0)

    def read(rows: list[Row]) -> Part:
        part = measure(backend, rows, query)
        return part.with_labels(tuned_labels(backend, rows, query, adapter))

    foreign = {part: read(rows) for part, rows in _parts(answers)}
    embedded = read_answers(runs / "answers")
    prior = prior_of(split_rows(embedded, "tuning"))
    at_home = read(split_rows(embedded, "calibration"))

    def judged(method: str, calibration: Part, test: Part) -> Floats:
        return make(method, calibration, prior).p(test)

    test = foreign["test"]
    found = {
        "its own likelihood": judged("likelihood", own["calibration"], own["test"]),
        **{
            f"{method}, as tuned and calibrated": judged(method, at_home, test)
            for method in ("likelihood", "query", "hybrid")
        },
        **{
            f"{method}, calibrated on its answers": judged(method, foreign["calibration"], test)
            for method in ("likelihood", "query", "hybrid")
        },
    }
    parameters = sum(weight.numel() for weight in second.model.parameters())
    part = Slice.of("test", 0, test.rows, lambda row: True)
    columns = {name: (p, p) for name, p in found.items()}
    table = main_table(measure_all(columns, [part], jobs=threads), part.name, list(columns))
    text = "\n".join(
        [
            "## Answers that another model wrote",
            f"`python -m benchmarks.world.transfer --steps {steps} --scale {scale:g}`: a second"
            f" base ({parameters / 1e6:.2f} million parameters,"
            f" 4 layers, a tokenizer of its own, {steps:,} steps) gave {len(test.rows):,} answers,"
            f" {part.correct.mean():.0%} of them right; the embedded base reads and judges them."
            " Intervals: 95%, bootstrap over questions.",
            "",
            table,
        ]
    )
    between_markers(results, "transfer", text)
    click.echo(text)


def _parts(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(part, split_rows(rows, part)) for part in ("calibration", "test")]


if __name__ == "__main__":
    main()
