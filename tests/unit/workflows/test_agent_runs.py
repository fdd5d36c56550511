"""From a file of labelled runs to an estimator that knows how likely a run is to succeed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ct_guard import CalibrateRunsConfig, calibrate_runs
from ct_guard.cli import cli
from ct_guard.errors import OutputExistsError
from ct_guard.runs import RunLayer
from ct_guard.store import BaseModelRef, Manifest, load_manifest, save_estimator
from tests.agent_runs import drawn_runs, write_runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest = Manifest(name="mine", method="zero-shot", base=BaseModelRef(id="any"))
    save_estimator(tmp_path / "mine", manifest)
    return tmp_path / "mine"


def test_a_copy_of_the_estimator_knows_runs_and_a_newer_fit_takes_the_place_of_the_older(
    folder: Path, tmp_path: Path
) -> None:
    source, target = write_runs(tmp_path / "runs.jsonl", drawn_runs(200)), tmp_path / "knows"
    for count in (200, 100):
        write_runs(source, drawn_runs(count), {"turns": [{"p": [0.5]}]})
        config = CalibrateRunsConfig(estimator=folder, overwrite=count == 100)
        made = calibrate_runs(source, target, config)
        (layer,) = load_manifest(target).promises
        assert isinstance(layer, RunLayer)
        assert layer == made.fitted.layer
        assert layer.n == count
        assert "1 runs have no label and do not count." in made.remarks
    assert load_manifest(folder).promises == ()
    with pytest.raises(OutputExistsError):
        calibrate_runs(source, target, CalibrateRunsConfig(estimator=folder))


def test_few_runs_are_said_to_be_few(folder: Path, tmp_path: Path) -> None:
    source = write_runs(tmp_path / "runs.jsonl", drawn_runs(60))
    made = calibrate_runs(source, tmp_path / "knows", CalibrateRunsConfig(estimator=folder))
    assert any("leave the layer much to chance: 80 would do" in line for line in made.remarks)


def test_the_command_says_what_it_is_worth_and_refuses_options_of_scored_answers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(write_runs(tmp_path / "runs.jsonl", drawn_runs(200)))
    target = str(tmp_path / "knows")
    common = ["calibrate", "--runs", source, "-o", target]
    done = CliRunner().invoke(cli, [*common, "-e", str(folder)])
    assert done.exit_code == 0, done.output
    assert "200 labelled runs" in done.output
    assert "least confidence alone" in done.output
    shown = CliRunner().invoke(cli, ["inspect", target])
    assert "P(an agent's run succeeds), from 200 runs" in " ".join(shown.output.split())
    for wrong, said in (
        (common, "--runs needs --estimator"),
        ([*common, "-e", str(folder), "--kind", "platt"], "--kind is for scored answers"),
    ):
        refused = CliRunner().invoke(cli, wrong)
        assert refused.exit_code == 2
        assert said in refused.output
