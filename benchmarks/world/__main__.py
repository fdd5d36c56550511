"""The miniature world as a bench: does an estimator judge the answer, or only the question?

    python -m benchmarks.world [--runs runs/bench-world] [--seeds 5] [--jobs 2]

The embedded base answers its world's questions again (every random draw is seeded), every estimator
is tuned and calibrated on the tuning and calibration splits, and all are measured on the same rows
of the test split. The tables replace those between the markers in benchmarks/RESULTS.md; every
figure of every slice is in benchmarks/world/figures.csv.

Stages leave their results in the runs folder; what is there is not done again.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.tables import between_markers, markdown
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.metrics import ece_noise_floor, pair_accuracy
from ct_guard.store import MINI
from tools.mini_world.answers import (
    HELD_OUT_PARTS,
    Row,
    answer_and_grade,
    matched_misconceptions,
    question_of,
)
from tools.mini_world.world import make_world

from .asking import ask_all
from .attempts import (
    ATTEMPTS,
    CURVE,
    EVERYWHERE,
    LORA_PROBE,
    ORDERS,
    PROBE,
    QUERY,
    SAMPLES,
    WITHOUT_KL,
    Attempt,
)
from .columns import (
    Column,
    Columns,
    Rows,
    answered_by_prior,
    baselines,
    measure_rows,
    of_hybrid,
    of_hybrid_without_prior,
    of_query,
    through,
    verbalized,
)
from .promise import promise
from .report import (
    METRICS,
    Found,
    Slice,
    compare,
    main_table,
    measure_all,
    over_seeds,
    slice_table,
    write_csv,
)

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
OTHERS = (SAMPLES, ORDERS, PROBE, EVERYWHERE, WITHOUT_KL, LORA_PROBE, *CURVE)


@click.command(help=__doc__)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/bench-world"))
@click.option("--base", type=click.Path(path_type=Path), default=MINI / "base", show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option("--seeds", default=5, show_default=True, help="Of the committed query and hybrid.")
@click.option("--other-seeds", default=5, show_default=True, help="Of everything else.")
@click.option("--scale", default=1.0, show_default=True, help="Share of the questions to ask.")
@click.option("--jobs", default=2, show_default=True, help="Processes of one thread each.")
def main(
    runs: Path,
    base: Path,
    results: Path,
    seeds: int,
    other_seeds: int,
    scale: float,
    jobs: int,
) -> None:
    torch.set_num_threads(jobs)
    backend = TransformersBackend.load(base, device="cpu")
    graded = answer_and_grade(make_world(), backend, runs / "answers", seed=0, scale=scale)
    ways = [(way, 0) for way in dict.fromkeys((QUERY, *ATTEMPTS, *OTHERS))]
    ways += [(QUERY, seed) for seed in range(1, seeds)]
    ways += [(way, seed) for seed in range(1, other_seeds) for way in OTHERS]
    ask_all(base, runs, ways, jobs)
    rows = measure_rows(backend, graded)
    asked = {(way.slug, seed): through(rows, way, runs, seed) for way, seed in ways}

    columns = _columns(rows, asked)
    everything = Slice.of("all answers", 0, rows.test.rows, lambda row: True)
    slices = _slices(everything, rows)
    found = measure_all(columns, slices, jobs)
    write_csv(results.with_name("world") / "figures.csv", found)
    text = "\n".join(
        [
            "## The miniature world",
            f"`make bench-world` (`python -m benchmarks.world --seeds {seeds} --other-seeds"
            f" {other_seeds} --scale {scale:g}`;"
            " every figure of every slice with its interval: `world/figures.csv`).",
            "",
            _about(rows, columns, slices),
            "",
            verbalized(backend, rows),
            "Sampling (5): the share of the question's other four answers in this file, one greedy"
            " and the rest sampled from the base model, that have the same content.",
            "",
            *_tables(found, columns, slices),
            *promise(columns["hybrid"], rows),
            *_seeds(asked, everything),
            *_attempts(asked, everything),
        ]
    )
    between_markers(results, "bench-world", text)
    click.echo(text)


def _columns(rows: Rows, asked: dict[tuple[str, int], Rows]) -> Columns:
    """Each estimator's P(correct), by its name in the tables."""
    columns = baselines(rows, answered_by_prior(rows))
    columns["probe"] = of_query(asked[PROBE.slug, 0])
    columns["lora_probe"] = of_query(asked[LORA_PROBE.slug, 0])
    columns["tuned query, `all`, 400 steps"] = of_query(asked[EVERYWHERE.slug, 0])
    columns["tuned query, `query`, 400 steps"] = of_query(asked[SAMPLES.slug, 0])
    columns["tuned query, both label orders, 400 steps"] = of_query(asked[ORDERS.slug, 0])
    columns["tuned query, `query`"] = of_query(asked[QUERY.slug, 0])
    columns["hybrid"] = of_hybrid(asked[QUERY.slug, 0])
    columns["hybrid, no prior"] = of_hybrid_without_prior(asked[QUERY.slug, 0])
    return columns


def _about(rows: Rows, columns: Columns, slices: Sequence[Slice]) -> str:
    """What the figures are of."""
    everything, matched = slices[0], slices[2]
    pairs = pair_accuracy(np.zeros(len(everything.rows)), everything.correct, everything.question)
    return (
        f"Test: {len(everything.rows):,} answers (greedy and four sampled ones) to"
        f" {len(set(everything.question.tolist())):,} questions,"
        f" {everything.correct.mean():.0%} right; {pairs.questions:,} questions have a right"
        " and a wrong answer; misconceptions + matched facts:"
        f" {len(set(matched.question.tolist())):,} questions."
        f" Tuning: {len(rows.tuning):,} answers. Intervals: 95%, bootstrap over questions. A"
        " perfectly calibrated estimator with the hybrid's P(correct) would show an ECE of"
        f" {ece_noise_floor(columns['hybrid'][0]):.3f} here."
    )


