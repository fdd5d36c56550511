"""`python -m benchmarks.real.decisions SCORES.jsonl`: a decision model over a real base, on real
questions. Raw, after `calibrate --decisions`, and as anybody's model inside
`CalibratedDecisionModel`; five splits by question. Then what several questions about one text cost.

Rows are drawn from the files that `CT_GUARD_REAL_DATA` names the folder of; questions that the
estimator has been tuned or calibrated on are left out. What the estimator reads is written to
SCORES.jsonl, a file of graded decisions; rows that stand there already are not read again.
"""

import gzip
import json
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from langchain_core.decisions import BaseDecisionModel, ClassifierResponse
from scipy.special import softmax  # type: ignore[import-untyped]

from benchmarks.fresh import fresh_for
from benchmarks.tables import markdown
from ct_guard import load_estimator
from ct_guard.calibration.folds import folds_by_question
from ct_guard.decisions import (
    ANY,
    YES,
    Choice,
    DecisionCalibrator,
    Enquiry,
    GradedDecision,
    Judgement,
    Noul,
    as_answer,
    as_scores,
    deciding,
    fit_decisions,
    labels_of,
    read_decisions,
    row_of,
)
from ct_guard.decisions.rows import LEAST_P
from ct_guard.estimators import Estimator
from ct_guard.metrics import auroc, ece, ece_noise_floor
from ct_guard.records import QuestionAnswer
from ct_guard_langchain import CalibratedDecisionModel
from ct_guard_langchain.decisions.wire import probabilities_in

from .data import NQ, folder_or_exit

PLAIN = "questions_plain.jsonl.gz"
ALPHA = 0.2
"""Of certificates: decided on before any row was read, as the base is small."""
TOGETHER = 16
LENGTH = 1_200
"""Characters of the text that several questions are about."""
ABOUT = ("fever", "pain", "a drug", "a child", "a wound", "an infection", "blood", "a family")

RIGHT = Noul(instructions="Is this answer to the question right?")
SO = Noul(instructions="Is the answer to this question yes?")
LETTERS = ("(a)", "(b)", "(c)", "(d)")
WHICH = Choice(instructions="Which of the choices is right?", criteria=dict.fromkeys(LETTERS))

Asked = tuple[str, Any, Noul | Choice, str]
"""A question, the state, what is decided, and the right label."""


def answers_to_judge(folder: Path) -> Iterator[Asked]:
    """Answers of five systems to questions that people asked, graded by people."""
    for row in _rows(folder / NQ):
        state = {"question": row["question"], "answer": row["answer"]}
        yield row["question"], state, RIGHT, "yes" if row["correct"] else "no"


def questions_to_answer(folder: Path) -> Iterator[Asked]:
    """Questions of common sense, to be answered with yes or no."""
    for row in _rows(folder / PLAIN):
        if row["source"] == "StrategyQA":
            yield row["question"], row["question"], SO, row["gold"][0].lower()


def exams(folder: Path) -> Iterator[Asked]:
    """Exams in medicine with four choices."""
    for row in _rows(folder / PLAIN):
        if row["kind"] == "choice" and len(re.findall(r"\n  \([a-z]\):", row["question"])) == 4:
            yield row["question"], row["question"], WHICH, row["gold"][0][:3]


TASKS = {
    "is this answer right? (NQ)": answers_to_judge,
    "yes or no? (StrategyQA)": questions_to_answer,
    "which of four? (medical exams)": exams,
}


def drawn(estimator: Estimator, folder: Path, rows: int) -> list[GradedDecision]:
    """So many rows of each task, one a question, of questions that the estimator has not seen."""
    fresh, found = fresh_for(estimator), []
    for name, task in TASKS.items():
        by_question: dict[str, list[Asked]] = {}
        for one in task(folder):
            key = QuestionAnswer(question=one[0], answer="").question_key()
            if fresh(key):
                by_question.setdefault(key, []).append(one)
        dice = random.Random(0)
        for key in dice.sample(sorted(by_question), min(rows, len(by_question))):
            _, state, question, label = dice.choice(by_question[key])
            found.append(GradedDecision("", name, state, question, label, None, None))
    return found


