"""A GGUF file's weights, configuration and tokenizer as a Hugging Face directory.

The transformers library reads such files; what it leaves out of their headers is added here, and
nothing is believed: every number of the file must have a place in the model, llama.cpp must encode
probe texts as the tokenizer that was made, and must find a text as likely as the model that was.
"""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from ct_guard.errors import BackendError
from ct_guard.query import QUERY_TEXT, Query

from .base import Item
from .gguf_info import NORMALIZER, GGUFInfo
from .gguf_probe import PROBES, first_difference, starts_with_bos
from .llama_cpp import LlamaCppBackend
from .pretrained import FAULTS, check_whole, from_pretrained, loading_problem, quiet
from .rope import llama3_parameters

__all__ = ["dequantise"]

SMALL = 1_200_000_000
"""Weights of the largest base that is unpacked to float32; larger ones to 16 bits."""
_TOLERANCE = 0.5
"""Most that log-probabilities of a text's tokens may differ on average, in nats: llama.cpp brings
activations to 8 bits, which moves them by 0.1 to 0.2; a wrong configuration, by whole numbers."""
_FACTORS = "rope_freqs.weight"
_SPECIAL = {
    "bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding",
}  # fmt: skip
_PROBE_TOKENS = 96
_SPACE = "▁"
_ELSEWHERE = "use `backend` llama_cpp, or the directory that it was made from"


def dequantise(info: GGUFInfo, folder: Path) -> None:
    """Write the directory `folder`, which must not exist, of a file that passed `validate_base`.
    Raises BackendError that says what of it cannot be had so, OSError where it cannot be written.
    """
    try:
        model = _read_model(info)
        with _silent():
            model.save_pretrained(folder)
        _save_tokenizer(info, folder)
    except FAULTS as error:
        if isinstance(error, OSError):
            raise
        raise BackendError(
            f"cannot unpack {info.path} (architecture {info.architecture!r}):"
            f" {loading_problem(error).rstrip('.')}; {_ELSEWHERE}"
        ) from error
    _check_arithmetic(model, info)


def _read_model(info: GGUFInfo) -> Any:
    file = info.path
    with _silent():
        config = completed(AutoConfig.from_pretrained(file.parent, gguf_file=file.name), info)
        model, report = from_pretrained(
            file.parent,
            gguf_file=file.name,
            config=config,
            dtype=_number(info),
            output_loading_info=True,
        )
    check_whole(report, str(file))
    _check_count(model, info)
    # Marks of how it was read would keep it from being saved.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.architectures = [type(model).__name__]
    return model.eval()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the bar that the reader of GGUF files draws wherever it runs."""
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        yield


def _number(info: GGUFInfo) -> torch.dtype:
    return torch.float32 if _count(info) <= SMALL else torch.bfloat16


def _count(info: GGUFInfo) -> int:
    """Of weights; factors of the rotation follow from the configuration."""
    shapes = [tensor.shape for name, tensor in info.tensors.items() if name != _FACTORS]
    return sum(int(np.prod(shape)) for shape in shapes)


def completed(config: Any, info: GGUFInfo) -> Any:
    """With what the library does not read of a header. Raises ValueError for what has no place."""
    rotary = int(info.own("rope.dimension_count", info.head_size))
    if info.architecture == "phi3":
        config.rope_parameters["partial_rotary_factor"] = rotary / info.head_size
    elif hasattr(config, "rope_parameters"):
        config.head_dim = info.head_size
    window = info.own("attention.sliding_window")
    if window and getattr(config, "sliding_window", 0) is None:
        config.sliding_window = int(window)
    for name, tensor in (("attention_bias", "attn_q"), ("mlp_bias", "ffn_up")):
        if hasattr(config, name):
            setattr(config, name, f"blk.0.{tensor}.bias" in info.tensors)
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if (value := info.own(name)) is not None:
            setattr(config, name, float(value))
    if info.architecture in ("gemma2", "gemma3"):
        large = info.layers in (46, 62)  # the models of 27B, told by this in llama.cpp too
        width = int(info.own("embedding_length"))
        config.query_pre_attn_scalar = width // info.heads if large else info.head_size
    complete_rope(config, info)
    return config


def complete_rope(config: Any, info: GGUFInfo) -> None:
    """Scaled rotations, which the library leaves out."""
    parameters = getattr(config, "rope_parameters", None)
    kind = info.own("rope.scaling.type", "none")
    scaled = kind != "none" or any(name.startswith("rope_f") for name in info.tensors)
    if parameters is None or (kind == "none" and not scaled):
        return
    rope = parameters.get("full_attention", parameters)
    if kind == "linear":
        rope.update(rope_type="linear", factor=float(info.own("rope.scaling.factor", 1.0)))
    elif kind == "none" and _FACTORS in info.tensors:
        found = llama3_parameters(float(rope["rope_theta"]), _read_floats(info, _FACTORS))
        if found is None:
            raise ValueError("its factors of the rotation are not Llama 3's")
        rope.update(found)
    else:
        raise ValueError(f"its rotation is scaled ({kind!r}), which is not unpacked")


def _read_floats(info: GGUFInfo, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    tensor = info.tensors[name]
    with info.path.open("rb") as stream:
        stream.seek(tensor.offset)
        return np.frombuffer(stream.read(tensor.size), dtype="<f4")


def _check_count(model: Any, info: GGUFInfo) -> None:
    """Raise BackendError unless every number of the file is one of the model's."""
    stored = _count(info)
    held = sum(weight.numel() for weight in model.parameters() if weight.is_floating_point())
    if stored != held:
        raise BackendError(
            f"cannot unpack {info.path}: of its {stored:,} weights the transformers library has"
            f" {held:,} in its model of architecture {info.architecture!r}; {_ELSEWHERE}"
        )


