"""The audit: a blind, stratified draw; rates with intervals that hold what they promise."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from ct_guard.datasets import Stratum, draw, grader_rates, measure
from ct_guard.errors import InputError, OutputExistsError, UsageError
from ct_guard.risk import corrected_risk


def graded(path: Path, verdicts: list[bool | None]) -> Path:
    rows = [
        {"question": f"Q{n}", "gold": ["x", "y"], "answer": f" a {n}\r\n", "correct": verdict}
        for n, verdict in enumerate(verdicts, start=1)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return graded(tmp_path / "graded.jsonl", ([True] * 3 + [False, None]) * 20)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def fill(path: Path, verdict: Any) -> None:
    """What a person does: a verdict for each row."""
    rows = read(path)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "correct": verdict(row)})


def test_half_of_each_verdict_is_drawn_and_none_is_shown(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "check.csv"
    assert draw(rows, out, 20, gold="gold") == 20
    drawn = read(out)
    assert list(drawn[0]) == ["row", "question", "gold", "answer", "correct"]
    assert {row["correct"] for row in drawn} == {""}
    assert drawn[0]["gold"] == '["x", "y"]'
    kinds = [(int(row["row"]) - 1) % 5 for row in drawn]
    assert kinds.count(3) == 10
    assert 4 not in kinds
    assert [int(row["row"]) for row in drawn] == sorted({int(row["row"]) for row in drawn})


def test_the_seed_decides_what_is_drawn(rows: Path, tmp_path: Path) -> None:
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / f"{number}.csv"
        draw(rows, out, 10, gold="gold", seed=seed)
        drawn.append(out.read_text())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("verdicts", "size", "drawn"),
    [([True] * 5, 4, 4), ([True] * 5 + [False], 4, 4), ([True, False], 9, 2), ([False] * 3, 2, 2)],
)
def test_where_one_verdict_is_rare_the_other_fills_up(
    verdicts: list[bool | None], size: int, drawn: int, tmp_path: Path
) -> None:
    source = graded(tmp_path / "graded.jsonl", verdicts)
    assert draw(source, tmp_path / "check.csv", size, gold="gold") == drawn


def test_a_draw_that_makes_no_sense_is_refused(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 2"):
        draw(rows, tmp_path / "x.csv", 1, gold="gold")
    with pytest.raises(UsageError, match="nothing to audit"):
        draw(graded(tmp_path / "g.jsonl", [None]), tmp_path / "x.csv", 2, gold="gold")
    (tmp_path / "x.csv").write_text("a person's work")
    with pytest.raises(OutputExistsError):
        draw(rows, tmp_path / "x.csv", 2, gold="gold")
    assert (tmp_path / "x.csv").read_text() == "a person's work"


def test_a_person_who_agrees_finds_no_errors(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "check.csv"
    draw(rows, out, 20, gold="gold")
    fill(out, lambda row: "FALSE" if int(row["row"]) % 5 == 4 else "true")
    audit = measure(rows, out)
    assert (audit.right.rows, audit.right.checked, audit.right.overturned) == (60, 10, 0)
    assert (audit.wrong.rows, audit.wrong.checked, audit.wrong.overturned) == (20, 10, 0)
    assert audit.false_pass.value == audit.false_fail.value == 0.0
    assert audit.false_pass.low == 0.0 < audit.false_pass.high < 1.0
    assert corrected_risk(0.1, audit.false_pass.high) > 0.1


def test_rates_are_weighted_by_the_rows_of_each_verdict(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "check.csv"
    draw(rows, out, 40, gold="gold")
    overturned = {row["row"] for row in read(out) if int(row["row"]) % 5 != 4}
    overturned = set(sorted(overturned, key=int)[:5])
    fill(out, lambda row: str((int(row["row"]) % 5 != 4) and row["row"] not in overturned))
    audit = measure(rows, out)
    assert (audit.right.checked, audit.right.overturned) == (20, 5)
    # a quarter of the 60 right ones, 15, are truly wrong, beside all of the 20 wrong ones
    assert audit.false_pass.value == pytest.approx(15 / 35)
    assert audit.false_fail.value == 0.0


def test_rows_left_empty_are_undecided(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "check.csv"
    draw(rows, out, 10, gold="gold")
    with pytest.raises(InputError, match="no verdict yet"):
        measure(rows, out)
    first = read(out)[0]["row"]
    fill(out, lambda row: "1" if row["row"] == first else " ".strip())
    audit = measure(rows, out)
    assert audit.undecided == 9
    assert audit.false_pass.value is None
    assert (audit.false_pass.low, audit.false_pass.high) == (0.0, 1.0)


@pytest.mark.parametrize("verdict", ["maybe", "2", "yes"])
def test_a_verdict_that_is_no_boolean_is_named_by_line(
    verdict: str, rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "check.csv"
    draw(rows, out, 10, gold="gold")
    fill(out, lambda row: verdict)
    with pytest.raises(InputError, match=r"line \d+.*'correct' must be true or false"):
        measure(rows, out)


def test_the_audit_of_another_file_is_refused(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "check.csv"
    draw(rows, out, 10, gold="gold")
    fill(out, lambda row: "true")
    other = graded(tmp_path / "other.jsonl", [False] * 100)
    other.write_text(other.read_text().replace(" a ", " b "))
    with pytest.raises(InputError, match="not drawn from"):
        measure(other, out)
    with pytest.raises(InputError, match="has rows that"):
        measure(graded(tmp_path / "short.jsonl", [True, False]), out)


def test_a_row_that_is_there_twice_is_refused(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "check.jsonl"
    out.write_text('{"row": 1, "answer": "a 1", "correct": true}\n' * 2)
    with pytest.raises(InputError, match="twice"):
        measure(rows, out)
    out.write_text('{"row": "one", "answer": "a 1", "correct": true}\n')
    with pytest.raises(InputError, match="'row' must be a number"):
        measure(rows, out)


strata = st.integers(0, 500).flatmap(
    lambda rows: st.integers(0, rows).flatmap(
        lambda checked: st.integers(0, checked).map(
            lambda overturned: Stratum(rows=rows, checked=checked, overturned=overturned)
        )
    )
)


@given(strata, strata)
def test_intervals_hold_the_estimate(right: Stratum, wrong: Stratum) -> None:
    for rate in grader_rates(right, wrong):
        assert 0.0 <= rate.low <= rate.high <= 1.0
        if rate.value is not None:
            assert rate.low <= rate.value <= rate.high


def test_with_one_verdict_known_exactly_the_bounds_are_clopper_and_pearsons() -> None:
    wrong = Stratum(rows=10**9, checked=10**6, overturned=10**6)
    right = Stratum(rows=100, checked=40, overturned=4)
    # nothing that was graded wrong is truly wrong, so all the wrong answers passed
    assert grader_rates(right, wrong)[0].value == 1.0
    none = Stratum(rows=0, checked=0, overturned=0)
    shares = grader_rates(right, none)[1]
    assert (shares.value, shares.low, shares.high) == (0.0, 0.0, 0.0)
    low = beta.ppf(0.0125, 4, 37)
    even = Stratum(rows=100, checked=100, overturned=0)
    rate = grader_rates(right, even)[0]
    assert rate.low == pytest.approx(low / (low + 1.0))


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_say() -> None:
    rng = random.Random(0)
    q_right, q_wrong = 0.1, 0.2
    true = 600 * q_right / (600 * q_right + 400 * (1 - q_wrong))
    held = 0
    for _ in range(400):
        right, wrong = (
            Stratum(rows=size, checked=40, overturned=sum(rng.random() < q for _ in range(40)))
            for size, q in ((600, q_right), (400, q_wrong))
        )
        rate = grader_rates(right, wrong, level=0.9)[0]
        held += rate.low <= true <= rate.high
    assert held >= 0.9 * 400