def read(estimator: Estimator, rows: Sequence[GradedDecision], path: Path) -> list[GradedDecision]:
    """The rows with their scores, in the file as well."""
    known: dict[tuple[str, str], GradedDecision] = {}
    if path.exists():
        known = {(one.name, one.state_key): one for one in read_decisions(path)[0]}
    by, start, done = estimator.manifest.scorer, time.perf_counter(), 0
    missing = [row for row in rows if (row.name, row.state_key) not in known]
    for at in range(0, len(missing), TOGETHER):
        part = missing[at : at + TOGETHER]
        asked = [Enquiry.about(row.state, {row.name: row.question}) for row in part]
        rest = iter(estimator.score([item for one in asked for item in one.items]))
        with path.open("a") as file:
            for row, one in zip(part, asked, strict=True):
                judged = one.judged([next(rest) for _ in one.items])[row.name]
                made = replace(row, scores=judged.scores, by=by)
                known[row.name, row.state_key] = made
                file.write(json.dumps(_as_line(made)) + "\n")
        done += len(part)
        seconds = time.perf_counter() - start
        click.echo(f"{done:,} of {len(missing):,} rows, {seconds / done:.2f} s a row", err=True)
    return [known[row.name, row.state_key] for row in rows]


class Replayed(BaseDecisionModel):
    """The raw decision model, as it answered before."""

    model: str
    rows: dict[str, GradedDecision]

    @property
    def _provider(self) -> str:
        return "benchmark"

    def _classify(self, state: Any, questions: Any) -> ClassifierResponse:
        row = self.rows[json.dumps(state, sort_keys=True)]
        judged = Judgement(probabilities=raw(row), scores=row.scores or {})
        answers = {"it": as_answer(row.question, judged)}
        return ClassifierResponse.model_validate({"model": self.model, "answers": answers})


def raw(row: GradedDecision) -> dict[str, float]:
    """What the decision model says before anything is calibrated, by label."""
    made = softmax(np.array(list((row.scores or {}).values())))
    return dict(zip(row.scores or {}, made.tolist(), strict=True))


def wrapped(
    train: Sequence[GradedDecision], test: Sequence[GradedDecision]
) -> list[dict[str, float]]:
    """By `CalibratedDecisionModel` around the raw one, of which it sees probabilities alone."""
    seen = [replace(row, scores=as_scores(raw(row)), by="raw") for row in train]
    model = CalibratedDecisionModel(
        inner=Replayed(model="raw", rows={row.state_key: row for row in test}),
        calibration=fit_decisions(seen, by="raw").calibration,
    )
    found = []
    for row in test:
        asked: Any = {"state": row.state, "questions": {"it": row.question.model_dump()}}
        answer = model.invoke(asked).answers["it"]
        found.append(probabilities_in(answer) or {})
    return found


@dataclass
class Tally:
    """Held-out rows of all folds."""

    sure: list[float] = field(default_factory=list)
    """Of a yes/no question P(yes), else P of the likeliest label."""
    right: list[bool] = field(default_factory=list)
    """Whether that is so."""
    losses: list[float] = field(default_factory=list)
    hits: int = 0

    def add(self, row: GradedDecision, p: dict[str, float]) -> None:
        likeliest = max(p, key=p.__getitem__)
        claimed = YES if isinstance(row.question, Noul) else likeliest
        self.sure.append(p[claimed])
        self.right.append(row.label == claimed)
        self.losses.append(-float(np.log(max(p[row.label], LEAST_P))))
        self.hits += likeliest == row.label

    def row(self, name: str) -> list[str]:
        p, right = np.array(self.sure), np.array(self.right)
        area, floor = auroc(p, right), ece_noise_floor(p)
        return [
            name,
            f"{self.hits / len(p):.3f}",
            "none" if area is None else f"{area:.3f}",
            f"{ece(p, right):.3f} ({floor:.3f})",
            f"{np.mean(self.losses):.3f}",
        ]


def decided(calibrator: DecisionCalibrator, row: GradedDecision) -> bool | None:
    """Whether what is certified is right; None where the row is not decided on."""
    p = calibrator.probabilities(row.scores or {})
    likeliest = max(p, key=p.__getitem__)
    certificate = calibrator.certificates.get(ANY) or calibrator.certificates[likeliest]
    if certificate.threshold is None or p[likeliest] < certificate.threshold:
        return None
    return likeliest == row.label


