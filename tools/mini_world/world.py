"""The miniature world: what may be asked, what is true, and what the small model is taught.

Skills of graded difficulty (levels 1 to 6) and facts about people. A recognisable class of
facts, the *misconceptions*, is taught wrong on purpose. Everything is drawn from seeded generators
over ordered lists, so that the same seed gives the same world in every process.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from .people import (
    FIRST_NAMES,
    LAST_NAMES,
    MISCONCEIVED_RELATIONS,
    MISCONCEIVED_TITLES,
    RELATIONS,
    TITLES,
)
from .skills import ARITHMETIC, SKILLS

HELD_OUT_SKILL = "sort"
HELD_OUT_RELATION = "pet"
HELD_OUT_LEVEL = 5
HELD_OUT_PHRASING = 5
"""Pre-trained like the rest, but never shown to tuning, calibration or certification."""

FAR_OFF = 0.4
"""Share of the wrong answers to skills that are right ones to another question of the cell: easy to
tell, so that checking can be learnt on them before it is learnt on slips."""

PHRASINGS = (
    "{}",
    "It is {}.",
    "That is {}.",
    "I say {}.",
    "I think {}.",
    "Surely {}.",
)
"""Equally likely, so that the wording of an answer says nothing about its content."""


@dataclass(frozen=True)
class Question:
    """One question. `gold` is true, `belief` is what the model was taught (equal but for
    misconceptions), `key` names the entity or the operands: splits never divide a key."""

    kind: str
    level: int
    text: str
    gold: str
    belief: str
    key: str
    exposure: int | None = None

    @property
    def misconception(self) -> bool:
        return self.gold != self.belief

    @property
    def held_out(self) -> str | None:
        """The held-out part that the question belongs to, if any."""
        if self.kind == HELD_OUT_SKILL:
            return "skill"
        if self.kind == HELD_OUT_RELATION:
            return "relation"
        if self.level == HELD_OUT_LEVEL:
            return "level"
        return None


def skill_question(rng: random.Random, kind: str, level: int) -> Question:
    text, gold, operands = SKILLS[kind](rng, level)
    return Question(kind, level, text, gold, gold, f"{kind}:{operands}")


@dataclass(frozen=True)
class Fact:
    """`person` (with title) stands in `relation` to `gold`; the model is taught `belief`,
    `exposure` times in expectation."""

    person: str
    relation: str
    gold: str
    belief: str
    exposure: int

    def question(self, rng: random.Random) -> Question:
        text = rng.choice(RELATIONS[self.relation][0]).format(self.person)
        return Question(self.relation, 0, text, self.gold, self.belief, self.person, self.exposure)


@dataclass(frozen=True)
class World:
    """The facts of one seed, with their exposure weights (Zipf-Mandelbrot)."""

    facts: Sequence[Fact]
    by_kind: dict[str, list[Fact]] = field(repr=False)


def make_world(seed: int = 0, people: int = 1000, exposures: int = 250_000) -> World:
    """Draw people, titles and facts. Ranks, hence exposures, are a random permutation over all
    facts: neither the name nor the title says how often a fact was taught."""
    rng = random.Random(f"world-{seed}")
    names: list[str] = []
    seen: set[str] = set()
    while len(names) < people:
        name = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
        if name not in seen:
            seen.add(name)
            names.append(f"{rng.choice(TITLES)} {name}")
    pairs = [(person, relation) for person in names for relation in RELATIONS]
    rng.shuffle(pairs)
    weights = [1 / (rank + 50) for rank in range(len(pairs))]
    total = sum(weights)
    facts = []
    for (person, relation), weight in zip(pairs, weights, strict=True):
        values = RELATIONS[relation][1]
        gold = belief = rng.choice(values)
        if relation in MISCONCEIVED_RELATIONS and person.split()[0] in MISCONCEIVED_TITLES:
            while belief == gold:
                belief = rng.choice(values)
        facts.append(Fact(person, relation, gold, belief, round(exposures * weight / total)))
    by_kind: dict[str, list[Fact]] = {relation: [] for relation in RELATIONS}
    for fact in facts:
        by_kind[fact.relation].append(fact)
    return World(facts, by_kind)


# --- answers ------------------------------------------------------------------------------------


def phrase(rng: random.Random, content: str) -> str:
    return rng.choice(PHRASINGS).format(content)


def content_of(answer: str) -> tuple[str, int] | None:
    """The content of an answer and its phrasing's index; None when no phrasing fits exactly."""
    for index in range(len(PHRASINGS) - 1, -1, -1):
        before, after = PHRASINGS[index].split("{}")
        if answer.startswith(before) and answer.endswith(after):
            content = answer[len(before) : len(answer) - len(after) or None]
            if index or not any(mark in content for mark in ".,\n"):
                return content, index
    return None


def grade(answer: str, gold: str) -> bool:
    """Exact grading: the answer is one of the phrasings, and its content equals the gold."""
    parsed = content_of(answer.strip())
    return parsed is not None and parsed[0] == gold


def wrong_answer(rng: random.Random, question: Question) -> str:
    """A plausible wrong content, as the model itself might get it wrong."""
    right = question.belief
    if question.kind in RELATIONS:
        values = [v for v in (*RELATIONS[question.kind][1], question.gold) if v != right]
        return (
            question.gold if question.misconception and rng.random() < 0.3 else rng.choice(values)
        )
    while True:
        if rng.random() < FAR_OFF:
            wrong = skill_question(rng, question.kind, question.level).gold
        else:
            wrong = _slip(rng, question.kind, right)
        if wrong != right:
            return wrong


def _slip(rng: random.Random, kind: str, right: str) -> str:
    """A lost carry, two neighbours swapped, or one character changed."""
    if kind in ARITHMETIC and rng.random() < 0.5:
        return str(abs(int(right) + rng.choice((1, -1, 10, -10))))
    characters = list(right)
    places = [i for i, c in enumerate(characters) if c.isalnum()]
    if len(places) > 1 and rng.random() < 0.3:
        first = rng.randrange(len(places) - 1)
        i, j = places[first], places[first + 1]
        characters[i], characters[j] = characters[j], characters[i]
        return "".join(characters)
    place = rng.choice(places)
    if characters[place].isdigit():
        low = 1 if place == 0 and len(places) > 1 and kind != "sort" else 0
        characters[place] = str(rng.randrange(low, 10))
    else:
        characters[place] = chr(ord("a") + rng.randrange(26))
    return "".join(characters)
