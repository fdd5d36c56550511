"""Files divided by question."""

import json
from pathlib import Path

import pytest

from ct_guard.datasets.split import part_of, split_file
from ct_guard.errors import InputError, OutputExistsError, UsageError
from ct_guard.records import GradedAnswer, QuestionAnswer
from ct_guard.tuning import split_by_question

SHARES = {"tuning": 50.0, "test": 25.0, "rest": 25.0}


def rows(count: int, answers: int = 2) -> list[dict[str, object]]:
    return [
        {"question": f"Number {n // answers}?", "answer": str(n), "tag": {"n": n}}
        for n in range(count * answers)
    ]


def write(path: Path, made: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_row_is_in_one_part_as_it_was_and_questions_stay_together(tmp_path: Path) -> None:
    source = write(tmp_path / "graded.jsonl", rows(400))
    found = split_file(source, tmp_path / "parts", SHARES)
    parts = {name: read(tmp_path / "parts" / f"{name}.jsonl") for name in SHARES}
    assert sorted(
        (row for part in parts.values() for row in part), key=lambda row: int(str(row["answer"]))
    ) == rows(400)
    asked = {name: {row["question"] for row in part} for name, part in parts.items()}
    assert sum(map(len, asked.values())) == 400
    assert found == {name: (len(parts[name]), len(asked[name])) for name in SHARES}
    assert 160 < len(asked["tuning"]) < 240
    assert 70 < len(asked["test"]) < 130


def test_the_same_question_elsewhere_falls_into_the_same_part(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", rows(40))
    other = write(
        tmp_path / "other.jsonl",
        [{"question": row["question"]} for row in reversed(rows(80, answers=1))],
    )
    split_file(one, tmp_path / "a", SHARES)
    split_file(other, tmp_path / "b", SHARES)
    for name in SHARES:
        few, many = (
            {row["question"] for row in read(tmp_path / folder / f"{name}.jsonl")}
            for folder in ("a", "b")
        )
        assert few <= many


def test_a_part_can_be_divided_again_by_tune(tmp_path: Path) -> None:
    """The lots of the one are not those of the other."""
    graded = [
        GradedAnswer(qa=QuestionAnswer(question=f"Number {n}?", answer="1"), correct=True)
        for n in range(400)
    ]
    tuning = [row for row in graded if part_of(row.qa.question_key(), SHARES, "part:0") == "tuning"]
    again = split_by_question(tuning, {"tuning": 0.7, "validation": 0.15, "calibration": 0.15})
    assert min(map(len, again.values())) > 10


def test_another_seed_divides_otherwise() -> None:
    keys = [f"user\x1fNumber {n}?" for n in range(100)]
    drawn = [[part_of(key, SHARES, lots) for key in keys] for lots in ("part:0", "part:1")]
    assert drawn[0] != drawn[1]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "question": [f"Number {n}?" for n in range(60)],
            "answer": ["1"] * 60,
            "at": pyarrow.array(range(60), pyarrow.timestamp("ms")),
        }
    )
    parquet.write_table(table, tmp_path / "q.parquet")
    split_file(tmp_path / "q.parquet", tmp_path, {"a": 1, "b": 1})
    a, b = (parquet.read_table(tmp_path / f"{name}.parquet") for name in "ab")
    assert a.schema == b.schema == table.schema
    assert sorted(a["at"].to_pylist() + b["at"].to_pylist()) == table["at"].to_pylist()


@pytest.mark.parametrize(
    ("line", "said"),
    [("{}", "line 3: field 'question' is missing"), ("{oops", "line 3: is not JSON")],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path: Path, line: str, said: str) -> None:
    source = write(tmp_path / "q.jsonl", rows(1))
    with source.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(InputError, match=said):
        split_file(source, tmp_path / "parts", {"a": 1, "b": 1})
    assert not (tmp_path / "parts").exists()


def test_too_few_questions_are_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    source = write(tmp_path / "q.jsonl", rows(1))
    with pytest.raises(InputError, match="no question falls into the part"):
        split_file(source, tmp_path / "parts", SHARES)
    assert not (tmp_path / "parts").exists()


def test_what_is_there_stays(tmp_path: Path) -> None:
    source = write(tmp_path / "q.jsonl", rows(40))
    split_file(source, tmp_path, SHARES)
    before = (tmp_path / "test.jsonl").read_text()
    with pytest.raises(OutputExistsError, match="`overwrite`"):
        split_file(source, tmp_path, SHARES, seed=1)
    assert (tmp_path / "test.jsonl").read_text() == before
    split_file(source, tmp_path, SHARES, seed=1, overwrite=True)
    assert (tmp_path / "test.jsonl").read_text() != before
    with pytest.raises(InputError, match="is the input itself"):
        split_file(tmp_path / "test.jsonl", tmp_path, SHARES, overwrite=True)


@pytest.mark.parametrize("shares", [{"../a": 1.0}, {"": 1.0}, {"a": 0.0}, {"a": float("nan")}])
def test_shares_are_names_and_numbers(tmp_path: Path, shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="a share above 0"):
        split_file(write(tmp_path / "q.jsonl", rows(2)), tmp_path / "parts", shares)
