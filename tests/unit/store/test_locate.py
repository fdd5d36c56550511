"""From a name to an estimator's directory."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from ct_guard.errors import EstimatorError
from ct_guard.store import locate


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "index.json").write_text(
        json.dumps({"default": "hybrid", "estimators": ["hybrid", "query"]})
    )
    monkeypatch.setattr(import_module("ct_guard.store.locate"), "MINI", tmp_path)
    return tmp_path


def test_mini_is_the_default_of_the_embedded_ones(mini: Path) -> None:
    assert locate("mini") == mini / "hybrid"
    assert locate("mini:query") == mini / "query"


@pytest.mark.parametrize("name", ["mini:no", "mini:../query"])
def test_an_unknown_embedded_one_lists_what_there_is(mini: Path, name: str) -> None:
    with pytest.raises(EstimatorError, match="there are mini:hybrid, mini:query"):
        locate(name)


@pytest.mark.parametrize("name", ["sampling", "mini:sampling", "likelihood"])
def test_a_baseline_has_no_directory_until_one_is_made(mini: Path, name: str) -> None:
    with pytest.raises(EstimatorError, match=r"ct-guard baseline .* -o DIR"):
        locate(name)


def test_a_directory_is_itself(tmp_path: Path) -> None:
    assert locate(tmp_path) == tmp_path
    assert locate(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["no/such/place", "minimal"])
def test_anything_else_says_what_to_give(name: str) -> None:
    with pytest.raises(EstimatorError, match=r"give a directory with a manifest\.json, 'mini'"):
        locate(name)


def test_a_file_is_no_estimator(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EstimatorError, match="no estimator at"):
        locate(tmp_path / "file")