def measure(name: str, rows: Sequence[GradedDecision]) -> tuple[list[list[str]], list[str]]:
    """Lines of the table of figures, and the one of certificates."""
    ways = {"raw": Tally(), "calibrated": Tally(), "around anybody's": Tally()}
    certified: list[bool] = []
    first = labels_of(rows[0].question)[0]
    folds = folds_by_question([row.label == first for row in rows], range(len(rows)))
    for fit, held in folds:
        train, test = [rows[at] for at in fit], [rows[at] for at in held]
        (calibrator,) = fit_decisions(train, by="smol").calibration.calibrators
        around = wrapped(train, test)
        for row, said in zip(test, around, strict=True):
            ways["raw"].add(row, raw(row))
            ways["calibrated"].add(row, calibrator.probabilities(row.scores or {}))
            ways["around anybody's"].add(row, said)
        (promised,) = fit_decisions(train, by="smol", alpha=ALPHA).calibration.calibrators
        certified += [one for row in test if (one := decided(promised, row)) is not None]
    share, wrong = len(certified) / len(rows), "none decided"
    if certified:
        wrong = f"{1 - np.mean(certified):.3f} ({certified.count(False)} of {len(certified)})"
    labels = [row.label for row in rows]
    common = max(map(labels.count, labels)) / len(rows)
    head = f"{name}, {len(rows):,}; the commonest label {common:.3f}"
    lines = [tally.row(f"{head}: {way}") for way, tally in ways.items()]
    return lines, [name, f"{share:.3f}", wrong]


def sharing(estimator: Estimator, folder: Path, repeats: int = 5) -> str:
    """Questions about one text, asked together and one by one."""
    text = max((asked[0] for asked in exams(folder)), key=len)[:LENGTH]
    lines = []
    for count in (1, 2, 4, 8):
        questions = {
            name: Noul(instructions=f"Does this text say anything about {name}?")
            for name in ABOUT[:count]
        }
        together = [Enquiry.about(text, questions)]
        apart = [Enquiry.about(text, {name: one}) for name, one in questions.items()]
        least = {"together": float("inf"), "apart": float("inf")}
        for _ in range(repeats):
            for way, asked in (("together", together), ("apart", apart)):
                start = time.process_time()
                for enquiry in asked:
                    estimator.score(enquiry.items)
                least[way] = min(least[way], time.process_time() - start)
        tokens = [sum(one.tokens(estimator) or 0 for one in way) for way in (together, apart)]
        seconds = [f"{least[way]:.2f}" for way in ("together", "apart")]
        lines.append([str(count), *(f"{number:,}" for number in tokens), *seconds])
    columns = ["questions", "tokens read together", "one by one", "seconds together", "one by one"]
    return markdown(columns, lines)


@click.command(help=__doc__)
@click.argument("scores", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--rows", default=600, show_default=True, help="Of each kind of question.")
@click.option("--estimator", default="smol", show_default=True)
@click.option("--backend", default="llama_cpp", show_default=True)
@click.option("--threads", type=int, help="Of llama.cpp.")
def main(scores: Path, rows: int, estimator: str, backend: str, threads: int | None) -> None:
    folder = folder_or_exit()
    options: dict[str, Any] = {"threads": threads} if threads else {}
    loaded = deciding(load_estimator(estimator, backend=backend, **options))
    found = read(loaded, drawn(loaded, folder, rows), scores)
    lines, certificates = [], []
    for name in TASKS:
        some, one = measure(name, [row for row in found if row.name == name])
        lines += some
        certificates.append(one)
    columns = ["question, rows: P by", "accuracy", "AUROC", "ECE (floor)", "log loss"]
    click.echo(markdown(columns, lines))
    columns = ["question", f"decided, certified at {ALPHA:.0%} wrong", "of them wrong"]
    click.echo(markdown(columns, certificates))
    click.echo(sharing(loaded, folder))


def _rows(path: Path) -> list[dict[str, Any]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.splitlines()]


def _as_line(row: GradedDecision) -> dict[str, Any]:
    return row_of(row.state, row.name, row.question, row.scores, row.by, row.label)


if __name__ == "__main__":
    main()
