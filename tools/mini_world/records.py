"""Records about people: answers in JSON to several questions at once, whose fields are right or
wrong each for itself.

`known`: the questions are about a person of the world, and the values are what the model itself
answers to each question alone, greedily or sampled. `copied`: a passage says what is true of a
person whom nobody taught, and values are copied from it, some of them wrong. A relation that was
not asked about is null in a right record.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ct_guard.backends import GenerationSettings
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.fields import grade_fields
from ct_guard.query import render_context
from ct_guard.records import Message

from .people import FIRST_NAMES, LAST_NAMES, RELATIONS, TITLES
from .world import World, content_of

KEYS = ("town", "job", "food", "instrument")
ASKED = 3
"""Relations that a record is asked for, of `KEYS`."""
SAMPLED = 0.5
"""Share of the values that are sampled, and not the greedy answer."""
LEFT_OUT, INVENTED = 0.06, 0.25
"""Share of asked fields that are null, and of the others that are filled in all the same."""
WRONG_COPY = 0.3
"""Share of the copied values that are another one."""
PASSAGE = {
    "town": "{} was born in {}.",
    "job": "{} is a {}.",
    "food": "{} likes {}.",
    "instrument": "{} plays the {}.",
}
SAMPLES = 2

Record = dict[str, object]
"""A row: question, answer, gold, its grade and those of its fields, and its `kind`."""


@dataclass(frozen=True)
class Said:
    """What the model answers about a person: the greedy answer, then sampled ones, by relation."""

    person: str
    gold: dict[str, str]
    answers: dict[str, list[str]]


def ask_people(
    world: World, backend: TransformersBackend, seed: int, share: float = 1.0
) -> list[Said]:
    """The people of the world, or a share of them, asked about each of `KEYS`."""
    rng = random.Random(f"records-{seed}")
    people = sorted({fact.person for fact in world.facts})
    chosen = set(rng.sample(people, round(share * len(people))))
    facts = [fact for key in KEYS for fact in world.by_kind[key] if fact.person in chosen]
    prompts = [
        render_context(
            (Message(role="user", content=fact.question(rng).text),), "chat_turn", backend.encoder
        )[0]
        for fact in facts
    ]
    told: dict[str, Said] = {}
    for sample in range(1 + SAMPLES):
        for start in range(0, len(facts), 128):
            made = backend.generate(
                prompts[start : start + 128],
                GenerationSettings(
                    max_tokens=16, temperature=float(sample > 0), seed=seed + 7 * sample + start
                ),
            )
            for fact, one in zip(facts[start : start + 128], made, strict=True):
                said = told.setdefault(fact.person, Said(fact.person, {}, {}))
                said.gold[fact.relation] = fact.gold
                parsed = content_of(one.text.strip())
                said.answers.setdefault(fact.relation, []).append(
                    parsed[0] if parsed else one.text.strip().rstrip(".")
                )
    return list(told.values())


def known_record(said: Said, rng: random.Random) -> Record:
    """One record of a person of the world, as the model might have filled it in."""
    asked = sorted(rng.sample(KEYS, ASKED), key=KEYS.index)
    value: dict[str, str | None] = {}
    for key in KEYS:
        greedy, *sampled = said.answers[key]
        value[key] = rng.choice(sampled) if rng.random() < SAMPLED else greedy
        if rng.random() < (LEFT_OUT if key in asked else 1 - INVENTED):
            value[key] = None
    gold = {key: said.gold[key] if key in asked else None for key in KEYS}
    return _record(_questions(said.person, asked, rng), value, gold, "known", said.person)


def copied_record(rng: random.Random) -> Record:
    """One record of what a passage says of somebody whom nobody taught."""
    person = f"{rng.choice(TITLES)} {rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
    asked = sorted(rng.sample(KEYS, ASKED), key=KEYS.index)
    truth = {key: rng.choice(RELATIONS[key][1]) for key in KEYS}
    value: dict[str, str | None] = {}
    for key in KEYS:
        wrong = rng.choice([other for other in RELATIONS[key][1] if other != truth[key]])
        value[key] = wrong if rng.random() < WRONG_COPY else truth[key]
        if rng.random() < (LEFT_OUT if key in asked else 1 - INVENTED):
            value[key] = None
    lines = [PASSAGE[key].format(person, truth[key]) for key in KEYS]
    rng.shuffle(lines)
    gold = {key: truth[key] if key in asked else None for key in KEYS}
    question = " ".join([*lines, _questions(person, asked, rng)])
    return _record(question, value, gold, "copied", person)


def _questions(person: str, asked: Sequence[str], rng: random.Random) -> str:
    return " ".join(rng.choice(RELATIONS[key][0]).format(person) for key in asked)


def _record(question: str, value: object, gold: object, kind: str, person: str) -> Record:
    grades = grade_fields(value, gold)
    return {
        "question": question,
        "answer": json.dumps(value),
        "gold": json.dumps(gold),
        "correct": all(grades.values()),
        "fields_correct": grades,
        "kind": kind,
        "person": person,
    }
