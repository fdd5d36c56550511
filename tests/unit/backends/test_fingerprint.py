"""Which base is it (`fingerprint`), and is it unchanged to the last byte (`digest`)?"""

import json
import os
import shutil
from pathlib import Path

import pytest

from ct_guard.backends.fingerprint import digest, fingerprint
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.files import cache


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_base, folder)
    return folder


def flip(path: Path, at: int) -> None:
    """Change one bit, and leave the file's size and times as they were."""
    about = path.stat()
    with path.open("r+b") as file:
        file.seek(at if at >= 0 else about.st_size + at)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_copy_is_the_same_base(tiny_base: Path, copy: Path, tmp_path: Path) -> None:
    assert len(fingerprint(copy)) == 16
    assert fingerprint(copy) == fingerprint(tiny_base)
    assert len(digest(copy)) == 64
    assert digest(copy) == digest(tiny_base)
    assert fingerprint(tmp_path) == digest(tmp_path) == ""


def test_a_changed_weight_is_noticed(tiny_base: Path, copy: Path) -> None:
    flip(copy / "model.safetensors", -1)
    assert fingerprint(copy) != fingerprint(tiny_base)
    assert digest(copy) != digest(tiny_base)


@pytest.mark.parametrize(
    "change",
    [
        {"rms_norm_eps": 0.1},
        {"head_dim": 12, "query_pre_attn_scalar": 4},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}},
        {"hidden_act": "gelu"},
        {"max_position_embeddings": 64},
        {"dtype": "bfloat16"},
        {"a_key_of_tomorrow": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_configuration_is_noticed(
    change: dict[str, object], tiny_base: Path, copy: Path
) -> None:
    edit(copy / "config.json", **change)
    assert digest(copy) != digest(tiny_base)


def test_who_saved_a_configuration_changes_nothing(tiny_base: Path, copy: Path) -> None:
    edit(copy / "config.json", transformers_version="5.0.0", _name_or_path="somewhere")
    assert digest(copy) == digest(tiny_base)


@pytest.mark.parametrize("name", ["vocab.txt", "spiece.model", "tekken.json"])
def test_what_a_tokenizer_of_another_form_is_read_from_is_noticed(name: str, copy: Path) -> None:
    (copy / name).write_text("a")
    with_tokenizer, other = digest(copy), copy / "additional_chat_templates"
    (copy / name).write_text("b")
    assert digest(copy) == with_tokenizer  # nobody reads it
    other.mkdir()
    (other / "tools.jinja").write_text("{{ messages }}")
    assert digest(copy) != with_tokenizer
    (copy / "tokenizer.json").unlink()
    alone = digest(copy)
    (copy / name).write_text("c")
    assert digest(copy) != alone


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_a_changed_tokenizer_is_noticed(name: str, tiny_base: Path, copy: Path) -> None:
    with (copy / name).open("a") as file:
        file.write("\n")
    assert fingerprint(copy) != fingerprint(tiny_base)
    assert digest(copy) != digest(tiny_base)


def test_a_gguf_file_has_the_fingerprint_of_its_directory_and_bytes_of_its_own(
    tiny_base: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.gguf"
    shutil.copyfile(tiny_gguf, changed)
    flip(changed, -1)
    assert fingerprint(tiny_gguf) == fingerprint(changed) == fingerprint(tiny_base)
    assert len({digest(tiny_gguf), digest(changed), digest(tiny_base)}) == 3


def test_a_file_of_another_origin_is_its_own_base(tiny_gguf: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.gguf"
    data = tiny_gguf.read_bytes().replace(b"ct_guard.fingerprint", b"ct_elsewhere.printed")
    foreign.write_bytes(data)
    assert fingerprint(foreign) == digest(foreign)[:16]
    assert fingerprint(foreign) != fingerprint(tiny_gguf)
    flip(foreign, -1)
    assert fingerprint(foreign) == digest(foreign)[:16]


def test_backends_carry_both(tiny_base: Path, tiny_gguf: Path) -> None:
    there = TransformersBackend.load(tiny_base, device="cpu")
    here = LlamaCppBackend.load(tiny_gguf, n_ctx=256, threads=1)
    assert (there.fingerprint, there.digest) == (fingerprint(tiny_base), digest(tiny_base))
    assert (here.fingerprint, here.digest) == (fingerprint(tiny_gguf), digest(tiny_gguf))
    there.close()
    here.close()


class TestLargeFiles:
    """Their hashes are kept in the cache."""

    @pytest.fixture(autouse=True)
    def _every_file_is_large(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(cache, "QUICK", 0)
        monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))

    def test_are_read_once(self, copy: Path, tmp_path: Path) -> None:
        found = cache.file_digest(copy / "model.safetensors")
        (note,) = (tmp_path / "cache" / "digests").iterdir()
        assert note.read_text() == found
        note.write_text("f" * 64)  # tells a note that is believed from a file that is read
        assert cache.file_digest(copy / "model.safetensors") == "f" * 64

    def test_are_read_again_when_they_changed_under_the_same_size_and_times(
        self, copy: Path
    ) -> None:
        before = cache.file_digest(copy / "model.safetensors")
        flip(copy / "model.safetensors", -1)
        assert cache.file_digest(copy / "model.safetensors") != before

    @pytest.mark.parametrize("note", [b"", b"no hash", b"\xff" * 64])
    def test_a_damaged_note_is_no_answer(self, note: bytes, copy: Path, tmp_path: Path) -> None:
        found = cache.file_digest(copy / "model.safetensors")
        (kept,) = (tmp_path / "cache" / "digests").iterdir()
        kept.write_bytes(note)
        assert cache.file_digest(copy / "model.safetensors") == found

    def test_do_without_a_cache(
        self, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("not a folder")
        monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "file"))
        assert len(cache.file_digest(copy / "model.safetensors")) == 64
