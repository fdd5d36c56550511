"""A damaged GGUF file is named, with its field and a way out, before llama.cpp sees it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFValueType

from ct_guard.backends.gguf_file import validate_adapter, validate_base
from ct_guard.backends.gguf_header import read_header
from ct_guard.errors import BackendError, MismatchError

U32, F32, TEXT = GGUFValueType.UINT32, GGUFValueType.FLOAT32, GGUFValueType.STRING
ARRAY, I32 = GGUFValueType.ARRAY, GGUFValueType.INT32
TOKENS = "tokenizer.ggml.tokens"


def rewrite(
    source: Path, target: Path, fields: Any = (), tensors: Any = (), without: Sequence[str] = ()
) -> Path:
    """A copy with other keys and tensors; a field is (value, type, item type)."""
    header, data = read_header(source), source.read_bytes()
    kept = {key: (field.value, field.type, field.items) for key, field in header.fields.items()}
    values = {
        name: np.frombuffer(
            data[tensor.offset : tensor.offset + tensor.size], np.float32
        ).reshape(tensor.shape[::-1])
        for name, tensor in header.tensors.items()
    }  # fmt: skip
    writer = gguf.GGUFWriter(target, "")
    writer.kv_data = [{}]
    for key, (value, kind, items) in {**kept, **dict(fields)}.items():
        if key not in without:
            writer.add_key_value(key, list(value) if kind == ARRAY else value, kind, items)
    for name, array in {**values, **dict(tensors)}.items():
        if name not in without:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def texts(*values: str) -> tuple[Any, ...]:
    return (values, ARRAY, TEXT)


def test_the_header_is_what_the_reference_reader_reads(tiny_gguf: Path) -> None:
    header, reference = read_header(tiny_gguf), gguf.GGUFReader(tiny_gguf)
    assert list(header.tensors) == [tensor.name for tensor in reference.tensors]
    for tensor in reference.tensors:
        info = header.tensors[tensor.name]
        assert (info.shape, info.type, info.offset, info.size) == (
            tuple(tensor.shape), tensor.tensor_type, tensor.data_offset, tensor.n_bytes
        )  # fmt: skip
    for key, field in header.fields.items():
        expected = reference.fields[key].contents()
        value = field.value.tolist() if isinstance(field.value, np.ndarray) else field.value
        assert value == expected, key


def test_a_whole_file_says_what_it_is(tiny_gguf: Path, tiny_base: Path) -> None:
    from ct_guard.backends.fingerprint import fingerprint

    info = validate_base(tiny_gguf)
    assert info.fingerprint == fingerprint(tiny_base)
    assert (info.architecture, info.layers, info.heads, info.kv_heads) == ("llama", 2, 4, 2)
    assert (info.head_size, info.context_length) == (12, 1024)
    assert info.vocabulary_size == info.tensors["token_embd.weight"].shape[1]
    assert info.chat_template


def test_a_copy_by_the_helper_is_valid(tiny_gguf: Path, tmp_path: Path) -> None:
    assert validate_base(rewrite(tiny_gguf, tmp_path / "copy.gguf")).layers == 2


FIELDS = {
    "general.type": ("adapter", TEXT, None),
    "split.count": (3, GGUFValueType.UINT16, None),
    "ct_guard.normalizer": ("NFX", TEXT, None),
    "ct_guard.label_ids": ([1, 1 << 31], ARRAY, U32),
    "llama.block_count": (0, U32, None),
    "llama.context_length": (0, U32, None),
    "llama.vocab_size": (7, U32, None),
    "llama.embedding_length": ("64", TEXT, None),
    "llama.embedding_length_out": (1 << 30, U32, None),
    "llama.attention.head_count": (0, U32, None),
    "llama.attention.head_count_kv": (3, U32, None),
    "llama.attention.key_length": (1 << 30, U32, None),
    "llama.attention.value_length": (6, U32, None),
    "llama.attention.layer_norm_rms_epsilon": (-1e-5, F32, None),
    "llama.attention.causal": (False, GGUFValueType.BOOL, None),
    "llama.rope.freq_base": (float("nan"), F32, None),
    "llama.rope.dimension_count": (5, U32, None),
    "llama.rope.scaling.type": ("round", TEXT, None),
    "llama.expert_used_count": (1, U32, None),
    "llama.nextn_predict_layers": (9, U32, None),
    "tokenizer.ggml.model": ("none", TEXT, None),
    "tokenizer.ggml.tokens": texts("a", "a"),
    "tokenizer.ggml.token_type": ([1], ARRAY, I32),
    "tokenizer.ggml.scores": ([0.5], ARRAY, F32),
    "tokenizer.ggml.merges": ([1], ARRAY, U32),
    "tokenizer.ggml.eos_token_id": (1 << 31, U32, None),
    "tokenizer.ggml.add_bos_token": (1, U32, None),
    "tokenizer.chat_template": (1, U32, None),
}  # fmt: skip


SAID = {
    "split.count": "one of 3 parts",
    "llama.attention.head_count_kv": "4 heads, 3 of them for keys",
    "llama.attention.value_length": "llama.attention.* is damaged",
    "llama.rope.dimension_count": "rotary dimensions",
    "tokenizer.ggml.model": "no tokenizer",
}
"""What names a field that shows only together with others."""


@pytest.mark.parametrize("key", FIELDS)
def test_a_field_of_a_base_out_of_its_range_is_named(
    key: Any, tiny_gguf: Path, tmp_path: Path
) -> None:
    path = rewrite(tiny_gguf, tmp_path / "wrong.gguf", {key: FIELDS[key]})
    with pytest.raises(BackendError) as error:
        validate_base(path)
    message = str(error.value)
    assert str(path) in message
    assert SAID.get(key, key) in message
    assert "fetch or export it again" in message


@pytest.mark.parametrize(
    "key",
    [
        "general.architecture",
        "llama.block_count",
        "llama.attention.layer_norm_rms_epsilon",
        TOKENS,
        "tokenizer.ggml.merges",
        "blk.1.ffn_down.weight",
        "output_norm.weight",
    ],
)
def test_what_a_base_lacks_is_named(key: Any, tiny_gguf: Path, tmp_path: Path) -> None:
    path = rewrite(tiny_gguf, tmp_path / "lacks.gguf", without=[key])
    with pytest.raises(BackendError, match=key):
        validate_base(path)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("blk.0.attn_q.weight", np.zeros((48, 47), np.float32), "shape"),
        ("blk.0.attn_norm.weight", np.zeros(48, np.float16), "must be F32"),
        ("blk.0.ffn_up.weight", np.zeros((96, 48), np.int8), "no weights"),
        ("token_embd.weight", np.zeros((3, 48), np.float32), "shape"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    name: str, values: Any, said: str, tiny_gguf: Path, tmp_path: Path
) -> None:
    path = rewrite(tiny_gguf, tmp_path / "wrong.gguf", tensors={name: values})
    with pytest.raises(BackendError, match=f"{name}.*{said}"):
        validate_base(path)


def test_a_sentencepiece_vocabulary_without_all_bytes_is_refused(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    fields = {"tokenizer.ggml.model": ("llama", TEXT, None)}
    with pytest.raises(BackendError, match="256 byte tokens"):
        validate_base(rewrite(tiny_gguf, tmp_path / "bytes.gguf", fields))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\x03\x04" + bytes(100)])
def test_a_file_of_another_kind_is_refused(content: Any, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(BackendError, match=r"model\.gguf"):
        validate_base(tmp_path / "model.gguf")


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"none\.gguf"):
        validate_base(tmp_path / "none.gguf")


def test_a_count_in_the_trillions_allocates_nothing(tiny_gguf: Path, tmp_path: Path) -> None:
    data = bytearray(tiny_gguf.read_bytes())
    for at in (8, 16):  # numbers of tensors and of keys
        broken = bytearray(data)
        broken[at + 5] = 0x7F
        (tmp_path / "huge.gguf").write_bytes(broken)
        with pytest.raises(BackendError):
            validate_base(tmp_path / "huge.gguf")
    at = data.index(TOKENS.encode()) + len(TOKENS) + 8
    data[at + 4] = 0x7F  # the length of the array of tokens
    (tmp_path / "huge.gguf").write_bytes(data)
    with pytest.raises(BackendError, match="claims"):
        validate_base(tmp_path / "huge.gguf")


@pytest.fixture
def adapter(tiny_gguf: Path, tiny_adapter: Path) -> Path:
    return tiny_adapter / "adapter.gguf"


def test_an_adapter_fits_its_base(tiny_gguf: Path, adapter: Path) -> None:
    validate_adapter(adapter, validate_base(tiny_gguf))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"general.type": ("model", TEXT, None)}, "general.type"),
        ({"general.type": (1, U32, None)}, "general.type"),
        ({"adapter.type": ("control_vector", TEXT, None)}, "adapter.type"),
        ({"general.architecture": ("qwen2", TEXT, None)}, "general.architecture"),
        ({"adapter.lora.alpha": (8, U32, None)}, "adapter.lora.alpha"),
        ({"adapter.lora.alpha": (float("inf"), F32, None)}, "adapter.lora.alpha"),
        ({"adapter.alora.invocation_tokens": ([1 << 30], ARRAY, U32)}, "invocation_tokens"),
        ({"adapter.alora.invocation_tokens": ([1], ARRAY, I32)}, "invocation_tokens"),
        ({"ct_guard.base_fingerprint": ("0" * 16, TEXT, None)}, "made for the base 0000"),
    ],
)
def test_a_field_of_an_adapter_that_does_not_fit_is_named(
    fields: dict[str, Any], said: str, tiny_gguf: Path, adapter: Path, tmp_path: Path
) -> None:
    path = rewrite(adapter, tmp_path / "wrong.gguf", fields)
    with pytest.raises(MismatchError, match=said) as error:
        validate_adapter(path, validate_base(tiny_gguf))
    assert "give its own base" in str(error.value)


@pytest.mark.parametrize(
    ("tensors", "without", "said"),
    [
        ({}, ["blk.0.attn_q.weight.lora_b"], "not both"),
        ({"blk.0.attn_norm.weight": np.ones(48, np.float32)}, [], "no LoRA matrix"),
        ({"blk.0.attn_q.weight.lora_b": np.ones((48, 5), np.float32)}, [], "shapes"),
        ({"blk.0.attn_q.weight.lora_a": np.ones((4, 5), np.float32)}, [], "shapes"),
        (
            {f"blk.7.attn_q.weight.lora_{part}": np.ones((4, 4), np.float32) for part in "ab"},
            [],
            r"no matrix 'blk\.7",
        ),
    ],
)
def test_a_pair_that_does_not_fit_is_named(
    tensors: Any, without: Any, said: str, tiny_gguf: Path, adapter: Path, tmp_path: Path
) -> None:
    path = rewrite(adapter, tmp_path / "wrong.gguf", (), tensors, without)
    with pytest.raises(MismatchError, match=said):
        validate_adapter(path, validate_base(tiny_gguf))


def test_a_base_is_no_adapter_and_an_adapter_no_base(tiny_gguf: Path, adapter: Path) -> None:
    with pytest.raises(MismatchError, match=r"general\.type is 'model'"):
        validate_adapter(tiny_gguf, validate_base(tiny_gguf))
    with pytest.raises(BackendError, match=r"general\.type is 'adapter'"):
        validate_base(adapter)


def test_quantised_matrices_are_measured_in_blocks(tiny_gguf: Path, tmp_path: Path) -> None:
    info = validate_base(tiny_gguf).tensors["output.weight"]
    assert info.type == GGMLQuantizationType.F32
    assert info.size == 4 * info.shape[0] * info.shape[1]


@pytest.mark.parametrize(
    "other", [("2", TEXT, None), (-7, I32, None), ([1, 2], ARRAY, U32), (["a", "b"], ARRAY, TEXT)]
)
def test_a_key_of_another_type_is_no_other_error(
    other: tuple[Any, ...], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Of every key that a file has, and of those that it may have."""
    keys = [*read_header(tiny_gguf).fields, "split.count", "tokenizer.ggml.pre", "general.type"]
    own = ("rope.scaling.type", "rope.freq_base", "attention.key_length", "expert_count")
    for key in dict.fromkeys([*keys, *(f"llama.{name}" for name in own)]):
        path = rewrite(tiny_gguf, tmp_path / "other.gguf", {key: other})
        try:
            info = validate_base(path)
        except BackendError:
            continue
        assert (info.head_size, info.kv_heads, info.layers) == (12, 2, 2), key
        assert isinstance(info.get("tokenizer.ggml.pre", "default"), str)
