"""Records of the miniature world: what is right in them is known."""

import json
import random

from tools.mini_world.records import ASKED, KEYS, Said, copied_record, known_record

SAID = Said(
    "Captain Egon Ek",
    gold={"town": "Kelso", "job": "baker", "food": "figs", "instrument": "lute"},
    answers={
        "town": ["Kelso", "Yarm"],
        "job": ["miner", "miner"],
        "food": ["figs", "figs"],
        "instrument": ["lute", "harp"],
    },
)


def test_a_field_is_right_where_it_was_asked_for_and_says_the_truth() -> None:
    rng = random.Random(0)
    for _ in range(50):
        row = known_record(SAID, rng)
        value, gold = json.loads(str(row["answer"])), json.loads(str(row["gold"]))
        asked = [key for key in KEYS if gold[key] is not None]
        assert len(asked) == ASKED
        assert row["fields_correct"] == {key: value[key] == gold[key] for key in KEYS}
        assert all(SAID.gold[key] == gold[key] for key in asked)


def test_values_are_the_models_own_answers_or_nothing() -> None:
    rng = random.Random(1)
    for _ in range(50):
        value = json.loads(str(known_record(SAID, rng)["answer"]))
        assert all(value[key] in (None, *SAID.answers[key]) for key in KEYS)


def test_a_copied_record_stands_in_its_question() -> None:
    rng, right = random.Random(2), []
    for _ in range(200):
        row = copied_record(rng)
        gold = json.loads(str(row["gold"]))
        assert all(value in str(row["question"]) for value in gold.values() if value)
        right += list(dict(row["fields_correct"]).values())  # type: ignore[call-overload]
    assert 0.6 < sum(right) / len(right) < 0.85


def test_the_same_seed_gives_the_same_record() -> None:
    assert copied_record(random.Random(3)) == copied_record(random.Random(3))
