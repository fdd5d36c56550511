"""`ct-guard calibrate --decisions` as it is typed."""

import json
from pathlib import Path

import pytest

from tests.integration.scored_files import inside, write
from tests.unit.decisions.known import RISKY, TEAM, as_row, graded


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    rows = [*graded(RISKY, 600), *graded(TEAM, 100)]
    write(tmp_path / "logged.jsonl", [*map(as_row, rows), as_row(rows[0]) | {"label": None}])
    return tmp_path / "logged.jsonl"


def test_calibrators_and_promises_are_shown_and_written(logged: Path, tmp_path: Path) -> None:
    done = inside(
        "calibrate", logged, "--decisions", "--alpha", "0.3", "-o", tmp_path / "made.json"
    )
    assert done.exit_code == 0, done.output
    assert "700 graded decisions" in done.output
    assert "log loss before" in done.output
    assert "at most 0.3 wrong among what is decided as no, with probability 0.9" in done.output
    assert "1 rows have no label and do not count." in done.output
    made = json.loads((tmp_path / "made.json").read_text())
    assert [one["question"]["type"] for one in made["calibrators"]] == ["noul", "choice"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--decisions", "--by", "domain"], "--by does not go with --decisions"),
        (["--decisions", "--alpha", "2"], "--alpha must be between 0 and 1"),
        (["--decisions", "--base", "x"], "--base is for --estimator"),
        (["--alpha", "0.1"], "--alpha is for --decisions"),
    ],
)
def test_options_that_do_not_fit_are_named(
    options: list[str], says: str, logged: Path, tmp_path: Path
) -> None:
    done = inside("calibrate", logged, *options, "-o", tmp_path / "made.json")
    assert done.exit_code == 2
    assert says in done.output


def test_a_row_that_cannot_be_used_is_named_by_file_line_and_field(
    logged: Path, tmp_path: Path
) -> None:
    lines = logged.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | {"label": "perhaps"})
    logged.write_text("\n".join(lines))
    done = inside("calibrate", logged, "--decisions", "-o", tmp_path / "made.json")
    assert "line 3: field 'label': 'perhaps' is none of yes, no" in str(done.exception)
    assert not (tmp_path / "made.json").exists()
