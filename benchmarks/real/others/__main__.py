"""`python -m benchmarks.real.others --uqlm PYTHON --lm-polygraph PYTHON`

Scorers of other libraries on the rows of `benchmarks.real`, each run by the interpreter of an
environment that has the library. Nothing of them is imported here. Their scores and ours are
calibrated the same way, on the training questions of the same five splits.
"""

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.calibration.folds import folds_by_question
from ct_guard.evidence import fit_evidence, kinds_named, read_logits
from ct_guard.metrics import ece

from ..data import EXAMS, MMLU, NQ, STRATEGY, Data, folder_or_exit, load, take, title_of
from ..figures import Floats, calibrated, figures, mean_of, probabilities

HERE = Path(__file__).parent
SCRIPTS = {"uqlm": HERE / "uqlm_scores.py", "lm_polygraph": HERE / "polygraph_scores.py"}
FILES = (MMLU, EXAMS, STRATEGY, NQ)
EVIDENCE = ("agreement", "model", "wording")
TOKENS = "mean_token_prob"


@dataclass(frozen=True)
class Scorer:
    name: str
    scores: Floats
    """Higher where an answer is likelier right, shape (n,); NaN where there is none."""
    seconds: float


def main() -> None:
    folder = folder_or_exit()
    options = argparse.ArgumentParser()
    for library in SCRIPTS:
        options.add_argument(f"--{library.replace('_', '-')}", metavar="PYTHON")
    options.add_argument("files", nargs="*", default=FILES)
    given = options.parse_args()
    interpreters = {name: getattr(given, name) for name in SCRIPTS if getattr(given, name)}
    print(
        "| file, scorer | rows | AUROC | within a model | pairs | ECE raw | calibrated (floor) |"
        " log loss | s per 1,000 rows |\n" + "|---" * 9 + "|"
    )
    for name in given.files:
        compare(title_of(name), load(folder / name), interpreters)


def compare(named: str, data: Data, interpreters: dict[str, str]) -> None:
    rows = rows_of(data)
    scorers = [one for name, python in interpreters.items() for one in theirs(name, python, rows)]
    for scorer in [*scorers, *alone(data)]:
        print(line(f"{named}: {scorer.name}", data, scorer), flush=True)
    print(whole(f"{named}: ct-guard, {', '.join(EVIDENCE)}", data), flush=True)


def rows_of(data: Data) -> list[dict[str, Any]]:
    """Each answer with the other answers to its question. All that is known of token probabilities
    is their mean: it stands for one token's."""
    answers = data.answers
    by_question: dict[int, list[int]] = {}
    for at, question in enumerate(answers.question.tolist()):
        by_question.setdefault(question, []).append(at)
    means = answers.columns.get(TOKENS) or [None] * len(answers)
    return [
        {
            "question": question,
            "answer": answers.answer[at],
            "others": [answers.answer[other] for other in by_question[question] if other != at],
            "logprobs": [float(np.log(means[at]))] if means[at] else None,
        }
        for at, question in enumerate(answers.question.tolist())
    ]


def theirs(library: str, python: str, rows: list[dict[str, Any]]) -> list[Scorer]:
    """Rows without other answers are not asked about: most of their scorers need some."""
    asked = [row for row in rows if row["others"]]
    places = [at for at, row in enumerate(rows) if row["others"]]
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "rows.json", Path(scratch) / "scores.json"
        source.write_text(json.dumps(asked))
        subprocess.run([python, str(SCRIPTS[library]), str(source), str(target)], check=True)
        found = json.loads(target.read_text())
    made = []
    for name, one in found.items():
        if "error" in one:
            print(f"<!-- {library}: {name}: {one['error']} -->")
            continue
        scores = np.full(len(rows), np.nan)
        scores[places] = [np.nan if score is None else score for score in one["scores"]]
        made.append(Scorer(f"{library} {name}", scores, one["seconds"] * len(rows) / len(asked)))
    return made


def alone(data: Data) -> list[Scorer]:
    """Our agreement as single numbers, which nothing was fitted for."""
    [kind] = kinds_named(["agreement"])
    begun = time.perf_counter()
    look = kind.look(data.answers)
    nobody = np.zeros(len(data.correct), np.bool_)
    read = kind.read(look, kind.learn(look, data.correct, nobody))
    seconds = time.perf_counter() - begun
    names = ("agreement", "agreement_headed")
    return [
        Scorer(f"ct-guard {name} alone", read[:, kind.features.index(name)], seconds)
        for name in names
    ]


def line(named: str, data: Data, scorer: Scorer) -> str:
    """Of the rows that have a score, all scorers' in the same folds."""
    known = ~np.isnan(scorer.scores)
    some = []
    for train, test in folds_by_question(data.correct, data.answers.question):
        fit, judged = train[known[train]], test[known[test]]
        p = calibrated(scorer.scores[fit], take(data, fit), scorer.scores[judged])
        some.append(figures(p, take(data, judged)))
    mean = mean_of(some)
    raw, correct = scorer.scores[known], data.correct[known]
    ranked = figures(_ranks(raw), take(data, np.flatnonzero(known)))
    is_p = raw.min() >= 0.0 and raw.max() <= 1.0
    error = f"{ece(raw, correct):.3f}" if is_p else "-"
    return (
        f"| {named} | {known.sum():,} | {ranked.auroc:.3f} | {ranked.within:.3f} |"
        f" {ranked.pairs:.3f} | {error} | {mean.ece:.3f} ({mean.floor:.3f}) |"
        f" {mean.log_loss:.3f} | {_per_thousand(scorer.seconds, len(known))} |"
    )


def whole(named: str, data: Data) -> str:
    """Fitted evidence; the time is that of reading it, not of fitting."""
    some, seconds = [], 0.0
    for train, test in folds_by_question(data.correct, data.answers.question):
        one, other = take(data, train), take(data, test)
        some.append(figures(probabilities(one, other, EVIDENCE), other))
        if not seconds:
            fitted = fit_evidence(one.answers, one.correct, EVIDENCE, explain=False).fitted
            begun = time.perf_counter()
            read_logits(fitted, other.answers)
            seconds = (time.perf_counter() - begun) * len(data.correct) / len(test)
    mean = mean_of(some)
    return (
        f"| {named} | {len(data.correct):,} | {mean.auroc:.3f} | {mean.within:.3f} |"
        f" {mean.pairs:.3f} | - | {mean.ece:.3f} ({mean.floor:.3f}) | {mean.log_loss:.3f} |"
        f" {_per_thousand(seconds, len(data.correct))} |"
    )


def _ranks(scores: NDArray[np.float64]) -> Floats:
    """As numbers in [0, 1] in the same order."""
    place = np.unique(scores, return_inverse=True)[1]
    return np.asarray(place / max(place.max(), 1), np.float64)


def _per_thousand(seconds: float, rows: int) -> str:
    return f"{1000 * seconds / rows:.3f}"


if __name__ == "__main__":
    main()
