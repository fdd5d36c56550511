"""The measurements of files, small: that they measure, and what they show."""

from pathlib import Path

import pytest

from benchmarks import files, survival
from benchmarks.stand_in import write_rows
from ct_guard.estimators import Estimator
from ct_guard.workflows.runs.journal import Journal


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_is_the_undisturbed_one(tmp_path: Path) -> None:
    found = survival.survive(tmp_path, rows=1500, kills=8, asleep=0.0005, longest=0.25, seed=2)
    assert found.kills == len(found.stored) == 8
    assert list(found.stored) == sorted(found.stored)
    assert 0 < max(found.stored) < 1500
    assert found.same
    assert found.left == ()


def test_in_and_out_is_all_but_the_scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Estimator, "score", Estimator.score)  # put back what is timed
    monkeypatch.setattr(Journal, "append", Journal.append)
    found = files.run(write_rows(tmp_path / "rows.jsonl", 2000), tmp_path / "scored.jsonl")
    assert found["rows"] == 2000
    assert 0 < found["journal_cpu"] <= found["in_and_out_cpu"] < found["cpu"]
    assert files.line("x", found)[:2] == ["x", "2,000"]
