"""Files of real graded answers, read as columns. They are not part of this repository: the variable
`CT_GUARD_REAL_DATA` names their folder."""

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.calibration.folds import folds_by_question
from ct_guard.evidence import Answers, answers_of

__all__ = [
    "EXAMS",
    "FOLDER",
    "MMLU",
    "NQ",
    "SIMPLE",
    "STRATEGY",
    "Data",
    "folder_or_exit",
    "load",
    "splits",
    "take",
    "title_of",
]

FOLDER = "CT_GUARD_REAL_DATA"
MMLU, EXAMS = "mmlu_pro_conf_stem.jsonl.gz", "medagents_exams.jsonl.gz"
STRATEGY, NQ, SIMPLE = "strategyqa.jsonl.gz", "evouna_NQ.jsonl", "simpleqa_gpt4o.jsonl.gz"
COLUMNS = (
    "verbalized", "mean_token_prob", "n_tokens", "linguistic", "tlm_score", "domain", "source",
)  # fmt: skip


@dataclass(frozen=True)
class Data:
    """Graded answers; questions that are the same but for case and white space share a number."""

    answers: Answers
    correct: NDArray[np.bool_]

    @property
    def models(self) -> NDArray[np.str_]:
        return np.array([model or "" for model in self.answers.model])


def folder_or_exit() -> Path:
    """The folder of data. Where there is none, the process says why and ends with status 0."""
    named = os.environ.get(FOLDER)
    if named and Path(named).is_dir():
        return Path(named)
    why = f": {named} is no folder" if named else " names no folder of real graded answers"
    print(f"skipped: {FOLDER}{why}")
    raise SystemExit(0)


def load(path: Path) -> Data:
    """A `.jsonl` or `.jsonl.gz` file with `question`, `answer`, `model` and `correct`."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows: list[dict[str, Any]] = [json.loads(line) for line in content.splitlines()]
    columns = {name: [row.get(name) for row in rows] for name in COLUMNS}
    answers = answers_of(
        [row["question"] for row in rows],
        [row["answer"] or "" for row in rows],
        model=[row["model"] for row in rows],
        columns={k: v for k, v in columns.items() if any(one is not None for one in v)},
    )
    return Data(answers, np.array([row["correct"] for row in rows], np.bool_))


def title_of(name: str) -> str:
    return name.split(".")[0]


def splits(data: Data) -> Iterator[tuple[Data, Data]]:
    """(to fit on, to judge on), five times, by question."""
    for train, test in folds_by_question(data.correct, data.answers.question):
        yield take(data, train), take(data, test)


def take(data: Data, rows: Sequence[int] | NDArray[np.intp]) -> Data:
    """The rows at these places, in this order."""
    at = np.asarray(rows)
    answers = data.answers

    def of(values: Sequence[Any]) -> list[Any]:
        return [values[place] for place in at]

    return Data(
        replace(
            answers,
            question=answers.question[at],
            asked=of(answers.asked),
            answer=of(answers.answer),
            model=of(answers.model),
            samples=of(answers.samples),
            columns={name: of(values) for name, values in answers.columns.items()},
            where=(),
        ),
        data.correct[at],
    )
