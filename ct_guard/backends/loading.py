"""Load a Hugging Face model and its tokenizer; where that fails, say in one line what to do."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils.peft_utils import find_adapter_config_file

from ct_guard.errors import BackendError, MissingExtraError
from ct_guard.files.untrusted_json import JsonError, read_json

from .checkpoint import check_declared, check_stored, model_folder
from .dequantised import local_form
from .machine import computes_in_bfloat16
from .placement import pick_device, pick_dtype
from .pretrained import FAULTS, check_whole, from_pretrained, loading_problem, quiet
from .tokenizer_file import load_tokenizer

__all__ = ["Device", "Quantization", "load_model"]

Device = Literal["auto", "cpu", "cuda", "mps"] | str
Quantization = Literal["8bit", "4bit"]


def load_model(
    source: str | Path,
    *,
    revision: str | None,
    device: Device,
    dtype: str,
    quantization: Quantization | None,
) -> tuple[Any, Any]:
    """Model and tokenizer, from a directory, a GGUF file or the hub: safetensors only, no remote
    code. Every weight of the model stands in the checkpoint, and every one of the checkpoint in the
    model; every token has an embedding. Nothing else
    is loaded into it, and its files are those that a digest covers.

    Raises:
        BackendError: they cannot be loaded.
        MissingExtraError: quantization without bitsandbytes, a GGUF file without the extra `gguf`.
    """
    if not Path(source).exists() and _is_path(source):
        raise BackendError(f"no base model at {str(source)!r}: there is no such directory or file")
    named, source = source, local_form(source)
    where = pick_device(device)
    number = pick_dtype(dtype, where)
    options: dict[str, Any] = {"revision": revision} if revision else {}
    if quantization is not None:
        options |= {"quantization_config": _quantized(quantization), "device_map": {"": where}}
    try:
        with quiet():
            _check_alone(source, revision)
            config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
            check_declared(config)
            tokenizer = load_tokenizer(source, revision)
            if number is None:
                few = not computes_in_bfloat16(_parameters(config))
                number = torch.float32 if few else torch.bfloat16
            model, report = from_pretrained(
                source,
                dtype=number,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # named by the report, which is checked
                output_loading_info=True,
                **options,
            )
        check_whole(report, str(named))
        if (folder := model_folder(source, revision)) is not None:
            check_stored(folder, model)
        _check_tied(model, str(named))
        if quantization is None:
            model = model.to(where)
    except FAULTS as error:
        raise BackendError(
            f"cannot load the base model {str(named)!r}: {loading_problem(error)}"
        ) from error
    _check_embeddings(model, tokenizer, str(named))
    return model, tokenizer


def _check_alone(source: str | Path, revision: str | None) -> None:
    """Raises ValueError for an adapter, or a base with one beside it: the transformers library
    would put it into the model without a word; and for what is no model's directory."""
    found = find_adapter_config_file(str(source), revision=revision)
    if found is not None:
        raise ValueError(
            f"{found} is an adapter's: give the base that it belongs to, or the model that it was"
            " merged into"
        )
    folder = model_folder(source, revision)
    if folder is None and Path(source).exists():
        raise ValueError("it is neither a directory with a config.json nor a single GGUF file")
    if folder is not None:
        try:
            read_json(folder / "config.json", finite=False)
        except JsonError as error:
            raise ValueError(f"its config.json cannot be read: {error}") from error


def _parameters(config: Any) -> int:
    """How many a model has by its config, without its weights."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config, trust_remote_code=False
        )
    return sum(weight.numel() for weight in model.parameters())


def _check_tied(model: Any, name: str) -> None:
    """Raise BackendError where the configuration ties the output matrix to the embeddings, and the
    checkpoint holds another: which of them was trained, nobody knows."""
    written = model.get_output_embeddings()
    ties = model.config.get_text_config(decoder=True).tie_word_embeddings
    if not (ties and model._tied_weights_keys) or written is None:
        return
    if written.weight is not model.get_input_embeddings().weight:
        raise BackendError(
            f"cannot load the base model {name!r}: its config.json ties the output matrix to the"
            " embeddings, and the checkpoint holds one of its own: set tie_word_embeddings to false"
            " where that one was trained, or take it out of the checkpoint"
        )


def _check_embeddings(model: Any, tokenizer: Any, name: str) -> None:
    """Raise BackendError where a text may hold a token that the model has no embedding for. One
    that only pads is exchanged for one that has."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    beyond = {text: token for text, token in tokenizer.get_vocab().items() if token >= rows}
    pad = tokenizer.pad_token
    if pad in beyond:
        del beyond[pad]
        tokenizer.pad_token = tokenizer.eos_token
    if beyond:
        text, token = min(beyond.items(), key=lambda entry: entry[1])
        raise BackendError(
            f"cannot load the base model {name!r}: its tokenizer has the token {text!r} with the id"
            f" {token}, and the model embeddings for ids below {rows:,}: take the token out of the"
            " tokenizer, or the model that it was added to"
        )


def _quantized(quantization: Quantization) -> Any:
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError("a base model in 8 or 4 bits", "quant")
    from transformers import BitsAndBytesConfig

    eight = quantization == "8bit"
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_8bit=eight,
        load_in_4bit=not eight,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _is_path(source: str | Path) -> bool:
    """Whether this can only be meant as a directory: hub ids have one slash inside at most."""
    return isinstance(source, Path) or source.startswith((".", "/", "~")) or source.count("/") > 1
