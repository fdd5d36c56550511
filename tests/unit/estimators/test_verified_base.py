"""An estimator's base is verified to the last byte, wherever it lies and in whichever form."""

import json
import shutil
from pathlib import Path

import pytest

from ct_guard.errors import MismatchError
from ct_guard.estimators import load_estimator
from ct_guard.export import export_estimator
from ct_guard.store import MINI, load_manifest


def flip(path: Path, at: int = -1000) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """`mini:query` with a base of its own, in both forms, inside its directory."""
    folder = tmp_path / "own"
    export_estimator("mini:query", folder, kind="f32")
    for path in (MINI / "base").iterdir():
        if path.suffix != ".gguf":
            shutil.copy(path, folder / "base")
    return folder


def test_its_own_base_is_accepted_in_both_forms(own: Path) -> None:
    for backend in ("transformers", "llama_cpp"):
        load_estimator(own, backend=backend).close()


@pytest.mark.parametrize(
    ("backend", "file"), [("transformers", "model.safetensors"), ("llama_cpp", "model.gguf")]
)
def test_changed_weights_inside_an_estimator_are_refused(
    backend: str, file: str, own: Path
) -> None:
    flip(own / "base" / file)
    with pytest.raises(MismatchError, match="base"):
        load_estimator(own, backend=backend)


def test_a_gguf_file_with_changed_weights_keeps_its_header_and_is_refused(tmp_path: Path) -> None:
    changed = tmp_path / "changed.gguf"
    shutil.copyfile(MINI / "base" / "model.gguf", changed)
    flip(changed)
    with pytest.raises(MismatchError, match="weights, configuration or tokenizer"):
        load_estimator("mini", base=changed, backend="llama_cpp")


@pytest.mark.parametrize("key", ["rms_norm_eps", "hidden_act", "max_position_embeddings"])
def test_a_changed_configuration_is_refused(key: str, own: Path) -> None:
    path = own / "base" / "config.json"
    config = json.loads(path.read_text())
    changed = {"rms_norm_eps": 1e-3, "hidden_act": "gelu", "max_position_embeddings": 128}
    path.write_text(json.dumps(config | {key: changed[key]}))
    with pytest.raises(MismatchError, match="weights, configuration or tokenizer"):
        load_estimator(own)


def test_an_estimator_from_before_digests_were_kept_still_loads(own: Path) -> None:
    path = own / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["base"].pop("digests")
    path.write_text(json.dumps(manifest))
    load_estimator(own).close()


def test_an_export_makes_the_file_that_it_wrote_known(own: Path, tmp_path: Path) -> None:
    before = load_manifest(own).base.digests
    export_estimator(own, kind="q8_0", overwrite=True)
    after = load_manifest(own).base.digests
    assert len(after) == len(before) + 1
    load_estimator(own).close()


def test_every_embedded_estimator_knows_both_forms_of_the_embedded_base() -> None:
    names = json.loads((MINI / "index.json").read_text())["estimators"]
    assert {len(load_manifest(MINI / name).base.digests) for name in names} == {2}
