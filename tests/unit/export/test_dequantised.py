"""What is unpacked from a GGUF file computes what the directory did that the file was made from."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config

from ct_guard.backends import dequantise
from ct_guard.backends.dequantised import ORIGIN, local_form, origin
from ct_guard.backends.loading import load_model
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import BackendError
from ct_guard.export import export_base
from ct_guard.export.writing import WeightType
from tests.present import present
from tests.unit.export.conftest import LlamaLogits, MakeModel

from .test_export_agreement import CASES, GELU_TABLE, IDS, reference

TEXTS = ("Question: What is 2 plus 2?\nAnswer:", " It's 1234.5, naïve – 你好\n\n\t x", "(ii): yes")


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def file(make_model: MakeModel, tmp_path: Path) -> Path:
    export_base(make_model(LlamaConfig), tmp_path / "model.gguf", kind="f32")
    return tmp_path / "model.gguf"


@pytest.mark.parametrize("name", CASES)
def test_every_exported_architecture(name: str, make_model: MakeModel, tmp_path: Path) -> None:
    kind, changes = CASES[name]
    folder = make_model(kind, **changes)
    export_base(folder, tmp_path / "model.gguf", kind="f32")
    there = reference(Path(local_form(tmp_path / "model.gguf")))
    exact = GELU_TABLE if name.startswith("gemma") else 1e-4
    np.testing.assert_allclose(there, reference(folder), atol=exact, rtol=0)


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_smaller_types(
    kind: WeightType, make_model: MakeModel, llama_logits: LlamaLogits, tmp_path: Path
) -> None:
    folder = make_model(Qwen2Config)
    export_base(folder, tmp_path / "model.gguf", kind=kind)
    there = reference(Path(local_form(tmp_path / "model.gguf")))
    assert np.abs(there - llama_logits(tmp_path / "model.gguf", IDS)).mean() < 0.15
    assert np.abs(there - reference(folder)).max() > 0


def test_sentencepiece_reads_alike(
    make_model: MakeModel, sentencepiece_like: Callable[[], PreTrainedTokenizerFast], tmp_path: Path
) -> None:
    folder = make_model(LlamaConfig, sentencepiece_like())
    export_base(folder, tmp_path / "model.gguf", kind="f32")
    ours, theirs = (
        TokenizerEncoder(AutoTokenizer.from_pretrained(place))
        for place in (local_form(tmp_path / "model.gguf"), folder)
    )
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text)
        assert ours.encode_whole(text) == theirs.encode_whole(text)
    assert ours.start_ids == theirs.start_ids


def test_the_template_and_the_special_tokens_are_the_files(
    tiny_base: Path, tiny_gguf: Path
) -> None:
    ours, theirs = (
        AutoTokenizer.from_pretrained(place) for place in (local_form(tiny_gguf), tiny_base)
    )
    assert ours.chat_template == theirs.chat_template
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(ours, name) == getattr(theirs, name)
    for text in (*TEXTS, "<|user|> is no turn<|end|>"):
        for special in (False, True):
            one, other = (TokenizerEncoder(each) for each in (ours, theirs))
            assert one.encode(text, special=special) == other.encode(text, special=special)


def test_it_is_made_once_and_named_by_the_file_s_hash(
    file: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Path(local_form(file))
    assert "Unpacking" in caplog.text
    assert made.parent == cache / "dequantised"
    assert made.name.startswith(present(origin(file)).digest[:32])
    caplog.clear()
    moved = file.rename(file.with_name("moved.gguf"))
    assert local_form(moved) == made
    assert caplog.text == ""


def test_the_directory_itself_is_the_same_base(file: Path) -> None:
    made = Path(local_form(file))
    of_made, of_file = present(origin(made)), present(origin(file))
    assert (of_made.fingerprint, of_made.digest) == of_file[1:]


def test_a_directory_elsewhere_is_not_believed(file: Path, tmp_path: Path) -> None:
    made = Path(local_form(file))
    assert origin(made.rename(tmp_path / "elsewhere")) is None


def test_what_was_damaged_in_the_cache_is_made_again(file: Path) -> None:
    made = Path(local_form(file))
    expected = reference(made)
    data = bytearray((made / "model.safetensors").read_bytes())
    data[-1000] ^= 0xFF
    (made / "model.safetensors").write_bytes(data)
    assert local_form(file) == made
    np.testing.assert_array_equal(reference(made), expected)
    (made / ORIGIN).write_text("{")
    assert local_form(file) == made


def test_a_run_that_was_killed_leaves_nothing_that_is_used(file: Path, cache: Path) -> None:
    leftover = cache / "dequantised" / f"{Path(local_form(file)).name}.new"
    made = Path(local_form(file))
    leftover.mkdir()
    (leftover / "config.json").write_text("{")
    (made / ORIGIN).unlink()
    assert local_form(file) == made
    assert not leftover.exists()
    assert json.loads((made / "config.json").read_text())["model_type"] == "llama"


def test_processes_that_ask_at_once_get_the_same(file: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.map(local_form, [file] * 2)
    assert made[0] == made[1]
    assert not list(Path(made[0]).parent.glob("*.new"))


def test_large_bases_are_kept_in_16_bits(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dequantise, "SMALL", 1000)
    config = json.loads((Path(local_form(file)) / "config.json").read_text())
    assert config["dtype"] == "bfloat16"


def test_numbers_that_have_no_place_in_the_model_are_noticed(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library skips what it does not know."""
    export_base(make_model(LlamaConfig, attention_bias=True), tmp_path / "model.gguf", kind="f32")
    monkeypatch.setattr(dequantise, "completed", lambda config, info: config)
    with pytest.raises(BackendError, match=r"of its [\d,]+ weights.*use `backend` llama_cpp"):
        local_form(tmp_path / "model.gguf")


def test_a_configuration_that_is_read_otherwise_is_noticed(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rope = {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0}
    folder = make_model(LlamaConfig, rope_parameters=rope)
    export_base(folder, tmp_path / "model.gguf", kind="f32")
    monkeypatch.setattr(dequantise, "complete_rope", lambda config, info: None)
    with pytest.raises(BackendError, match=r"differ about its text by .* nats a token"):
        local_form(tmp_path / "model.gguf")


def test_loaders_take_the_file(file: Path) -> None:
    model, tokenizer = load_model(
        file, revision=None, device="cpu", dtype="float32", quantization=None
    )
    assert model.config.model_type == "llama"
    assert len(tokenizer) > 300
