"""The life cycle of a tuning run: what is told, what is kept, what goes on, what is in the way."""

import json
from pathlib import Path

import pytest

from ct_guard import TuneConfig, tune
from ct_guard.errors import FieldError, OutputExistsError
from ct_guard.store import load_manifest
from ct_guard.workflows.recipes import check_settings, settings_of
from ct_guard.workflows.tuning import Place
from tests.integration.test_cli_tune import write
from tests.unit.tuning.rows import graded
from tests.unit.workflows.conftest import Heard


def config_of(base: Path) -> TuneConfig:
    return TuneConfig(
        base=str(base),
        learning_rate=5e-3,
        batch_size=16,
        warmup=2,
        steps=8,
        evaluate_every=4,
        start="zero",
    )


def test_a_run_makes_an_estimator_tells_of_it_and_leaves_its_log(
    tiny_base: Path, tmp_path: Path, heard: Heard
) -> None:
    source = write(tmp_path / "graded.jsonl", graded(240))
    made = tune(source, tmp_path / "mine", config_of(tiny_base), report=heard)
    assert made is not None
    assert made.folder == tmp_path / "mine"
    assert load_manifest(made.folder) == made.manifest
    assert [one.step for one in made.history] == [4, 8]
    assert heard.works == [("Tuning", 8, "steps")]
    assert heard.done == 8
    parts, lora, *evaluations = heard.lines
    assert parts.startswith("Parts, by question: tuning ")
    assert "untouched by construction" in lora
    assert [line.split(":")[0] for line in evaluations] == ["step 4/8", "step 8/8"]
    place = Place.of(f"{tmp_path / 'mine'}/")
    logged = [json.loads(line)["step"] for line in place.log.read_text().splitlines()]
    assert logged == [4, 8]
    assert not place.runs.exists()


def test_what_is_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    place = Place.of(tmp_path / "mine")
    place.check(resume=False, overwrite=False)
    place.runs.mkdir()
    (place.runs / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="something else than a tuning run"):
        place.check(resume=True, overwrite=True)
    place.checkpoint.write_bytes(b"x")
    with pytest.raises(OutputExistsError, match="with `resume`, or begin anew with `overwrite`"):
        place.check(resume=False, overwrite=False)
    place.check(resume=True, overwrite=False)
    place.target.mkdir()
    with pytest.raises(OutputExistsError, match="exists already"):
        place.check(resume=True, overwrite=False)


def test_a_recipe_gives_way_to_fields() -> None:
    settings = settings_of(TuneConfig(base="mini", recipe="paper", steps=7, targets="a, b"))
    assert (settings.activation, settings.batch_size, settings.steps) == ("all", 4, 7)
    assert settings.targets == ("a", "b")
    assert settings_of(TuneConfig(base="mini", targets="all-linear")).targets == "all-linear"


def test_what_is_no_setting_of_the_loop_follows_the_recipe_too() -> None:
    paper, other = TuneConfig(base="x", recipe="paper"), TuneConfig(base="x")
    assert (paper.bits, paper.fitted, paper.twins) == ("8bit", "temperature", 0.0)
    assert (other.bits, other.fitted, other.twins) == (None, "platt", 0.0)
    given = TuneConfig(base="x", recipe="paper", quantization="none", calibrator="none", twins=0.1)
    assert (given.bits, given.fitted, given.twins) == (None, None, 0.1)


def test_a_field_that_would_be_ignored_is_named_as_a_field() -> None:
    with pytest.raises(FieldError, match="`rank` is about a LoRA"):
        check_settings(TuneConfig(base="mini", method="probe", rank=4), ("validation",))
    with pytest.raises(FieldError, match="`layer` is for `method` hybrid"):
        check_settings(TuneConfig(base="mini", layer="rows.jsonl"), ("validation",))
