"""Diagrams as files."""

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard.errors import InputError, MissingExtraError, UsageError
from ct_guard.evaluation import Evaluation, Options, evaluate_files, read_scored
from ct_guard.evaluation.plot import check_plot, draw

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def evaluation(write: Write, make_rows: MakeRows) -> Evaluation:
    scored = read_scored(write("s.jsonl", make_rows(100)))
    return evaluate_files([scored], Options(resamples=100))


def test_svg_names_what_it_draws_and_is_the_same_each_time(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    for name in ("a.svg", "b.svg"):
        draw(evaluation, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    for part in ("Reliability", "Risk and coverage", "tiny", "question prior"):
        assert part in text
    assert text == (tmp_path / "b.svg").read_text()


def test_png(evaluation: Evaluation, tmp_path: Path) -> None:
    draw(evaluation, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_one_confidence_for_all_rows_shows_as_a_point(
    write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    ranked = make_rows(100)
    alike = [row | {"confidence": 0.5, "logit": 0.0} for row in ranked]
    markers = []
    for name, rows in (("ranked", ranked), ("alike", alike)):
        scored = read_scored(write(f"{name}.jsonl", rows))
        draw(evaluate_files([scored], Options(resamples=100)), tmp_path / f"{name}.svg")
        risk = (tmp_path / f"{name}.svg").read_text().partition('id="axes_2"')[2]
        markers.append(risk.count("fill: #1f77b4; stroke: #1f77b4"))
    assert markers[0] == 0
    assert markers[1] > 0


def test_what_cannot_be_written_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        check_plot(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="folder does not exist"):
        check_plot(tmp_path / "no" / "a.png")
    importing = builtins.__import__

    def without_matplotlib(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return importing(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(MissingExtraError, match=r"ct-guard\[report\]"):
        check_plot(tmp_path / "a.png")
