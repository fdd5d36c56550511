"""Diagrams of a page as images."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ct_guard.errors import InputError, OutputExistsError
from ct_guard.evaluation import Scored
from ct_guard.page import PLOTS, Content, Costs, Source, content_of, draw_plots
from ct_guard.page.plots import check_plots


@pytest.fixture
def content(scored: Callable[..., Scored]) -> Content:
    rows = scored(100)
    sources = [Source("tiny", rows), Source("other", rows)]
    return content_of(sources, title="t", made="today", costs=Costs(10, 1), resamples=20)


def test_each_is_written_as_png_and_svg_and_names_what_it_draws(
    content: Content, tmp_path: Path
) -> None:
    written = draw_plots(content, tmp_path / "plots")
    assert {path.stem for path in written} == set(PLOTS)
    assert len(written) == 2 * len(PLOTS)
    for path in written:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        else:
            text = path.read_text()
            assert "tiny" in text
            assert "other" in text
    assert "Risk and coverage" in (tmp_path / "plots" / "risk-coverage.svg").read_text()


def test_what_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="create it first"):
        check_plots(tmp_path / "no" / "plots", overwrite=False)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        check_plots(tmp_path / "file", overwrite=True)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "roc.svg").touch()
    with pytest.raises(OutputExistsError, match=r"roc\.svg: exists"):
        check_plots(tmp_path / "plots", overwrite=False)
    check_plots(tmp_path / "plots", overwrite=True)
