"""Rows by an estimator whose counts are known, and pages without the weight of Vega."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard.evaluation import Scored, read_scored
from ct_guard.page import document
from tests.unit.evaluation.conftest import estimator, make_rows, scored_rows, write

__all__ = ["estimator", "make_rows", "write"]


@pytest.fixture
def scored(tmp_path: Path) -> Callable[..., Scored]:
    """Rows as they are read, changed by `change` before that."""

    def making(
        count: int = 200, change: Callable[[int, dict[str, Any]], object] | None = None
    ) -> Scored:
        rows = scored_rows(count)
        for at, row in enumerate(rows):
            if change is not None:
                change(at, row)
        path = tmp_path / "scored.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return read_scored(path)

    return making


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages whose diagrams are not drawn."""
    monkeypatch.setattr(document, "charts_script", lambda: "window.vegaEmbed = undefined;")
    monkeypatch.setattr(document, "require_charts", lambda: None)
