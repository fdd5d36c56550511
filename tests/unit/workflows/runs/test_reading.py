"""Which rows of which files: the first ones, some at random, in their order."""

import json
from pathlib import Path

import pytest

from ct_guard.errors import FieldError
from ct_guard.workflows.runs.reading import Reading, select


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    """Three files with the rows 0 to 9, 10 to 14 and 15 to 19, and blank lines among them."""
    sources = []
    for name, first, last in (("a", 0, 10), ("b", 10, 15), ("c", 15, 20)):
        path = tmp_path / f"{name}.jsonl"
        rows = (json.dumps({"question": "q", "answer": "a", "n": n}) for n in range(first, last))
        path.write_text("\n\n".join(rows))
        sources.append(str(path))
    return Reading.of(*sources)


def numbers(reading: Reading) -> list[int]:
    return [row.fields["n"] for row in reading.rows()]


def test_without_a_choice_all_rows_come_one_file_after_the_other(reading: Reading) -> None:
    assert numbers(select(reading)) == list(range(20))
    assert reading.settings == {}


@pytest.mark.parametrize("limit", [1, 10, 12, 20, 99])
def test_a_limit_takes_the_first_rows_of_all_files(reading: Reading, limit: int) -> None:
    chosen = select(reading, limit=limit)
    assert numbers(chosen) == list(range(min(limit, 20)))
    assert chosen.about() == min(limit, 20)


def test_a_sample_keeps_the_order_and_follows_from_its_seed(reading: Reading) -> None:
    one, other = (numbers(select(reading, sample=7, seed=seed)) for seed in (1, 2))
    assert len(one) == 7
    assert one == sorted(one)
    assert one == numbers(select(reading, sample=7, seed=1))
    assert one != other
    assert numbers(select(reading, sample=99)) == list(range(20))
    assert set(numbers(select(reading, limit=5, sample=4))) < set(range(5))


def test_every_row_is_as_likely(reading: Reading) -> None:
    times = dict.fromkeys(range(20), 0)
    for seed in range(300):
        for number in numbers(select(reading, sample=4, seed=seed)):
            times[number] += 1
    assert all(30 <= count <= 95 for count in times.values())  # 60 expected, 7 the deviation


def test_another_choice_is_another_run(reading: Reading) -> None:
    choices = [select(reading, limit=3), select(reading, sample=3), select(reading, sample=4)]
    assert len({choice.settings["rows"] for choice in choices}) == 3


def test_a_pipe_has_a_limit_but_no_sample() -> None:
    assert select(Reading.of("-"), limit=3).about() == 3
    with pytest.raises(FieldError, match="`sample` reads its input twice"):
        select(Reading.of("-"), sample=3)
