"""A whole estimator is exported, in place or as a copy, and answers as the original does."""

import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest
from click.testing import CliRunner

from ct_guard import QuestionAnswer, load_estimator
from ct_guard.backends.fingerprint import digest, fingerprint
from ct_guard.backends.gguf_file import validate_base
from ct_guard.backends.gguf_header import read_header
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.cli.export import command
from ct_guard.errors import (
    ExportError,
    ManifestError,
    MismatchError,
    OutputExistsError,
    UsageError,
)
from ct_guard.export import export_estimator
from ct_guard.query import build_query
from ct_guard.store import FieldReading, Manifest, load_manifest, with_file, write_manifest
from tests.present import present

ROWS = [
    QuestionAnswer(question="What is 2 plus 2?", answer="4"),
    QuestionAnswer(question="What is 2 plus 2?", answer="It is 5, I think."),
]


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    """A base of one's own, to export in place."""
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    return folder


@pytest.fixture
def estimator(tiny_estimator: Path, base: Path, tmp_path: Path) -> Path:
    """An estimator of one's own, whose manifest names its base by a relative path."""
    folder = tmp_path / "estimator"
    shutil.copytree(tiny_estimator, folder)
    path = folder / "manifest.json"
    manifest = load_manifest(folder)
    moved = manifest.base.model_copy(update={"id": "../base"})
    path.write_text(manifest.model_copy(update={"base": moved}).model_dump_json())
    return folder


def p(folder: Path, backend: str, **options: Any) -> list[float | None]:
    loaded = load_estimator(folder, backend=backend, **options)
    try:
        return [confidence.p for confidence in loaded.score(ROWS)]
    finally:
        present(loaded.backend).close()


def test_in_place_the_files_join_base_and_adapter(estimator: Path, base: Path) -> None:
    made = export_estimator(estimator, kind="f32")
    assert made.base == base / "model.gguf"
    assert made.adapter == estimator / "adapter" / "adapter.gguf"
    assert "adapter/adapter.gguf" in load_manifest(estimator).files
    assert p(estimator, "llama_cpp") == pytest.approx(p(estimator, "transformers"), abs=1e-3)
    left = {path.name for folder in (estimator, base) for path in folder.rglob("*")}
    assert not [name for name in left if name.startswith(".")]


def test_a_copy_stands_alone(estimator: Path, base: Path, tmp_path: Path) -> None:
    before = p(estimator, "transformers")
    export_estimator(estimator, tmp_path / "alone", kind="f32")
    assert not (base / "model.gguf").exists()
    assert not (estimator / "adapter" / "adapter.gguf").exists()
    shutil.move(tmp_path / "alone", tmp_path / "elsewhere")
    shutil.rmtree(base)
    shutil.rmtree(estimator)
    assert p(tmp_path / "elsewhere", "llama_cpp") == pytest.approx(before, abs=1e-3)


def test_an_adapter_names_its_base_its_scale_and_its_query(
    estimator: Path, base: Path, tiny_base: Path
) -> None:
    made = export_estimator(estimator)
    fields = {key: field.value for key, field in read_header(present(made.adapter)).fields.items()}
    assert fields["ct_guard.base_fingerprint"] == fingerprint(base)
    assert validate_base(present(made.base)).fingerprint == fingerprint(base)
    assert fields["adapter.lora.alpha"] == 8.0  # PEFT's default
    from transformers import AutoTokenizer

    encoder = TokenizerEncoder(AutoTokenizer.from_pretrained(base))
    ids = build_query("chat_turn", encoder).ids
    assert tuple(fields["adapter.alora.invocation_tokens"]) == ids[1:]


def test_an_adapter_for_fields_goes_along(estimator: Path, base: Path) -> None:
    shutil.copytree(estimator / "adapter", estimator / "fields")
    manifest = load_manifest(estimator)
    files = [f"fields/{path.name}" for path in (estimator / "fields").iterdir()]
    for name in files:
        manifest = with_file(manifest, estimator, name)
    reading = FieldReading(adapter="fields")
    write_manifest(estimator, manifest.model_copy(update={"fields": reading}))
    export_estimator(estimator, kind="f32")
    assert "fields/adapter.gguf" in load_manifest(estimator).files
    row = QuestionAnswer(question="Who?", answer='{"town": "Kelso", "n": 3}', fields=())
    logits = []
    for backend in ("transformers", "llama_cpp"):
        loaded = load_estimator(estimator, backend=backend)
        found = present(loaded.score([row])[0].fields)
        logits.append([one.logit for one in found.values()])
        present(loaded.backend).close()
    assert logits[0] == pytest.approx(logits[1], abs=1e-2)


