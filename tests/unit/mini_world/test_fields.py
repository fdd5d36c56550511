"""Records to tune on, to calibrate on and to measure by: nobody is in two parts."""

import dataclasses

from tests.unit.mini_world.test_records import SAID
from tools.mini_world.fields import RECORDS, SHARES, records_by_part

PEOPLE = [dataclasses.replace(SAID, person=f"Captain Egon Ek {number}") for number in range(20)]


def known_people(rows: list[dict[str, object]]) -> list[str]:
    return [str(row["person"]) for row in rows if row["kind"] == "known"]


def test_nobody_is_in_two_parts_and_everybody_in_one() -> None:
    parts = [set(known_people(rows)) for rows in records_by_part(PEOPLE, seed=0).values()]
    assert len(parts) == len(SHARES)
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(PEOPLE)


def test_more_records_to_tune_on_leave_the_people_of_each_part_and_the_size_of_the_others() -> None:
    few, many = (records_by_part(PEOPLE, 0, learnt) for learnt in (RECORDS, 3 * RECORDS))
    for name in SHARES:
        assert set(known_people(few[name])) == set(known_people(many[name]))
        assert len(many[name]) == (3 if name == "tuning" else 1) * len(few[name])
        assert 2 * len(known_people(many[name])) == len(many[name])
