"""Estimator directories: what is written is what is read, and damage is never used."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard.certificates import Certificate
from ct_guard.errors import CalibrationError, ManifestError, OutputExistsError
from ct_guard.query import QUERY_HASH
from ct_guard.records import CalibratorState
from ct_guard.store import (
    MANIFEST,
    BaseModelRef,
    LogisticLayer,
    Manifest,
    Scope,
    load_manifest,
    save_estimator,
)
from ct_guard.store.calibrated import calibrated


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    folder = tmp_path / "lora"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("not part of an estimator")
    return folder


def full() -> Manifest:
    six = (0.5,) * 6
    return Manifest(
        name="full",
        method="hybrid",
        base=BaseModelRef(id="./base", revision="abc", fingerprint="f" * 16),
        style="chat_turn",
        label_ids=(3, 4),
        activation="query",
        layer=LogisticLayer(
            features=tuple("abcdef"),
            low=six,
            high=six,
            mean=six,
            scale=six,
            coef=six,
            intercept=0.1,
        ),
        budget=512,
        calibrators={"*": CalibratorState(kind="platt", params={"a": 1 / 3, "b": -0.1}, n=20)},
        certificates=(Certificate(alpha=0.1, delta=0.1, threshold=0.6, n=9, answered=4, errors=0),),
        scope=Scope(description="café", words=frozenset({"b", "a", "ü"})),
        data={"test": "hash"},
        figures={"auroc": 0.7, "n": 3, "note": "x", "none": None},
        versions={"torch": "2"},
    )


def small(**changes: Any) -> Manifest:
    return Manifest(
        **{"name": "small", "method": "likelihood", "base": BaseModelRef(id="base"), **changes}
    )


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


# --- round trip ----------------------------------------------------------------------------------


def test_what_is_written_is_what_is_read(tmp_path: Path, lora: Path) -> None:
    written = save_estimator(tmp_path / "e", full(), adapter=lora)
    assert load_manifest(tmp_path / "e") == written
    assert written.adapter == "adapter"
    assert set(written.files) == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
    }
    assert written.model_copy(update={"files": {}, "adapter": None}) == full()
    assert written.query_hash == QUERY_HASH


def test_equal_estimators_are_equal_bytes(tmp_path: Path, lora: Path) -> None:
    for name in ("a", "b"):
        save_estimator(tmp_path / name, full(), adapter=lora)
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()


def test_a_directory_that_was_moved_still_loads(tmp_path: Path, lora: Path) -> None:
    written = save_estimator(tmp_path / "e", full(), adapter=lora)
    shutil.move(tmp_path / "e", tmp_path / "elsewhere")
    assert load_manifest(tmp_path / "elsewhere") == written


def test_missing_parents_are_made(tmp_path: Path) -> None:
    save_estimator(tmp_path / "a" / "b" / "e", small())
    assert load_manifest(tmp_path / "a" / "b" / "e").name == "small"


# --- writing in one step -------------------------------------------------------------------------


def test_an_existing_directory_is_kept_unless_told(tmp_path: Path) -> None:
    save_estimator(tmp_path / "e", small())
    with pytest.raises(OutputExistsError, match="exists already"):
        save_estimator(tmp_path / "e", small(name="new"))
    assert load_manifest(tmp_path / "e").name == "small"
    save_estimator(tmp_path / "e", small(name="new"), overwrite=True)
    assert load_manifest(tmp_path / "e").name == "new"


def test_an_estimator_may_be_saved_over_itself(tmp_path: Path, lora: Path) -> None:
    first = save_estimator(tmp_path / "e", full(), adapter=lora)
    again = save_estimator(tmp_path / "e", first, adapter=tmp_path / "e/adapter", overwrite=True)
    assert load_manifest(tmp_path / "e") == again == first


@pytest.mark.parametrize(
    "broken", ["manifest.json.dumps", "directory.os.replace", "directory.shutil.copyfile"]
)
def test_a_failure_leaves_the_old_estimator_and_nothing_else(
    tmp_path: Path, lora: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    home = tmp_path / "home"
    save_estimator(home / "e", full(), adapter=lora)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(f"ct_guard.store.{broken}", fail)
    for name in ("e", "new"):
        with pytest.raises(OSError, match="disk full"):
            save_estimator(home / name, small(), adapter=lora, overwrite=True)
    monkeypatch.undo()
    assert [path.name for path in home.iterdir()] == ["e"]
    assert load_manifest(home / "e").name == "full"


def test_an_old_estimator_that_was_moved_aside_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    save_estimator(home / "e", small())
    replace = os.replace

    def fail_at_the_end(source: Path, target: Path) -> None:
        if target == home / "e":
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr("ct_guard.store.directory.os.replace", fail_at_the_end)
    with pytest.raises(OSError, match="disk full"):
        save_estimator(home / "e", small(name="new"), overwrite=True)
    assert [path.name for path in home.iterdir()] == ["e"]
    assert load_manifest(home / "e").name == "small"


def test_the_old_estimator_is_whole_until_the_new_one_takes_its_place(
    tmp_path: Path, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the old one is deleted while it stands under its name."""
    home = tmp_path / "home"
    save_estimator(home / "e", full(), adapter=lora)
    remove = shutil.rmtree

    def watched(path: Path, **options: Any) -> None:
        assert Path(path) != home / "e"
        remove(path, **options)

    monkeypatch.setattr("ct_guard.store.directory.shutil.rmtree", watched)
    save_estimator(home / "e", small(), overwrite=True)
    assert [path.name for path in home.iterdir()] == ["e"]
    assert load_manifest(home / "e").name == "small"


