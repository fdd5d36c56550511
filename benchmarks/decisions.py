"""Are promises kept? `python -m benchmarks.decisions`: draws of certification rows from populations
of which the risk of every threshold and cascade is known.

Beside single thresholds stands MAPIE's `BinaryClassificationController` on the same draws, by its
default correction and grid. Writes its table into RESULTS.md; `certify` times certifying.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mapie.risk_control import BinaryClassificationController  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.special import expit, ndtr  # type: ignore[import-untyped]

from benchmarks.tables import between_markers, markdown
from ct_guard import CertifyConfig
from ct_guard import certify as certify_file
from ct_guard.promises import CascadeCertificate, Costs
from ct_guard.risk import LEARN_SHARE, certify, certify_cascade
from ct_guard.store import BaseModelRef, Manifest, save_estimator

__all__ = ["POPULATIONS", "Cell", "Population", "measure"]

Floats = NDArray[np.float64]
ALPHA = DELTA = 0.1
SIZES = (200, 1000, 5000)
ATOMS = 10_000
MODELS = ("weak", "strong")
COSTS = Costs(abstain=10.0, prices=(0.0, 1.0))
"""As `ct-guard certify --cascade` has them where nothing is said."""
RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass(frozen=True)
class Population:
    """Questions, each as likely as the others, with two models' P(correct) and the probability that
    they are right; shapes (ATOMS, 2)."""

    p: Floats
    right: Floats

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
        """P(correct) and labels of n questions. Errors of the two models go together beyond what
        their probabilities say (a normal copula of correlation 0.5)."""
        at = rng.integers(0, len(self.p), n)
        shared = rng.normal(size=(n, 1))
        luck = ndtr(np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=(n, 2)))
        return self.p[at], luck < self.right[at]

    def risk(self, stages: list[tuple[int, float]]) -> tuple[float, float]:
        """The error rate among the answered, and the share that is answered."""
        left = np.ones(len(self.p), dtype=np.bool_)
        answered = errors = 0.0
        for model, threshold in stages:
            passed = left & (self.p[:, model] >= threshold)
            answered += passed.sum()
            errors += (1 - self.right[passed, model]).sum()
            left &= ~passed
        return errors / answered if answered else 0.0, answered / len(self.p)


def smooth() -> Population:
    """Calibrated scores of a shared difficulty."""
    p = _scores()
    return Population(p, p)


def ties() -> Population:
    """The same in five values."""
    p = _scores()
    values = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    return Population(values[np.abs(p[..., None] - values).argmin(axis=-1)], p)


def flat_above() -> Population:
    """Scores that tell nothing, and an error rate just above alpha: whatever is answered breaks the
    promise."""
    p = _scores()
    return Population(p, np.full_like(p, 1 - 1.02 * ALPHA))


def flat_below() -> Population:
    """The same at 0.7 alpha: everything may be answered."""
    p = _scores()
    return Population(p, np.full_like(p, 1 - 0.7 * ALPHA))


POPULATIONS: dict[str, Callable[[], Population]] = {
    "smooth": smooth,
    "ties": ties,
    "flat risk, 1.02 alpha": flat_above,
    "flat risk, 0.7 alpha": flat_below,
}


def _scores() -> Floats:
    rng = np.random.default_rng(7)
    difficulty = rng.normal(0, 1.5, (ATOMS, 1))
    return np.asarray(expit(np.array([0.5, 1.8]) - difficulty + rng.normal(size=(ATOMS, 2))))


@dataclass(frozen=True)
class Cell:
    """Shares of draws, and means over them."""

    draws: int
    violations: float
    """Single threshold, of the strong model."""
    coverage: float
    cascade_violations: float
    cascade_coverage: float
    cascade_calls: float
    """Share of the questions that the strong model is asked."""
    mapie_draws: int
    mapie_violations: float
    mapie_coverage: float
    coverage_beside: float
    """Ours on the draws that MAPIE had."""

    @property
    def most(self) -> float:
        """delta and two standard errors of the draws."""
        return DELTA + 2 * float(np.sqrt(DELTA * (1 - DELTA) / self.draws))


def measure(population: Population, n: int, draws: int, mapie_draws: int, seed: int = 0) -> Cell:
    """Certify as many draws of n rows: the strong model alone, and a cascade of both."""
    rng = np.random.default_rng(seed)
    learn = np.arange(n) < round(n * LEARN_SHARE)
    single, both, calls, theirs = [], [], [], []
    for draw in range(draws):
        p, correct = population.draw(n, rng)
        found = certify(p[:, 1], correct[:, 1], alpha=ALPHA, delta=DELTA)
        single.append(population.risk([] if found.threshold is None else [(1, found.threshold)]))
        cascade = certify_cascade(
            p, correct, learn, models=MODELS, costs=COSTS, alpha=ALPHA, delta=DELTA
        )
        stages = [(MODELS.index(one.model), one.threshold) for one in cascade.stages]
        both.append(population.risk(stages))
        calls.append(_strong_calls(cascade))
        if draw < mapie_draws:
            threshold = _mapie(p[:, 1], correct[:, 1])
            theirs.append(population.risk([] if threshold is None else [(1, threshold)]))
    one, two, other = np.array(single), np.array(both), np.array(theirs).reshape(-1, 2)
    return Cell(
        draws=draws,
        violations=float((one[:, 0] > ALPHA).mean()),
        coverage=float(one[:, 1].mean()),
        cascade_violations=float((two[:, 0] > ALPHA).mean()),
        cascade_coverage=float(two[:, 1].mean()),
        cascade_calls=float(np.mean(calls)),
        mapie_draws=mapie_draws,
        mapie_violations=float((other[:, 0] > ALPHA).mean()) if mapie_draws else np.nan,
        mapie_coverage=float(other[:, 1].mean()) if mapie_draws else np.nan,
        coverage_beside=float(one[:mapie_draws, 1].mean()) if mapie_draws else np.nan,
    )


def _strong_calls(cascade: CascadeCertificate) -> float:
    asked = zip(cascade.stages, cascade.asked, strict=True)
    return sum(calls for one, calls in asked if one.model == MODELS[1]) / cascade.n


def _mapie(p: Floats, correct: NDArray[np.bool_]) -> float | None:
    controller = BinaryClassificationController(
        predict_function=lambda scores: np.column_stack((1 - scores, scores)),
        risk="precision",
        target_level=1 - ALPHA,
        confidence_level=1 - DELTA,
        best_predict_param_choice="predicted_positive_fraction",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of thresholds without a row, and of none that holds
        controller.calibrate(p, correct.astype(int))
    found = controller.best_predict_param
    return None if found is None else float(np.ravel(found)[0])


def simulate(draws: int, mapie_draws: int) -> str:
    rows = []
    populations = {name: make() for name, make in POPULATIONS.items()}
    for n in SIZES:
        for name, population in populations.items():
            cell = measure(population, n, draws, mapie_draws)
            beside = cell.mapie_coverage
            told = f" = {cell.coverage_beside / beside:.2f}" if beside else ": it answers nothing"
            rows.append(
                [
                    name,
                    f"{n:,}",
                    f"{cell.violations:.3f}",
                    f"{cell.cascade_violations:.3f}",
                    f"{cell.most:.3f}",
                    f"{cell.coverage:.3f}",
                    f"{cell.coverage_beside:.3f} / {beside:.3f}{told}",
                    f"{cell.mapie_violations:.3f}",
                    f"{cell.cascade_coverage:.3f}",
                    f"{cell.cascade_calls:.3f}",
                ]
            )
            print(" | ".join(rows[-1]), flush=True)
    columns = [
        "population", "n", "violations: threshold", "cascade", "at most", "coverage",
        f"coverage / MAPIE's, {mapie_draws:,} draws", "violations of MAPIE",
        "coverage of the cascade", "its calls of the strong model",
    ]  # fmt: skip
    return markdown(columns, rows)


def timing(rows: int, repeats: int) -> str:
    """Seconds for certifying so many rows: the columns, and a scored file into an estimator."""
    p, correct = smooth().draw(rows, np.random.default_rng(0))
    columns = [_seconds(lambda: certify(p[:, 1], correct[:, 1])) for _ in range(repeats)]
    learn = np.arange(rows) < rows * LEARN_SHARE
    cascades = [
        _seconds(lambda: certify_cascade(p, correct, learn, models=MODELS, costs=COSTS))
        for _ in range(repeats)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folder, source = Path(scratch, "estimator"), Path(scratch, "scored.jsonl")
        manifest = Manifest(name="tiny", method="likelihood", base=BaseModelRef(id="base"))
        save_estimator(folder, manifest)
        logits = np.log(p[:, 1] / (1 - p[:, 1])).tolist()
        pairs = zip(logits, correct[:, 1].tolist(), strict=True)
        with source.open("w") as out:
            for number, (logit, right) in enumerate(pairs):
                row = {"question": f"{number}?", "answer": "a", "logit": logit, "correct": right}
                out.write(json.dumps(row | {"status": "ok", "estimator": "tiny"}) + "\n")
        config = CertifyConfig(estimator=folder)
        files = [_seconds(lambda: certify_file(source, config)) for _ in range(repeats)]
    return markdown(
        [f"{rows:,} rows", f"seconds of a processor, best of {repeats}"],
        [
            ["`risk.certify`: the columns", f"{min(columns):.3f}"],
            ["`risk.certify_cascade`: two models' columns", f"{min(cascades):.3f}"],
            ["`certify`: read a scored file, certify, write the estimator", f"{min(files):.2f}"],
        ],
    )


def _seconds(call: Callable[[], object]) -> float:
    """Of processor time: all of it is computing, and other work may run beside it."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["promises", "timing"])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--mapie-draws", type=int, default=300)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    given = parser.parse_args()
    if given.part == "promises":
        title = f"`python -m benchmarks.decisions promises --draws {given.draws}`"
        table = simulate(given.draws, given.mapie_draws)
    else:
        title = f"`python -m benchmarks.decisions timing --rows {given.rows}`"
        table = timing(given.rows, given.repeats)
    print(table)
    if given.write:
        between_markers(RESULTS, f"decisions-{given.part}", f"{title}:\n\n{table}")


if __name__ == "__main__":
    main()
