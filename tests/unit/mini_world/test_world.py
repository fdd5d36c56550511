"""The miniature world: what is true in it, what is asked in which split, what is taught."""

import hashlib
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tools.mini_world.answers import Row, matched_misconceptions, question_of
from tools.mini_world.corpus import CHECKS, END, exchange
from tools.mini_world.people import MISCONCEIVED_RELATIONS, MISCONCEIVED_TITLES
from tools.mini_world.questions import SHARES, questions_of
from tools.mini_world.skills import LEVELS, SKILLS
from tools.mini_world.world import (
    HELD_OUT_LEVEL,
    HELD_OUT_RELATION,
    HELD_OUT_SKILL,
    PHRASINGS,
    Question,
    World,
    content_of,
    grade,
    make_world,
    phrase,
    skill_question,
    wrong_answer,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(0)


@pytest.fixture(scope="module")
def asked(world: World) -> dict[str, list[Question]]:
    return {split: questions_of(world, split, scale=0.2, seed=0) for split in (*SHARES, "held_out")}


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _moved(letters: str, by: int) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return " ".join(alphabet[(alphabet.index(letter) + by) % 26] for letter in letters)


def _letters(text: str) -> str:
    """Single letters that stand alone in the question."""
    return "".join(re.findall(r"(?<=\s)[a-z](?=[\s,.?])", text))


def _read(text: str) -> str:
    asked = re.search(r"hat is ([a-z])\?", text)
    assert asked
    said = dict(re.findall(r"([a-z]) is ([a-z]|\d)(?=[,.])", text))
    value = asked[1]
    while not value.isdigit():
        value = said[value]
    return value


BY_HAND: dict[str, Callable[[str], str]] = {
    "add": lambda text: str(sum(_numbers(text))),
    "subtract": lambda text: str(abs(_numbers(text)[0] - _numbers(text)[1])),
    "times": lambda text: str(_numbers(text)[0] * _numbers(text)[1]),
    "total": lambda text: str(sum(_numbers(text))),
    "shift": lambda text: _moved(_letters(text), _numbers(text)[-1]),
    "reverse": lambda text: re.findall(r"(?:Reverse|What is) ([a-z]+)", text)[0][::-1],
    "sort": lambda text: " ".join(map(str, sorted(_numbers(text)))),
    "compose": lambda text: _moved(_letters(text)[::-1], _numbers(text)[-1]),
    "read": _read,
}  # fmt: skip
"""The right answer from the question's text alone, worked out again."""


@pytest.mark.parametrize("kind", SKILLS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_gold_answer_follows_from_the_question(kind: str, level: int) -> None:
    rng = random.Random(level)
    for _ in range(30):
        question = skill_question(rng, kind, level)
        assert question.gold == BY_HAND[kind](question.text), question.text


def test_only_the_recognisable_class_is_taught_wrong(world: World) -> None:
    for fact in world.facts:
        title = fact.person.split()[0]
        recognisable = title in MISCONCEIVED_TITLES and fact.relation in MISCONCEIVED_RELATIONS
        assert (fact.belief != fact.gold) == recognisable


def test_a_name_says_nothing_about_exposure(world: World) -> None:
    by_title: dict[str, list[int]] = {}
    for fact in world.facts:
        by_title.setdefault(fact.person.split()[0], []).append(fact.exposure)
    means = [np.mean(values) for values in by_title.values()]
    assert max(means) / min(means) < 1.15
    assert max(fact.exposure for fact in world.facts) > 20 * min(f.exposure for f in world.facts)


def test_splits_share_no_person_and_no_operands(asked: dict[str, list[Question]]) -> None:
    used = [
        {question.key for question in asked[split] if question.exposure is None} for split in SHARES
    ]
    people = [
        {question.key for question in asked[split] if question.exposure is not None}
        for split in SHARES
    ]
    for sets in (used, people):
        assert sum(map(len, sets)) == len(set().union(*sets))


def test_what_is_held_out_is_in_no_other_split(asked: dict[str, list[Question]]) -> None:
    for split in SHARES:
        assert all(question.held_out is None for question in asked[split])
    parts = Counter(question.held_out for question in asked["held_out"])
    assert set(parts) == {"skill", "relation", "level"}
    for question in asked["held_out"]:
        assert (
            question.kind in (HELD_OUT_SKILL, HELD_OUT_RELATION) or question.level == HELD_OUT_LEVEL
        )


def test_every_phrasing_of_the_gold_is_right_and_nothing_else(
    asked: dict[str, list[Question]],
) -> None:
    rng = random.Random(0)
    for question in asked["test"]:
        for index, phrasing in enumerate(PHRASINGS):
            answer = phrasing.format(question.gold)
            assert grade(answer, question.gold)
            assert content_of(answer) == (question.gold, index)
        wrong = wrong_answer(rng, question)
        assert wrong != question.belief
        assert grade(phrase(rng, wrong), question.gold) == (wrong == question.gold)
        assert not grade(f"{question.gold}, of course", question.gold)
        assert not grade(f"It is {question.gold} or not.", question.gold)


def test_wrong_answers_are_shown_and_never_taught(asked: dict[str, list[Question]]) -> None:
    rng = random.Random(0)
    verdicts = 0
    for question in asked["tuning"]:
        segments = exchange(rng, question, progress=1.0)
        for answer, check, verdict in zip(segments, segments[1:], segments[2:], strict=False):
            if any(asking in check[0] for asking in CHECKS):
                right = grade(answer[0], question.belief)
                assert answer[1] == right
                assert verdict == (f"{'Yes' if right else 'No'}.{END}", True)
                verdicts += 1
    assert verdicts > 100


def test_a_misconception_is_matched_to_a_known_fact_of_the_same_relation() -> None:
    def row(at: int, kind: str, exposure: int, misconception: bool, correct: bool) -> Row:
        return {
            "id": f"test-{at}-0", "kind": kind, "exposure": exposure, "sample": 0,
            "misconception": misconception, "correct": correct,
        }  # fmt: skip

    rows = [
        row(0, "town", 100, True, False),
        row(1, "town", 90, False, True),  # nearest exposure
        row(2, "town", 500, False, True),
        row(3, "town", 101, False, False),  # nearer, but not known
        row(4, "food", 100, True, False),  # no known food to match
    ]
    assert matched_misconceptions(rows) == {question_of(rows[0]), question_of(rows[1])}


def test_the_world_is_the_same_in_every_process() -> None:
    code = (
        "import hashlib, random; from tools.mini_world.world import make_world;"
        "from tools.mini_world.questions import questions_of;"
        "from tools.mini_world.corpus import exchange;"
        "w = make_world(3, people=50); q = questions_of(w, 'test', scale=0.2, seed=1);"
        "rng = random.Random(0); e = [exchange(rng, x, 0.5) for x in q];"
        "print(hashlib.sha256(repr((w.facts, q, e)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == len(hashlib.sha256().hexdigest())