# --- damage --------------------------------------------------------------------------------------


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ManifestError, match=match) as caught:
        load_manifest(folder)
    assert "\n" not in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    refused(tmp_path, "not an estimator directory")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"[1, 2", b'{"figures": NaN}'])
def test_broken_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    refused(tmp_path, "not valid JSON")


@pytest.mark.parametrize("content", ["[]", "null", "1"])
def test_json_that_is_no_object(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    refused(tmp_path, "must hold one JSON object")


@pytest.mark.parametrize("content", ["{}", '{"schema_version": 2}'])
def test_another_schema_version(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    refused(tmp_path, "schema version")


def test_a_changed_file(tmp_path: Path, lora: Path) -> None:
    save_estimator(tmp_path / "e", full(), adapter=lora)
    (tmp_path / "e/adapter/adapter_model.safetensors").write_bytes(b"weightS")
    refused(tmp_path / "e", "adapter_model.safetensors differs from its hash")


def test_a_missing_file(tmp_path: Path, lora: Path) -> None:
    save_estimator(tmp_path / "e", full(), adapter=lora)
    (tmp_path / "e/adapter/adapter_model.safetensors").unlink()
    refused(tmp_path / "e", "adapter_model.safetensors is missing")


@pytest.mark.parametrize("where", ["../secret", "/etc/hostname", "adapter/../../secret"])
def test_a_file_outside_the_directory(tmp_path: Path, where: str) -> None:
    save_estimator(tmp_path / "e", small())
    (tmp_path / "secret").write_text("secret")
    edit(tmp_path / "e", lambda data: data["files"].update({where: "0" * 64}))
    refused(tmp_path / "e", "outside its directory")


@pytest.mark.parametrize(
    "name",
    ["a\\b", "C:secret", "a//b", "", "./a", "a/.", "a\0b", "a\nb", "\x1b[2J", "x" * 256, "é" * 128],
)
def test_a_file_whose_name_is_no_plain_path(tmp_path: Path, name: str) -> None:
    save_estimator(tmp_path / "e", small())
    for change in ({"files": {name: "0" * 64}}, {"adapter": name}, {"prior": name}):
        edit(tmp_path / "e", lambda data, change=change: data.update(change))  # type: ignore[misc]
        refused(tmp_path / "e", "field '")


def test_a_name_cannot_draw_on_the_terminal(tmp_path: Path) -> None:
    save_estimator(tmp_path / "e", small())
    edit(tmp_path / "e", lambda data: data.update(name="mine\x1b[1A\rcertificate p >= 0"))
    refused(tmp_path / "e", "field 'name': .*invisible characters")


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("platt", {"a": -1.0, "b": 0.0}),
        ("beta", {"a": 1.0, "b": -1e-9, "c": 0.0}),
        ("temperature", {"temperature": 0.0}),
        ("temperature", {"temperature": -2.0}),
        ("isotonic", {"edges": [0.0], "p": [0.5, 2.0]}),
        ("histogram", {"edges": [0.0], "p": [-0.1, 0.5]}),
        ("isotonic", {"edges": [0.0], "p": [0.9, 0.1]}),
        ("isotonic", {"edges": [1.0, 0.0], "p": [0.1, 0.2, 0.3]}),
        ("platt", {"a": 1.0, "b": 0.0, "charm": 1.0}),
        ("platt", {"a": [1.0], "b": 0.0}),
        ("entrails", {}),
    ],
)
def test_a_calibrator_that_no_fit_gives_is_never_applied(kind: str, params: Any) -> None:
    states = {"m": CalibratorState(kind=kind, params=params, n=20)}
    with pytest.raises(CalibrationError):
        calibrated(states, np.zeros(1), "m")


