"""Decision models on the embedded world: are choices right, do their probabilities hold, and what
does a choice cost?

    python -m benchmarks.decision_models [--write]

`mini` chooses a person's job among all jobs (and so with every relation), which it has learnt for
some and not for others; the question is the same for all people, so that it can be calibrated. It
is fitted on people of the splits calibration and certification; figures are of the test split. With
`--write` the tables replace those in benchmarks/RESULTS.md.
"""

import random
import statistics
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from benchmarks.tables import between_markers, markdown
from ct_guard import Estimator, load_estimator
from ct_guard.decisions import (
    Choice,
    Enquiry,
    GradedDecision,
    deciding,
    fit_decisions,
    judge,
)
from ct_guard.metrics import ece
from tools.mini_world.questions import split_of
from tools.mini_world.world import HELD_OUT_RELATION, RELATIONS, World, make_world

FITTED_ON = ("calibration", "certification")
RESULTS = Path(__file__).parent / "RESULTS.md"
MOST = 300
"""People of a relation that are fitted on, and that are tested on."""


def choice_of(relation: str) -> Choice:
    """The state asks, so that the question is the same for everybody."""
    return Choice(instructions="", criteria=dict.fromkeys(sorted(set(RELATIONS[relation][1]))))


def rows_of(world: World, relation: str, splits: tuple[str, ...]) -> list[GradedDecision]:
    rng = random.Random(f"decisions-{relation}-{splits}")
    facts = [fact for fact in world.by_kind[relation] if split_of(fact.person) in splits]
    return [
        GradedDecision(
            where=fact.person,
            name=relation,
            state=fact.question(rng).text,
            question=choice_of(relation),
            label=fact.gold,
            scores=None,
            by="mini",
        )
        for fact in rng.sample(facts, min(MOST, len(facts)))
    ]


def scored(estimator: Estimator, rows: list[GradedDecision]) -> list[dict[str, float]]:
    """Raw scores by label of each row."""
    made = []
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        enquiries = [Enquiry.about(row.state, {row.name: row.question}) for row in part]
        confidences = estimator.score([item for one in enquiries for item in one.items])
        size = len(enquiries[0].items)
        for at, (row, enquiry) in enumerate(zip(part, enquiries, strict=True)):
            own = confidences[at * size : (at + 1) * size]
            made.append(enquiry.judged(own)[row.name].scores)
    return made


def figures(estimator: Estimator, world: World, relation: str) -> list[str]:
    """One row of the table."""
    fitted_on, test = (
        [replace(row, scores=one) for row, one in zip(rows, scored(estimator, rows), strict=True)]
        for rows in (rows_of(world, relation, FITTED_ON), rows_of(world, relation, ("test",)))
    )
    (calibrator,) = fit_decisions(fitted_on, by="mini").calibration.calibrators
    plain = calibrator.model_copy(
        update={"slope": 1.0, "offsets": dict.fromkeys(calibrator.offsets, 0.0)}
    )
    cells = [relation, str(len(calibrator.offsets)), f"{len(fitted_on)} / {len(test)}"]
    for one in (plain, calibrator):
        made = [one.probabilities(row.scores or {}) for row in test]
        said = np.array([max(p.values()) for p in made])
        right = np.array(
            [max(p, key=p.__getitem__) == row.label for p, row in zip(made, test, strict=True)]
        )
        loss = -np.mean(
            [np.log(max(p[row.label], 1e-12)) for p, row in zip(made, test, strict=True)]
        )
        cells += [f"{right.mean():.3f}", f"{loss:.3f}", f"{ece(said, right):.3f}"]
    return cells


def cost(estimator: Estimator) -> list[list[str]]:
    """Milliseconds of a choice of so many labels over a state of so many words, in turn with one
    answer to the same."""
    rows = []
    for words in (10, 200):
        state = " ".join(["What is 7 plus 5?"] * (words // 5))
        for labels in (2, 5, 24):
            five = {"q": Choice(instructions="", criteria=dict.fromkeys(map(str, range(labels))))}
            one = list(Enquiry.about(state, five).items[:1])
            took: dict[str, list[float]] = {"one": [], "all": []}
            for _ in range(15):
                start = time.perf_counter()
                estimator.score(one)
                middle = time.perf_counter()
                judge(estimator, state, five)
                took["one"].append(middle - start)
                took["all"].append(time.perf_counter() - middle)
            single, whole = (1000 * statistics.median(took[name]) for name in ("one", "all"))
            rows.append(
                [str(words), str(labels), f"{single:.1f}", f"{whole:.1f}", f"{whole / single:.2f}"]
            )
    return rows


@click.command()
@click.option("--write", is_flag=True, help="Replace the tables in benchmarks/RESULTS.md.")
def main(write: bool) -> None:
    estimator, world = deciding(load_estimator("mini")), make_world()
    relations = [relation for relation in RELATIONS if relation != HELD_OUT_RELATION]
    right = markdown(
        [
            "choice of", "labels", "people fitted on / tested", "right", "log loss", "ECE",
            "right, calibrated", "log loss", "ECE",
        ],
        [figures(estimator, world, relation) for relation in relations],
    )  # fmt: skip
    columns = ["words of the state", "labels", "one answer, ms", "all labels, ms", "ratio"]
    text = f"{right}\n{markdown(columns, cost(estimator))}"
    click.echo(text)
    if write:
        between_markers(RESULTS, "decision-models", text)


if __name__ == "__main__":
    main()
