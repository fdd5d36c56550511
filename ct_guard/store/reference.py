"""The reference's checkpoints as estimators: what their files say, and what has to be assumed.

| file | |
|---|---|
| `adapter_config.json`, `adapter_model.safetensors` (or `.bin`) | a LoRA; acts on all tokens |
| `temperature_model.safetensors` (or `.pt`), `query_temperature_head.bin` | `log_temperature` |
| `classifier_model.bin` | the head of a probe, with a LoRA of a LoRA probe |

Facts were read from the public code of Kapoor et al. 2024. There, a padding token was added to the
base model's tokenizer and its embeddings grew by one row; nothing was trained of that, and padding
is never read, so the plain base model serves. Embeddings that PEFT stored beside the LoRA for this
reason (most of the half gigabyte of each published adapter) are left out.
"""

import contextlib
import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ct_guard.errors import MismatchError, OutputExistsError
from ct_guard.query import RAW_STYLES
from ct_guard.records import CalibratorState

from .directory import save_estimator
from .lora_config import LORA_CONFIG, plain_lora, read_lora_config
from .manifest import ADAPTER_FILES, EVERY_MODEL, MANIFEST, BaseModelRef, Manifest
from .probe import PROBE, ProbeHead, dump_probe
from .published import Published, published
from .tensors import Tensors, dump_tensors, read_tensors, to_float32

__all__ = ["CHECKPOINT_FILES", "import_checkpoint", "is_checkpoint"]

LORA_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
TEMPERATURES = (
    "temperature_model.safetensors", "temperature_model.pt", "query_temperature_head.bin",
)  # fmt: skip
CLASSIFIER = "classifier_model.bin"
CHECKPOINT_FILES = (LORA_CONFIG, *LORA_WEIGHTS, *TEMPERATURES, CLASSIFIER)
"""Everything that is read of a checkpoint."""

_VERSION = b"1"
"""Of this conversion: a new one makes new estimators of the same files."""

_LORA_TENSOR = re.compile(r"\.lora_([AB])\.weight$")
_EMBEDDING = re.compile(r"\.(embed_tokens|lm_head)\.(base_layer\.)?weight$")


def is_checkpoint(folder: Path) -> bool:
    """Whether the directory holds a checkpoint instead of an estimator."""
    if (folder / MANIFEST).is_file():
        return False
    return any((folder / name).is_file() for name in (LORA_CONFIG, CLASSIFIER))


def import_checkpoint(
    source: Path, cache: Path, known: Published | None = None, *, name: str | None = None
) -> Path:
    """The estimator directory made of a checkpoint, in `cache`; made once for the same files.

    Args:
        source: the checkpoint's directory, which stays as it is.
        cache: where estimators go, one directory each.
        known: which of the published adapters it is; None: found by the directory's name.
        name: of the estimator, where it is no published one; None: the directory's.

    Raises:
        MismatchError: what cannot be loaded faithfully, in one line that names file and field.
    """
    known = known or published(source.name)
    name = known.name if known is not None else name or source.resolve().name
    folder = cache / f"{name}-{_hash(source, known)}"
    if not (folder / MANIFEST).is_file():
        made = _read(source, name, known)
        with contextlib.suppress(OutputExistsError):  # another process made the same first
            save_estimator(folder, made.manifest, files=made.files)
    return folder


@dataclass
class _Import:
    manifest: Manifest
    files: dict[str, Path | bytes] = field(default_factory=dict)


def _read(source: Path, name: str, known: Published | None) -> _Import:
    found: dict[str, str] = {}
    assumed: dict[str, str] = {}
    files: dict[str, Path | bytes] = {}
    config: dict[str, Any] | None = None
    if (source / LORA_CONFIG).is_file():
        config = read_lora_config(source)
        found["adapter"] = f"{config['peft_type']}, rank {config.get('r')}, from {LORA_CONFIG}"
    lora = _lora(source, found, assumed) if config is not None else {}
    head = _head(source, found)
    if head is not None:
        files[PROBE] = dump_probe(head)
        if lora and not any(value.any() for key, value in lora.items() if ".lora_B." in key):
            found["adapter"] += "; all zero, as it was never tuned: left out"
            lora = {}
    if lora and config is not None:
        files[f"adapter/{ADAPTER_FILES[0]}"] = plain_lora(config)
        files[f"adapter/{ADAPTER_FILES[1]}"] = dump_tensors(lora)
        assumed["activation"] = "all tokens, as in the reference"
    elif head is None:
        raise MismatchError(f"{source} holds neither a LoRA nor {CLASSIFIER}: fetch it again")
    manifest = Manifest(
        name=name,
        method="query" if head is None else "lora_probe" if lora else "probe",
        base=_base(source, config, known, found, assumed),
        style=known.style if known is not None else "raw",
        boundary="joint",
        activation="all" if lora else None,
        adapter="adapter" if lora else None,
        probe=PROBE if head is not None else None,
        calibrators=_temperature(source, found),
        found=found,
        assumed=assumed,
    )
    if config is not None and config.get("query_format"):
        found["query"] = f"{config['query_format']}, from {LORA_CONFIG}"
    elif head is None:
        assumed["query"] = "roman_choice, the reference's"
    assumed["boundary"] = "joint, as in the reference"
    begins = RAW_STYLES[manifest.style].replace("\n", "\\n")
    assumed["context style"] = f"{manifest.style} ({begins}…), as " + (
        f"these {known.answers} adapters were tuned" if known else "open-ended contexts were"
    )
    assumed["labels"] = "the last ids of 'i' and 'ii', by the base model's tokenizer"
    if not manifest.calibrators:
        assumed["calibrator"] = "none: no temperature file came with it"
    return _Import(manifest.model_copy(update={"found": found, "assumed": assumed}), files)


