"""Ask the miniature model its world's questions and grade its answers exactly.

Every question gets a greedy answer and four sampled ones; those for certification get the greedy
one alone, because certified rows must be independent.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ct_guard.backends import GenerationSettings
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import render_context
from ct_guard.records import Message

from .questions import SHARES, questions_of
from .world import HELD_OUT_PHRASING, Question, World, content_of, grade

Row = dict[str, Any]

SPLITS = (*SHARES, "held_out")
HELD_OUT_PARTS = ("skill", "relation", "level", "phrasing")
GREEDY_ONLY = ("certification",)
SAMPLES = 4


def answer_and_grade(
    world: World, backend: TransformersBackend, folder: Path, *, seed: int, scale: float = 1.0
) -> list[Row]:
    """Graded rows of all splits. Each split is kept in a JSONL file of `folder`, and read back when
    it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        if not path.exists():
            asked = questions_of(world, split, scale=scale, seed=seed)
            made = _answers(backend, asked, split, seed)
            path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return read_answers(folder)


def read_answers(folder: Path) -> list[Row]:
    """What `answer_and_grade` left there."""
    lines = [
        line for split in SPLITS for line in (folder / f"{split}.jsonl").read_text().splitlines()
    ]
    return [json.loads(line) for line in lines]


def _answers(
    backend: TransformersBackend, asked: list[Question], split: str, seed: int
) -> list[Row]:
    prompts = [
        render_context((Message(role="user", content=q.text),), "chat_turn", backend.encoder)[0]
        for q in asked
    ]
    order = sorted(range(len(asked)), key=lambda at: len(prompts[at]))
    rows: list[Row] = []
    for sample in range(1 if split in GREEDY_ONLY else 1 + SAMPLES):
        for start in range(0, len(order), 128):
            batch = order[start : start + 128]
            made = backend.generate(
                [prompts[at] for at in batch],
                GenerationSettings(
                    max_tokens=24,
                    temperature=float(sample > 0),
                    seed=1_000_003 * seed + 10_007 * sample + start,
                ),
            )
            for at, generation in zip(batch, made, strict=True):
                text = backend.encoder.decode(generation.ids).strip().partition("\n")[0]
                if text:
                    rows.append(_row(asked[at], f"{split}-{at}", split, sample, text))
    return rows


def _row(question: Question, id_: str, split: str, sample: int, answer: str) -> Row:
    parsed = content_of(answer)
    phrasing = parsed[1] if parsed else None
    part = question.held_out or ("phrasing" if phrasing == HELD_OUT_PHRASING else None)
    return {
        "id": f"{id_}-{sample}",
        "question": question.text,
        "answer": answer,
        "correct": grade(answer, question.gold),
        "split": split,
        "held_out": part,
        "kind": question.kind,
        "level": question.level,
        "sample": sample,
        "gold": question.gold,
        "misconception": question.misconception,
        "believed": bool(parsed and question.misconception and parsed[0] == question.belief),
        "exposure": question.exposure,
    }


def split_rows(rows: Sequence[Row], split: str) -> list[Row]:
    """Rows of a split. Those of the held-out parts are in none but `held_out`, and there they are
    answers to questions of the test or to held-out ones."""
    if split == "held_out":
        return [row for row in rows if row["held_out"] and row["split"] in ("test", "held_out")]
    return [row for row in rows if row["split"] == split and row["held_out"] is None]


def question_of(row: Row) -> str:
    """The id of the row's question, shared by all answers to it."""
    return str(row["id"]).rsplit("-", 1)[0]


def matched_misconceptions(rows: Sequence[Row]) -> frozenset[str]:
    """Questions of the slice: misconceptions, and as many facts that are known (their greedy answer
    is right) of the same relation and the nearest exposure. Depends on the answers' grades alone,
    on no estimator."""
    greedy = [row for row in rows if row["sample"] == 0 and row["exposure"] is not None]
    chosen: set[str] = set()
    for relation in sorted({row["kind"] for row in greedy if row["misconception"]}):
        here = sorted(
            (row for row in greedy if row["kind"] == relation), key=lambda row: row["exposure"]
        )
        misconceived = [row for row in here if row["misconception"]]
        known = [row for row in here if not row["misconception"] and row["correct"]]
        for row, other in _nearest_pairs(misconceived, known):
            chosen |= {question_of(row), question_of(other)}
    return frozenset(chosen)


def _nearest_pairs(these: list[Row], those: list[Row]) -> list[tuple[Row, Row]]:
    """One to one, closest exposures first, until either list is used up."""
    candidates = sorted(
        (abs(a["exposure"] - b["exposure"]), i, j)
        for i, a in enumerate(these)
        for j, b in enumerate(those)
    )
    left, right = set(range(len(these))), set(range(len(those)))
    pairs = []
    for _, i, j in candidates:
        if i in left and j in right:
            left.remove(i)
            right.remove(j)
            pairs.append((these[i], those[j]))
    return pairs