def _tables(found: Found, columns: Columns, slices: Sequence[Slice]) -> list[str]:
    everything, greedy, matched = slices[:3]
    names = list(columns)
    lines = [
        "All answers, tuning seed 0:",
        "",
        main_table(found, everything.name, names),
        "Greedy answers alone:",
        "",
        main_table(found, greedy.name, names),
    ]
    for metric in ("AUROC", "pairs"):
        lines += [
            f"{metric} by slice:",
            "",
            slice_table(found, slices, names, metric, columns["hybrid"]),
        ]
    differences = _differences(columns, everything, greedy, matched)
    return [*lines, "Paired differences:", "", markdown(["difference", "value"], differences)]


def _slices(everything: Slice, rows: Rows) -> list[Slice]:
    test = everything.rows
    matched = matched_misconceptions(test)
    return [
        everything,
        Slice.of("greedy answers", 0, test, lambda row: row["sample"] == 0),
        Slice.of(
            "misconceptions + matched facts", 0, test, lambda row: question_of(row) in matched
        ),
        *(_where("kind", kind, 0, test) for kind in sorted({row["kind"] for row in test})),
        *(_where("held_out", part, 1, rows.held_out.rows) for part in HELD_OUT_PARTS),
    ]


def _where(field: str, value: str, part: int, rows: Sequence[Row]) -> Slice:
    name = f"held-out {value}" if field == "held_out" else value
    return Slice.of(name, part, rows, lambda row: row[field] == value)


def _differences(
    columns: Columns, everything: Slice, greedy: Slice, matched: Slice
) -> list[list[str]]:
    """What the committed estimator must show against others on the same rows."""
    hybrid, likelihood = columns["hybrid"], columns["likelihood"]
    query, plain = columns["tuned query, `query`"], columns["zero-shot query"]

    either = columns["prior + likelihood"]
    return [
        compare("log loss: hybrid - (prior + likelihood)", "log loss", hybrid, either, everything),
        compare(
            "log loss: hybrid - (hybrid, no prior)",
            "log loss",
            hybrid,
            columns["hybrid, no prior"],
            everything,
        ),
        compare(
            "log loss: hybrid - hybrid of the prior",
            "log loss",
            hybrid,
            columns["hybrid of the prior"],
            everything,
        ),
        compare(
            "log loss: (hybrid, no prior) - (prior + likelihood)",
            "log loss",
            columns["hybrid, no prior"],
            either,
            everything,
        ),
        compare(
            "log loss: (hybrid, no prior) - hybrid of the prior",
            "log loss",
            columns["hybrid, no prior"],
            columns["hybrid of the prior"],
            everything,
        ),
        compare(
            "within kinds, greedy: hybrid - likelihood", "within kinds", hybrid, likelihood, greedy
        ),
        compare("pairs: hybrid - likelihood", "pairs", hybrid, likelihood, everything),
        compare(
            "AUROC, misconceptions + matched: hybrid - likelihood",
            "AUROC",
            hybrid,
            likelihood,
            matched,
        ),
        compare("AUROC: tuned query - zero-shot query", "AUROC", query, plain, everything),
        compare(
            "within kinds: tuned query - zero-shot query", "within kinds", query, plain, everything
        ),
    ]


def _seeds(asked: dict[tuple[str, int], Rows], everything: Slice) -> list[str]:
    """Each way over its tuning seeds, on all answers."""

    def over(name: str, way: Attempt, column: Callable[[Rows], Column]) -> list[str]:
        columns = [column(rows) for (slug, _), rows in asked.items() if slug == way.slug]
        return [name, str(len(columns)), *over_seeds(columns, everything)]

    ways = [
        over("hybrid", QUERY, of_hybrid),
        over("hybrid, no prior", QUERY, of_hybrid_without_prior),
        over("tuned query, `query`", QUERY, of_query),
        over("tuned query, `query`, 400 steps", SAMPLES, of_query),
        over("tuned query, both label orders, 400 steps", ORDERS, of_query),
        over("tuned query, `all`, 400 steps", EVERYWHERE, of_query),
        over("tuned query, `all`, 400 steps, no KL", WITHOUT_KL, of_query),
        over("probe", PROBE, of_query),
        over("lora_probe", LORA_PROBE, of_query),
    ]
    curve = [over(way.what, way, of_query) for way in CURVE]
    curve += [over(f"hybrid, {way.what}", way, of_hybrid) for way in CURVE]
    return [
        "All answers, over tuning seeds: mean (lowest to highest).",
        "",
        markdown(["estimator", "seeds", *METRICS], ways),
        "How many graded rows the tuned query (`query`) and the hybrid's question prior need;"
        " calibrator and layer are fitted on the whole calibration split:",
        "",
        markdown(["tuned on", "seeds", *METRICS], curve),
    ]


def _attempts(asked: dict[tuple[str, int], Rows], everything: Slice) -> list[str]:
    table = []
    for way in ATTEMPTS:
        rows = asked[way.slug, 0]
        of_pairs = over_seeds([of_hybrid(rows)], everything)[list(METRICS).index("pairs")]
        table.append([way.what, *over_seeds([of_query(rows)], everything), of_pairs])
    return [
        "Attempts at a query that sees the answer, tuning seed 0:",
        "",
        markdown(["tuning", *METRICS, "pairs of its hybrid"], table),
    ]


if __name__ == "__main__":
    main()
