"""Ask the miniature model its world's questions, grade its answers, and split them by question.

Every question gets a greedy answer and four sampled ones; those for certification get the greedy
one alone, because certified rows must be independent. The splits never share an entity or operands;
what is held out appears in `held_out` alone.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import render_context
from ct_guard.records import Message

from .corpus import LEVEL_WEIGHTS
from .world import (
    HELD_OUT_LEVEL,
    HELD_OUT_PHRASING,
    HELD_OUT_RELATION,
    HELD_OUT_SKILL,
    LEVELS,
    SKILLS,
    Question,
    World,
    content_of,
    grade,
    skill_question,
)

SHARES = {"tuning": 1600, "calibration": 1000, "certification": 1400, "test": 2400}
"""How entities and operands are divided among the splits."""

SIZES = {"tuning": 1600, "calibration": 1000, "certification": 3000, "test": 2400, "held_out": 900}
"""Questions asked in each split."""

GREEDY_ONLY = ("certification",)

SAMPLES = 4
SHARE_OF_MISCONCEPTIONS = 0.4
"""Among the questions about facts."""


def questions_of(world: World, split: str, count: int, seed: int) -> list[Question]:
    """`count` different questions whose entity or operands belong to `split`."""
    greedy = "-greedy" if split in GREEDY_ONLY else ""
    rng = random.Random(f"questions-{seed}-{split}{greedy}")
    draw = _held_out(world, rng) if split == "held_out" else _asked(world, rng)
    chosen: dict[str, Question] = {}
    while len(chosen) < count:
        question = next(draw)
        if _split_of(question.key) == split or split == "held_out":
            chosen.setdefault(question.kind + question.key, question)
    return list(chosen.values())


def _split_of(key: str) -> str:
    """By a hash of the entity or the operands."""
    at = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % sum(SHARES.values())
    for name, share in SHARES.items():
        at -= share
        if at < 0:
            return name
    raise AssertionError("unreachable: the remainder is below the total")


def _asked(world: World, rng: random.Random) -> Iterator[Question]:
    """Half skills, easy ones more often, as in training; half facts, a fixed share of
    misconceptions."""
    facts = [fact for fact in world.facts if fact.relation != HELD_OUT_RELATION]
    wrong = [fact for fact in facts if fact.belief != fact.gold]
    right = [fact for fact in facts if fact.belief == fact.gold]
    kinds = [kind for kind in SKILLS if kind != HELD_OUT_SKILL]
    levels = [level for level in LEVELS if level != HELD_OUT_LEVEL]
    weights = [LEVEL_WEIGHTS[level - 1] for level in levels]
    while True:
        yield skill_question(rng, rng.choice(kinds), rng.choices(levels, weights)[0])
        part = wrong if rng.random() < SHARE_OF_MISCONCEPTIONS else right
        yield rng.choice(part).question(rng)


def _held_out(world: World, rng: random.Random) -> Iterator[Question]:
    kinds = [kind for kind in SKILLS if kind != HELD_OUT_SKILL]
    while True:
        yield skill_question(rng, HELD_OUT_SKILL, rng.choice(LEVELS))
        yield skill_question(rng, rng.choice(kinds), HELD_OUT_LEVEL)
        yield rng.choice(world.by_kind[HELD_OUT_RELATION]).question(rng)


def answer_and_grade(
    world: World, backend: TransformersBackend, folder: Path, *, seed: int, scale: float = 1.0
) -> list[dict[str, Any]]:
    """Graded rows of all splits. Each split is kept in a JSONL file of `folder`, and read back when
    it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for split, size in SIZES.items():
        path = folder / f"{split}.jsonl"
        if not path.exists():
            asked = questions_of(world, split, max(20, int(size * scale)), seed)
            made = _answers(backend, asked, split, seed)
            path.write_text("".join(json.dumps(row) + "\n" for row in made))
        rows += [json.loads(line) for line in path.read_text().splitlines()]
    return rows


def _answers(
    backend: TransformersBackend, asked: list[Question], split: str, seed: int
) -> list[dict[str, Any]]:
    prompts = [
        render_context((Message(role="user", content=q.text),), "chat_turn", backend)[0]
        for q in asked
    ]
    order = sorted(range(len(asked)), key=lambda at: len(prompts[at]))
    rows: list[dict[str, Any]] = []
    for sample in range(1 if split in GREEDY_ONLY else 1 + SAMPLES):
        for start in range(0, len(order), 128):
            batch = order[start : start + 128]
            made = backend.generate(
                [prompts[at] for at in batch],
                max_tokens=24,
                temperature=float(sample > 0),
                seed=1_000_003 * seed + 10_007 * sample + start,
            )
            for at, generation in zip(batch, made, strict=True):
                text = backend.decode(generation.ids).strip().partition("\n")[0]
                if text:
                    rows.append(_row(asked[at], f"{split}-{at}", split, sample, text))
    return rows


def _row(question: Question, id_: str, split: str, sample: int, answer: str) -> dict[str, Any]:
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
