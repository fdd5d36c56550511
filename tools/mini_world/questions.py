"""Which questions are asked in which split. Splits never share a person or operands."""

import hashlib
import random
from collections.abc import Callable

from .corpus import LEVEL_WEIGHTS
from .skills import LEVELS, SKILLS
from .world import (
    HELD_OUT_LEVEL,
    HELD_OUT_RELATION,
    HELD_OUT_SKILL,
    Question,
    World,
    skill_question,
)

SHARES = {"tuning": 31, "calibration": 13, "certification": 16, "test": 40}
"""Percent of the people and of the operands. So many go to the test that it holds well over
300 misconceptions and 300 facts to match them."""

SKILLS_A_FACT = {"tuning": 2.0, "calibration": 1.0, "certification": 1.0, "test": 1.0}
"""Questions about skills for every fact asked. People are few, operands are not: tuning learns from
more of them; the splits that figures come from are alike."""

HELD_OUT = 300
"""Questions of the held-out skill, of the held-out level, and of the held-out relation."""


def questions_of(world: World, split: str, *, scale: float, seed: int) -> list[Question]:
    """Every fact about the split's people, and skills in proportion; `scale` keeps a share."""
    rng = random.Random(f"questions-{seed}-{split}")
    if split == "held_out":
        return _held_out(world, rng, scale)
    facts = [
        fact
        for fact in world.facts
        if fact.relation != HELD_OUT_RELATION and split_of(fact.person) == split
    ]
    facts = rng.sample(facts, _scaled(len(facts), scale))
    kinds = [kind for kind in SKILLS if kind != HELD_OUT_SKILL]
    levels = [level for level in LEVELS if level != HELD_OUT_LEVEL]
    skills = _different(
        rng,
        kinds,
        levels,
        round(SKILLS_A_FACT[split] * len(facts)),
        lambda q: split_of(q.key) == split,
    )
    return [*(fact.question(rng) for fact in facts), *skills]


def split_of(key: str) -> str:
    """By a hash of the person or of the operands."""
    at = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % sum(SHARES.values())
    for name, share in SHARES.items():
        at -= share
        if at < 0:
            return name
    raise AssertionError("unreachable: the remainder is below the total")


def _held_out(world: World, rng: random.Random, scale: float) -> list[Question]:
    """The held-out skill at every level, the held-out level of the other skills, and the held-out
    relation of the people of the test."""
    count = _scaled(HELD_OUT, scale)
    others = [kind for kind in SKILLS if kind != HELD_OUT_SKILL]
    facts = [fact for fact in world.by_kind[HELD_OUT_RELATION] if split_of(fact.person) == "test"]
    return [
        *_different(rng, [HELD_OUT_SKILL], list(LEVELS), count),
        *_different(rng, others, [HELD_OUT_LEVEL], count),
        *(fact.question(rng) for fact in rng.sample(facts, min(count, len(facts)))),
    ]


def _different(
    rng: random.Random,
    kinds: list[str],
    levels: list[int],
    count: int,
    fits: Callable[[Question], bool] = lambda question: True,
) -> list[Question]:
    """`count` questions that differ in kind or operands; easy levels more often, as in training."""
    weights = [LEVEL_WEIGHTS[level - 1] for level in levels]
    chosen: dict[str, Question] = {}
    while len(chosen) < count:
        question = skill_question(rng, rng.choice(kinds), rng.choices(levels, weights)[0])
        if fits(question):
            chosen.setdefault(question.key, question)
    return list(chosen.values())


def _scaled(count: int, scale: float) -> int:
    return max(10, min(count, round(count * scale)))