@pytest.mark.parametrize(
    "change",
    [
        {"answered": 10},
        {"errors": 5},
        {"alpha": 1.5},
        {"threshold": -0.1},
    ],
)
def test_a_certificate_whose_numbers_do_not_fit(tmp_path: Path, change: dict[str, float]) -> None:
    save_estimator(tmp_path / "e", full())
    edit(tmp_path / "e", lambda data: data["certificates"][0].update(change))
    refused(tmp_path / "e", "field 'certificates")


def test_a_link_that_leads_outside(tmp_path: Path) -> None:
    save_estimator(tmp_path / "e", small())
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "e/inside").symlink_to(tmp_path / "secret")
    edit(tmp_path / "e", lambda data: data["files"].update({"inside": "0" * 64}))
    refused(tmp_path / "e", "outside its directory")


def test_adapter_weights_without_a_hash(tmp_path: Path, lora: Path) -> None:
    save_estimator(tmp_path / "e", full(), adapter=lora)
    edit(tmp_path / "e", lambda data: data["files"].pop("adapter/adapter_model.safetensors"))
    refused(tmp_path / "e", "hashes no adapter_model.safetensors of its adapter 'adapter'")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unheard_of", 1),
        ("style", "verse"),
        ("activation", "some"),
        ("budget", 0),
        ("name", None),
        ("label_ids", [1]),
        ("files", {"weights": "no hash"}),
    ],
)
def test_a_field_that_is_unknown_or_wrong_is_named(
    tmp_path: Path, field: str, value: object
) -> None:
    save_estimator(tmp_path / "e", small())
    edit(tmp_path / "e", lambda data: data.update({field: value}))
    refused(tmp_path / "e", f"field '{field}")


CALIBRATION: dict[str, Any] = {
    "name": "other",
    "calibrators": {},
    "certificates": (),
    "data": {},
    "figures": {},
    "base": BaseModelRef(id="/moved", fingerprint="f" * 16),
}


def test_the_scorer_is_what_a_raw_score_follows_from(lora: Path, tmp_path: Path) -> None:
    made = save_estimator(tmp_path / "e", full(), adapter=lora)
    assert load_manifest(tmp_path / "e").scorer == made.scorer
    assert made.model_copy(update=CALIBRATION).scorer == made.scorer
    exported = made.files | {"adapter/adapter.gguf": "0" * 64, "questions.json": "0" * 64}
    assert made.model_copy(update={"files": exported}).scorer == made.scorer

    (lora / "adapter_model.safetensors").write_bytes(b"tuned again")
    again = save_estimator(tmp_path / "again", full(), adapter=lora)
    others = [again, *(made.model_copy(update=one) for one in ({"budget": 99}, {"layer": None}))]
    assert len({made.scorer, *(other.scorer for other in others)}) == 4


def test_the_scorer_does_not_follow_the_order_of_a_set(lora: Path, tmp_path: Path) -> None:
    """PEFT writes the names of the modules in the order of a set, which changes by process."""
    made = []
    for name, modules in (("a", ["q", "v", "k"]), ("b", ["v", "k", "q"])):
        config = {"peft_type": "LORA", "target_modules": modules}
        (lora / "adapter_config.json").write_text(json.dumps(config))
        made.append(save_estimator(tmp_path / name, full(), adapter=lora))
    assert made[0].scorer == made[1].scorer
