"""Which rows of a file are scored together, where answers tell of each other."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ct_guard.estimators import Estimator
from ct_guard.files import Row
from ct_guard.workflows.runs.chunks import BOX, QUERY_CHARACTERS, chunks_for
from ct_guard.workflows.runs.pace import Pace


def rows(*questions: str) -> list[Row]:
    return [
        Row(at, {"question": question, "answer": str(at)}) for at, question in enumerate(questions)
    ]


def sizes(made: list[Row], *, together: bool = True, backend: object = "a base") -> list[int]:
    estimator: Any = SimpleNamespace(reads_together=together, backend=backend)
    pace = Pace(2, least=2)
    return [len(chunk.rows) for chunk in chunks_for(cast(Estimator, estimator), iter(made), pace)]


@pytest.mark.parametrize(
    ("questions", "found"),
    [
        (("a", "a", "a", "b", "c", "c", "c", "c", "c"), [3, 6]),
        (("a", " A ", "a", "b"), [3, 1]),
        (("a", "b", "a"), [3]),
        ((), []),
    ],
)
def test_no_question_is_in_two_chunks(questions: tuple[str, ...], found: list[int]) -> None:
    assert sizes(rows(*questions)) == found


def test_a_file_without_a_base_is_one_chunk() -> None:
    assert sizes(rows("a", "b", "c", "d"), backend=None) == [4]


def test_rows_that_do_not_tell_of_each_other_go_by_the_pace() -> None:
    assert sizes(rows("a", "b", "c", "d", "e"), together=False) == [2, 2, 1]


@pytest.mark.parametrize("together", [True, False])
def test_a_chunk_knows_how_much_of_each_row_a_model_reads(together: bool) -> None:
    estimator: Any = SimpleNamespace(reads_together=together, backend="a base")
    made = [
        Row(1, {"question": "four", "answer": "a", "notes": "n" * 1000, "context": None}),
        Row(2, {"messages": [{"content": "seven.."}], "answer": 5}),
    ]
    [chunk] = chunks_for(cast(Estimator, estimator), iter(made), Pace(9, least=9))
    boxes = 2 * BOX  # the list, and the turn in it
    assert chunk.rows == made
    assert chunk.texts == [QUERY_CHARACTERS + 5, QUERY_CHARACTERS + 7 + boxes]
