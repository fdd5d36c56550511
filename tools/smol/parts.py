"""Rows of the six sets, in parts that share no question, however a set spells or numbers it."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ct_guard.datasets.split import part_of
from ct_guard.records import QuestionAnswer

__all__ = ["PARTS", "SETS", "Row", "parts_of_sets"]

Row = dict[str, Any]

SETS: Mapping[str, str] = {
    "evouna_NQ": "Apache-2.0",
    "gsm8k_model_solutions": "MIT",
    "medagents_exams": "Apache-2.0",
    "mmlu_pro_conf_stem": "MIT; question texts Apache-2.0",
    "simpleqa_gpt4o": "MIT",
    "strategyqa": "MIT",
}
"""Set by name, with its licence."""

PARTS: Mapping[str, int] = {
    "tuning": 200, "validation": 60, "layer": 60, "calibration": 100, "test": 200,
}  # fmt: skip
"""Rows of each set in each part."""

LONGEST = 1_200
"""Characters of question, context and answer; longer rows are left out, so that a laptop can make
this again."""
ANSWERS = 2
"""To one question, at most: more questions teach more."""


def parts_of_sets(data: Path) -> dict[str, list[Row]]:
    """Graded rows by part, those of every set in turn, each with its `set`. The part of a question
    follows from its text alone."""
    total = sum(PARTS.values())
    shares = {name: count / total for name, count in PARTS.items()}
    parts: dict[str, list[Row]] = {name: [] for name in PARTS}
    for name in SETS:
        room = dict(PARTS)
        for rows in _questions(data, name):
            part = part_of(_key(rows[0]), shares, "smol")
            taken = rows[: min(ANSWERS, room[part])]
            room[part] -= len(taken)
            parts[part] += [{**row, "set": name} for row in taken]
    return parts


def _questions(data: Path, name: str) -> list[list[Row]]:
    """Rows by question, in an order that follows from their texts."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in _rows(data, name):
        if len(row["question"]) + len(row.get("context") or "") + len(row["answer"]) <= LONGEST:
            found[_key(row)].append(row)
    order = sorted(found, key=_shuffled)
    return [sorted(found[key], key=lambda row: _shuffled(row["answer"])) for key in order]


def _rows(data: Path, name: str) -> Iterator[Row]:
    path = data / f"{name}.jsonl"
    text = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    fields = ("question", "answer", "context", "correct", "model")
    for line in text.decode().splitlines():
        row = json.loads(line)
        if row.get("answer") and isinstance(row.get("correct"), bool):
            yield {field: row[field] for field in fields if row.get(field) is not None}


def _key(row: Row) -> str:
    context = row.get("context")
    return QuestionAnswer(
        question=row["question"], answer=row["answer"], context=context
    ).question_key()


def _shuffled(text: str) -> bytes:
    return sha256(text.encode()).digest()