def _base(
    source: Path,
    config: dict[str, Any] | None,
    known: Published | None,
    found: dict[str, str],
    assumed: dict[str, str],
) -> BaseModelRef:
    named = (config or {}).get("base_model_name_or_path")
    revision = (config or {}).get("revision")
    if known is not None:
        assumed["base"] = f"{known.base}, by the adapter's id"
        if named:
            found["base"] = f"{named}, from {LORA_CONFIG}"
        return BaseModelRef(id=known.base, revision=revision)
    if named:
        found["base"] = f"{named}, from {LORA_CONFIG}"
        beside = str(named).startswith(".")
        return BaseModelRef(
            id=str((source / named).resolve()) if beside else str(named), revision=revision
        )
    assumed["base"] = "none is named: name it where the adapter is loaded"
    return BaseModelRef(id="")


def _lora(source: Path, found: dict[str, str], assumed: dict[str, str]) -> Tensors:
    path = next((source / name for name in LORA_WEIGHTS if (source / name).is_file()), None)
    if path is None:
        raise MismatchError(f"{source} has no {LORA_WEIGHTS[0]}: fetch the adapter again")
    tensors = read_tensors(path)
    kept = {name: value for name, value in tensors.items() if _LORA_TENSOR.search(name)}
    for name, value in tensors.items():
        if name in kept:
            continue
        if not _EMBEDDING.search(name):
            raise MismatchError(f"{path}: the tensor {name} is no part of a plain LoRA: tune again")
        found["embeddings"] = f"{value.shape[0]} rows in {path.name}: left out"
        assumed["embeddings"] = "the base model's own, with a row for the added padding token"
    if not kept:
        raise MismatchError(f"{path} holds no tensors of a LoRA: fetch the adapter again")
    for name in kept:
        twin = name.replace(".lora_A.", ".lora_?.").replace(".lora_B.", ".lora_?.")
        pair = [kept.get(twin.replace("?", side)) for side in "AB"]
        if pair[0] is None or pair[1] is None or pair[0].shape[0] != pair[1].shape[-1]:
            raise MismatchError(f"{path}: the tensors {twin} do not fit each other: fetch it again")
    return kept


def _head(source: Path, found: dict[str, str]) -> ProbeHead | None:
    path = source / CLASSIFIER
    if not path.is_file():
        return None
    try:
        head = ProbeHead.of(to_float32(read_tensors(path)))
    except MismatchError as error:
        raise MismatchError(f"{path}: {error}") from error
    sizes = (head.inputs, *(len(bias) for bias in head.biases))
    found["head"] = f"{'-'.join(map(str, sizes))}, from {CLASSIFIER}"
    return head


def _temperature(source: Path, found: dict[str, str]) -> dict[str, CalibratorState]:
    path = next((source / name for name in TEMPERATURES if (source / name).is_file()), None)
    if path is None:
        return {}
    tensors = read_tensors(path)
    value = next(
        (value for name, value in tensors.items() if name.endswith("log_temperature")), None
    )
    if value is None or len(tensors) != 1 or value.numel() != 1:
        raise MismatchError(f"{path} must hold one number, log_temperature: fetch it again")
    log_temperature = float(value)
    if not abs(log_temperature) < 50:  # NaN too
        raise MismatchError(f"{path}: log_temperature is {log_temperature}: fetch it again")
    found["temperature"] = f"{math.exp(log_temperature):.4g}, from {path.name}"
    state = CalibratorState(
        kind="temperature", params={"temperature": math.exp(log_temperature)}, n=0
    )
    return {EVERY_MODEL: state}


def _hash(source: Path, known: Published | None) -> str:
    """Identifies the files and what is known of them."""
    digest = hashlib.sha256(_VERSION + (known.id if known is not None else "").encode())
    for name in CHECKPOINT_FILES:
        if (source / name).is_file():
            with (source / name).open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            digest.update(name.encode() + content)
    return digest.hexdigest()[:12]
