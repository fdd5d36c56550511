"""`ct-guard report` as users type it."""

import sys
from pathlib import Path

import pytest

from ct_guard.page import document
from tests.integration.scored_files import inside, rows, write

TEXT = "a sentence about nothing in particular, in a few words. " * 8


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "charts_script", lambda: "")
    monkeypatch.setattr(document, "require_charts", lambda: None)


def test_a_page_and_its_plots_are_written_and_named(light: None, tmp_path: Path) -> None:
    source = write(tmp_path / "test.jsonl", rows("t", 120, seed=2))
    page = tmp_path / "page.html"
    plots = tmp_path / "plots"
    done = inside(
        "report", source, "-o", page, "--by", "kind", "--plots", plots, "--resamples", "20"
    )
    assert done.exit_code == 0, done.output
    assert f"120 rows in {page}" in done.output
    assert "! tiny" not in done.output
    assert "Only 120 graded rows" in done.output
    assert {path.name for path in plots.iterdir()} == {
        f"{name}.{kind}"
        for name in ("reliability", "risk-coverage", "roc")
        for kind in ("png", "svg")
    }
    again = inside("report", source, "-o", page)
    assert again.exit_code != 0
    assert "use --overwrite" in str(again.exception)


def test_a_setting_is_refused_as_its_option(light: None, tmp_path: Path) -> None:
    source = write(tmp_path / "test.jsonl", rows("t", 30))
    done = inside("report", source, "-o", tmp_path / "p.html", "--error-cost", "-2")
    assert done.exit_code == 2
    assert "--error-cost must be a number from 0 on" in done.output


def test_without_its_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    source = write(tmp_path / "test.jsonl", rows("t", 30))
    done = inside("report", source, "-o", tmp_path / "p.html")
    assert "pip install 'ct-guard[report]'" in str(done.exception)


def test_a_page_of_20_000_rows_is_below_2_mb(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="needs vl-convert-python (extra report)")
    made = [row | {"answer": TEXT, "model": f"m{n % 60}"} for n, row in enumerate(rows("t", 20000))]
    source = write(tmp_path / "test.jsonl", made)
    page = tmp_path / "page.html"
    done = inside("report", source, "-o", page, "--resamples", "20", "--rows", "400", "-q")
    assert done.exit_code == 0, done.output
    assert page.stat().st_size < 2_000_000
    assert b"Of 60 values of model, the 40 with most rows are shown" in page.read_bytes()
