"""An estimator that is changed is the old one or the new one, at every moment."""

import os
from pathlib import Path

import pytest

from ct_guard.errors import ManifestError, OutputExistsError
from ct_guard.records import CalibratorState
from ct_guard.store import (
    BaseModelRef,
    Manifest,
    load_manifest,
    load_questions,
    question_hash,
    revise_estimator,
    save_estimator,
)

SOME = {"tuning": frozenset({question_hash("a"), question_hash("b")})}
MORE = {**SOME, "calibration": frozenset({question_hash("c")})}
PLATT = CalibratorState(kind="platt", params={"a": 1.0, "b": 0.5}, n=50)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "adapter_config.json").write_text("{}")
    (lora / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "base").mkdir()
    home = tmp_path / "home" / "e"
    save_estimator(
        home,
        Manifest(name="e", method="query", base=BaseModelRef(id="../../base"), activation="query"),
        adapter=lora,
    )
    return home


def changed(folder: Path) -> Manifest:
    return load_manifest(folder).model_copy(update={"calibrators": {"*": PLATT}})


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_in_place_the_manifest_and_the_questions_change_and_nothing_else(folder: Path) -> None:
    (folder / "NOTES.md").write_text("mine")
    revise_estimator(folder, folder, changed(folder), questions=SOME)
    written = revise_estimator(folder, folder, load_manifest(folder), questions=MORE)
    assert load_manifest(folder) == written
    assert written.calibrators == {"*": PLATT}
    assert written.questions is not None
    assert load_questions(folder / written.questions) == MORE
    assert set(content_of(folder)) == {
        "manifest.json", "NOTES.md", written.questions,
        "adapter/adapter_config.json", "adapter/adapter_model.safetensors",
    }  # fmt: skip


def test_whatever_write_fails_the_old_estimator_stays_readable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = revise_estimator(folder, folder, load_manifest(folder), questions=SOME)
    replace, calls = os.replace, []

    def fail_on(number: int) -> None:
        def failing(source: Path, target: Path) -> None:
            calls.append(target)
            if len(calls) == number:
                raise OSError("disk full")
            replace(source, target)

        calls.clear()
        monkeypatch.setattr("os.replace", failing)

    for number in (1, 2):
        fail_on(number)
        with pytest.raises(OSError, match="disk full"):
            revise_estimator(folder, folder, changed(folder), questions=MORE)
        assert load_manifest(folder) == old
        assert not list(folder.glob(".*"))
    fail_on(3)
    assert revise_estimator(folder, folder, changed(folder), questions=MORE).calibrators
    assert len(calls) == 2


def test_a_copy_has_the_files_and_finds_its_base(folder: Path, tmp_path: Path) -> None:
    sibling, far = folder.parent / "f", tmp_path / "far" / "away" / "g"
    near = revise_estimator(folder, sibling, changed(folder), questions=SOME)
    moved = revise_estimator(folder, far, changed(folder), questions=SOME)
    assert near.base.id == "../../base"
    assert Path(moved.base.id) == tmp_path / "base"
    for copy in (sibling, far):
        assert load_manifest(copy).calibrators == {"*": PLATT}
        assert (copy / "adapter/adapter_model.safetensors").read_bytes() == b"weights"
    assert load_manifest(folder).calibrators == {}


def test_only_another_estimator_is_ever_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/me.png").write_bytes(b"x")
    with pytest.raises(OutputExistsError, match="no estimator"):
        revise_estimator(folder, tmp_path / "photos", changed(folder), questions={}, overwrite=True)
    assert (tmp_path / "photos/me.png").exists()
    other = folder.parent / "other"
    revise_estimator(folder, other, load_manifest(folder), questions={})
    with pytest.raises(OutputExistsError, match="exists already"):
        revise_estimator(folder, other, changed(folder), questions={})
    revise_estimator(folder, other, changed(folder), questions={}, overwrite=True)
    assert load_manifest(other).calibrators == {"*": PLATT}


def test_a_questions_file_without_a_hash_is_refused(folder: Path) -> None:
    written = revise_estimator(folder, folder, load_manifest(folder), questions=SOME)
    files = {name: digest for name, digest in written.files.items() if name != written.questions}
    text = written.model_copy(update={"files": files}).model_dump_json()
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match="hashes no questions-"):
        load_manifest(folder)