def _save_tokenizer(info: GGUFInfo, folder: Path) -> None:
    """The first way to cut texts in which llama.cpp encodes every probe alike."""
    with _silent():
        read = AutoTokenizer.from_pretrained(info.path.parent, gguf_file=info.path.name)
    failed: list[tuple[int, str]] = []
    for way in _ways(info):
        tokenizer = _tokenizer(read, way, info)
        passed, text = first_difference(tokenizer, info.path, info.get(NORMALIZER, ""))
        if text is None:
            tokenizer.save_pretrained(folder)
            return
        failed.append((passed, text))
    raise BackendError(
        f"cannot unpack {info.path}: llama.cpp encodes {max(failed)[1]!r} otherwise than its"
        f" tokenizer ({info.get('tokenizer.ggml.pre', 'default')!r}) does here; {_ELSEWHERE}"
    )


def _ways(info: GGUFInfo) -> Iterator[dict[str, Any]]:
    """Parts of the tokenizer to exchange: none, as the library knows many of llama.cpp's; digits
    one by one, as other byte-level ones want them; SentencePiece's space before a text, which comes
    after special tokens too, or never."""
    yield {}
    if info.get("tokenizer.ggml.model") == "gpt2":
        bytelevel = pre_tokenizers.ByteLevel(add_prefix_space=False)
        digits = pre_tokenizers.Digits(individual_digits=True)
        yield {"pre_tokenizer": pre_tokenizers.Sequence([digits, bytelevel])}
        yield {"pre_tokenizer": bytelevel}
    elif info.get("tokenizer.ggml.model") == "llama":
        spaces = normalizers.Replace(" ", _SPACE)
        prefixed = normalizers.Sequence([normalizers.Prepend(_SPACE), spaces])
        yield {"pre_tokenizer": None, "normalizer": prefixed}
        yield {"pre_tokenizer": None, "normalizer": spaces}


def _tokenizer(read: Any, way: dict[str, Any], info: GGUFInfo) -> PreTrainedTokenizerFast:
    """With the file's own tokens, template and beginning."""
    tokens: list[str] = info.get("tokenizer.ggml.tokens")
    data = json.loads(read.backend_tokenizer.to_str())
    # The library's class may add tokens of the model that it is named after.
    data["added_tokens"] = [entry for entry in data["added_tokens"] if entry["id"] < len(tokens)]
    core = Tokenizer.from_str(json.dumps(data))
    for part, value in way.items():
        setattr(core, part, value)
    if form := info.get(NORMALIZER):
        core.normalizer = getattr(normalizers, form)()
    ids = {name: info.get(f"tokenizer.ggml.{key}_token_id") for name, key in _SPECIAL.items()}
    special = {name: tokens[at] for name, at in ids.items() if at is not None}
    core.post_processor = processors.TemplateProcessing(single="$A")
    if (bos := special.get("bos_token")) is not None and starts_with_bos(info.path):
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))]
        )
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, clean_up_tokenization_spaces=False, **special
    )
    tokenizer.chat_template = info.chat_template
    return tokenizer


def _check_arithmetic(model: Any, info: GGUFInfo) -> None:
    """Raise BackendError unless llama.cpp finds a text as likely as the model does."""
    engine = LlamaCppBackend.load(
        info.path, n_ctx=1024, kv_type="f32", threads=torch.get_num_threads()
    )
    try:
        ids = engine.encoder.encode(" ".join((QUERY_TEXT, *PROBES[3:6])))
        ids = ids[: min(_PROBE_TOKENS, engine.max_tokens - len(engine.encoder.start_ids) - 1)]
        start = (*engine.encoder.start_ids, ids[0])
        item = Item(start, tuple(ids[1:]))
        query = Query(ids=(ids[0],), label_ids=(0, 1))
        read = engine.score([item], query, None, frozenset({"answer_logprobs"})).answer_logprobs
    finally:
        engine.close()
    with torch.inference_mode():
        logits = model(torch.tensor([[*start, *ids[1:]]])).logits[0, len(start) - 1 : -1]
        picked = logits.float().log_softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    apart = float(np.abs(picked.numpy() - read[0]).mean()) if read else float("nan")
    if not apart <= _TOLERANCE:
        raise BackendError(
            f"cannot unpack {info.path}: the transformers library and llama.cpp differ about its"
            f" text by {apart:.2g} nats a token: its configuration is read otherwise; {_ELSEWHERE}"
        )