def test_an_adapter_for_all_tokens_names_no_query(estimator: Path, base: Path) -> None:
    manifest = load_manifest(estimator).model_copy(update={"activation": "all"})
    (estimator / "manifest.json").write_text(manifest.model_dump_json())
    made = export_estimator(estimator)
    assert "adapter.alora.invocation_tokens" not in read_header(present(made.adapter)).fields


def test_estimators_share_the_file_of_one_base(estimator: Path, base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(estimator, other)
    assert not export_estimator(estimator).kept
    written = (base / "model.gguf").stat().st_mtime_ns
    assert export_estimator(other).kept == (base / "model.gguf",)
    assert (base / "model.gguf").stat().st_mtime_ns == written
    with pytest.raises(OutputExistsError, match=r"model\.gguf"):
        export_estimator(other, kind="f32", only="base")
    assert not export_estimator(other, overwrite=True).kept


def test_what_was_exported_before_stays_as_it_is(estimator: Path, base: Path) -> None:
    made = export_estimator(estimator)
    files = (present(made.base), present(made.adapter))
    written = [path.stat().st_mtime_ns for path in files]
    assert export_estimator(estimator).kept == files
    assert [path.stat().st_mtime_ns for path in files] == written


def test_a_file_that_was_not_exported_from_the_adapter_is_not_taken_for_it(
    estimator: Path,
) -> None:
    (estimator / "adapter" / "adapter.gguf").write_bytes(b"of somebody")
    with pytest.raises(OutputExistsError, match=r"adapter\.gguf"):
        export_estimator(estimator)
    assert (estimator / "adapter" / "adapter.gguf").read_bytes() == b"of somebody"


def test_a_base_file_of_another_type_is_shared_unless_a_type_is_asked_for(
    estimator: Path, base: Path
) -> None:
    export_estimator(estimator, kind="f32", only="base")
    with pytest.raises(OutputExistsError, match="an export of the adapter alone leaves"):
        export_estimator(estimator, kind="f16")
    assert not (estimator / "adapter" / "adapter.gguf").exists()
    assert export_estimator(estimator).kept
    assert p(estimator, "llama_cpp") == pytest.approx(p(estimator, "transformers"), abs=1e-3)


def test_the_adapter_alone(estimator: Path, base: Path, tmp_path: Path) -> None:
    made = export_estimator(estimator, only="adapter")
    assert (made.base, (base / "model.gguf").exists()) == (None, False)
    export_estimator(estimator, tmp_path / "copy", only="adapter")
    assert not (tmp_path / "copy" / "base").exists()
    assert p(tmp_path / "copy", "transformers") == p(estimator, "transformers")


def test_the_base_alone(estimator: Path, base: Path) -> None:
    made = export_estimator(estimator, only="base")
    assert (made.base, made.adapter) == (base / "model.gguf", None)
    assert not (estimator / "adapter" / "adapter.gguf").exists()


def test_a_plain_base(base: Path, tmp_path: Path) -> None:
    assert export_estimator(base).base == base / "model.gguf"
    assert export_estimator(base, tmp_path / "out").base == tmp_path / "out" / "model.gguf"
    with pytest.raises(UsageError, match="no adapter"):
        export_estimator(base, only="adapter")


def test_an_exported_adapter_is_verified_like_every_file(estimator: Path) -> None:
    made = export_estimator(estimator)
    adapter = present(made.adapter)
    data = bytearray(adapter.read_bytes())
    data[-5] ^= 1
    adapter.write_bytes(data)
    with pytest.raises(ManifestError, match=r"adapter\.gguf differs"):
        load_manifest(estimator)


def test_another_base_is_refused(estimator: Path, base: Path) -> None:
    (base / "tokenizer_config.json").write_text("{}")
    with pytest.raises(MismatchError, match="fingerprint"):
        export_estimator(estimator)


def test_a_base_that_is_not_here_is_asked_for(estimator: Path, base: Path) -> None:
    base.rename(base.with_name("moved"))
    with pytest.raises(ExportError, match="with `base`"):
        export_estimator(estimator)
    assert export_estimator(estimator, base=base.with_name("moved")).adapter is not None


def test_a_failed_export_leaves_everything_as_it_was(
    estimator: Path, base: Path, tmp_path: Path
) -> None:
    name = "adapter/adapter_config.json"
    config = estimator / name
    config.write_text(config.read_text().replace('"use_dora": false', '"use_dora": true'))
    manifest = Manifest.model_validate_json((estimator / "manifest.json").read_text())
    write_manifest(estimator, with_file(manifest, estimator, name))
    before = sorted(path for path in tmp_path.rglob("*"))
    for output in (None, tmp_path / "copy"):
        with pytest.raises(ExportError, match="use_dora"):
            export_estimator(estimator, output)
        assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_directory_that_is_no_estimator_is_never_replaced(
    estimator: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(OutputExistsError):
        export_estimator(estimator, tmp_path / "mine")
    with pytest.raises(OutputExistsError, match="no estimator"):
        export_estimator(estimator, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def test_the_command_says_what_it_wrote(estimator: Path, base: Path) -> None:
    ran = CliRunner().invoke(command, ["gguf", str(estimator), "--type", "q8_0"])
    assert ran.exit_code == 0, ran.output
    assert str(base / "model.gguf") in ran.output
    assert str(estimator / "adapter" / "adapter.gguf") in ran.output
    assert validate_base(base / "model.gguf").get("general.file_type") == int(
        gguf.LlamaFileType.MOSTLY_Q8_0
    )
    again = CliRunner().invoke(command, ["gguf", str(estimator)])
    assert again.exit_code == 0
    assert again.output.count("(was there already)") == 2
    other = CliRunner().invoke(command, ["gguf", str(estimator), "--type", "f16"])
    assert isinstance(other.exception, OutputExistsError)


def test_progress_is_told_in_bytes(base: Path, tmp_path: Path) -> None:
    seen = []
    export_estimator(base, tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    done, total = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == total[0] == validate_base(tmp_path / "model.gguf").weight_bytes


class TestOverAGGUFFile:
    """An estimator that was tuned on a GGUF file serves on that very file."""

    @pytest.fixture
    def over_file(
        self, estimator: Path, tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Path:
        monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))
        manifest = load_manifest(estimator)
        file = tmp_path / "elsewhere.gguf"
        file.write_bytes(
            tiny_gguf.read_bytes().replace(b"ct_guard.fingerprint", b"ct_elsewhere.printed")
        )
        named = {
            "id": str(file), "fingerprint": fingerprint(file), "digests": (digest(file),)
        }  # fmt: skip
        write_manifest(
            estimator, manifest.model_copy(update={"base": manifest.base.model_copy(update=named)})
        )
        return estimator

    def test_the_adapter_is_written_and_the_file_stays(
        self, over_file: Path, tmp_path: Path
    ) -> None:
        before = (tmp_path / "elsewhere.gguf").read_bytes()
        made = export_estimator(over_file)
        assert (made.base, made.kept) == (tmp_path / "elsewhere.gguf", (made.base,))
        assert (tmp_path / "elsewhere.gguf").read_bytes() == before
        manifest = load_manifest(over_file)
        assert "adapter/adapter.gguf" in manifest.files
        assert manifest.base.digests == (digest(tmp_path / "elsewhere.gguf"),)
        there = p(over_file, "transformers")
        assert p(over_file, "llama_cpp", kv_type="f32", threads=1) == pytest.approx(there, abs=1e-4)

    def test_a_copy_stands_alone(self, over_file: Path, tmp_path: Path) -> None:
        export_estimator(over_file, tmp_path / "copy")
        (tmp_path / "elsewhere.gguf").unlink()
        there = p(tmp_path / "copy", "transformers")
        here = p(tmp_path / "copy", "llama_cpp", kv_type="f32", threads=1)
        assert here == pytest.approx(there, abs=1e-4)

    def test_its_precision_is_its_own(self, over_file: Path) -> None:
        with pytest.raises(UsageError, match="leave `kind` out"):
            export_estimator(over_file, kind="q8_0")

    def test_another_file_is_refused(self, over_file: Path, tiny_gguf: Path) -> None:
        with pytest.raises(MismatchError, match="fingerprint"):
            export_estimator(over_file, base=tiny_gguf)
