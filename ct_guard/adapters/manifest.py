"""The estimator's manifest: one JSON file that says what it is and what it was made from.

An estimator is a directory: `manifest.json` and the files that it names, each with its SHA-256.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from ct_guard.backends import Activation
from ct_guard.errors import ManifestError, OutputExistsError
from ct_guard.files.replacing import naming, replacing
from ct_guard.files.untrusted_json import JsonError, read_json
from ct_guard.query import QUERY_HASH, TEMPLATE_DATE, Boundary, ContextStyle
from ct_guard.records import Arithmetic, CalibratorState, Certificate, Record

from .hub import is_snapshot
from .lora_config import LORA_CONFIG, in_order

__all__ = [
    "EVERY_MODEL",
    "MANIFEST",
    "Asking",
    "BaseModelRef",
    "LogisticLayer",
    "Manifest",
    "Scope",
    "load_manifest",
    "manifest_text",
    "save_estimator",
    "sha256",
    "take_place",
    "with_file",
    "write_manifest",
]

MANIFEST = "manifest.json"
ADAPTER_FILES = (LORA_CONFIG, "adapter_model.safetensors")
SCORING = (
    "method", "style", "boundary", "query_hash", "label_ids", "activation", "layer",
    "label_orders", "asking", "budget",
)  # fmt: skip
"""Fields of a manifest that a raw score follows from, beside the base and the weights."""
EVERY_MODEL = "*"
"""Key of the calibrator that serves answering models without one of their own."""


MOST_SAMPLES, MOST_TOKENS = 1000, 1 << 16
"""Of answers to one question that an estimator may have generated, and of tokens in each."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control and invisible characters are not allowed in a name")
    return text


def _inside(name: str) -> str:
    parts = name.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\\" in name or ":" in parts[0]:
        raise ValueError(f"{name!r} may lie outside its directory: give a plain relative path")
    if any(len(part.encode()) > 255 for part in parts) or len(name) > 1000:
        raise ValueError("the name of a file is too long")
    return _printable(name)


Name = Annotated[str, AfterValidator(_printable)]
"""Text that is shown in one line."""
FileName = Annotated[str, AfterValidator(_inside)]
"""A path relative to the estimator's directory that cannot lead out of it, on any system."""
SHA256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class BaseModelRef(Record):
    """The language model underneath. `id` is a hub id, `hub:owner/name/FILE.gguf`, a path, or
    (beginning with a dot) a path relative to the estimator's directory."""

    id: Name
    revision: Name | None = None
    fingerprint: str = ""
    digests: tuple[str, ...] = ()
    """Of every form that the estimator was made with or exported to (see `Backend.digest`): no
    other is its base. Empty in manifests that were made before they were kept."""
    quantization: Literal["8bit", "4bit"] | None = None
    """How it was loaded for tuning and calibration, and is loaded again."""


class LogisticLayer(Record):
    """sigma(intercept + sum_i coef_i (x_i - mean_i) / scale_i) over named features, each clipped to
    [low_i, high_i], about the range it was fitted on: no answer is judged by extrapolation."""

    features: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coef: tuple[float, ...]
    intercept: float

    @model_validator(mode="after")
    def _is_whole(self) -> "LogisticLayer":
        columns = (self.low, self.high, self.mean, self.scale, self.coef)
        if {len(column) for column in columns} != {len(self.features)}:
            raise ValueError("a layer needs one number of each kind for each feature")
        if not self.features or min(self.scale) <= 0:
            raise ValueError("a layer needs features, and scales above 0")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("a layer's lows must not be above its highs")
        return self


class Asking(Record):
    """How the base model is asked, where it answers in text instead of by the query."""

    samples: int = Field(default=10, ge=1, le=MOST_SAMPLES)
    """Answers drawn to each question."""
    temperature: float = Field(default=1.0, gt=0, le=5)
    seed: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=64, ge=1, le=MOST_TOKENS)
    """Most new tokens of each answer."""
    grader: str = "substring"
    """Says which sampled answers agree with the one that is judged."""
    text_hash: str = ""
    """SHA-256 of the text that asks for a probability; of `verbalized` only."""


class Scope(Record):
    """What the base model can know at all, for models of a closed world."""

    description: str
    words: frozenset[str]
    """Every lower-case word that its questions use."""
    frames: tuple[tuple[str, str], ...] = ()
    """Beginning and end of questions about a single word, whatever it is."""


class Manifest(Record):
    """Everything about an estimator but its weights."""

    schema_version: Literal[1] = 1
    name: Name
    method: Name
    base: BaseModelRef
    style: ContextStyle = "raw"
    boundary: Boundary = "apart"
    query_hash: SHA256 = QUERY_HASH
    template_date: str = TEMPLATE_DATE
    """The day that chat templates which read the clock are told."""
    label_ids: tuple[int, int] | None = None
    activation: Activation | None = None
    adapter: FileName | None = None
    """Folder of the LoRA, relative to the manifest."""
    probe: FileName | None = None
    """File of the probe's head, relative to the manifest (see `adapters.probe`)."""
    layer: LogisticLayer | None = None
    label_orders: Literal["fixed", "both"] = "fixed"
    """`both`: the query is also asked with its labels exchanged, and the two logits averaged."""
    asking: Asking | None = None
    prior: FileName | None = None
    """File of the question prior, relative to the manifest."""
    novelty: FileName | None = None
    """File of what answers are compared with for `ood`, relative to the manifest."""
    novelty_by: Arithmetic | None = None
    """What read those; states that are computed otherwise are not compared with them."""
    budget: int | None = Field(default=None, gt=0)
    """Most tokens of context + answer + query; None: what the base model reads."""
    calibrators: dict[str, CalibratorState] = {}
    """By answering model or group of answers; `"*"` serves the rest."""
    provider: dict[str, LogisticLayer] = {}
    """By answering model: the layer over the raw score and the log-probabilities that this model
    gives its own answers (`adapters.layer.PROVIDER_FEATURES`). It takes the calibrator's place for
    answers that carry them."""
    certificates: tuple[Certificate, ...] = ()
    scope: Scope | None = None
    files: dict[FileName, SHA256] = {}
    """SHA-256 of every other file of the directory, by relative path."""
    data: dict[str, str] = {}
    """One hash of the set of questions of each split, by split name."""
    questions: FileName | None = None
    """File with a short hash of every question, by split name (see `adapters.questions`)."""
    figures: dict[str, float | int | str | None] = {}
    versions: dict[str, str] = {}
    found: dict[str, str] = {}
    """Of an imported checkpoint: what it says, and where."""
    assumed: dict[str, str] = {}
    """Of an imported checkpoint: what it does not say, and was taken to be so."""

    @property
    def scorer(self) -> str:
        """Identifies, in 12 hex digits, what a raw score follows from: estimators that differ in
        calibrators, certificates or records alone share it."""
        known = self.model_dump(mode="json", include=set(SCORING))
        known["base"] = self.base.fingerprint
        weights = [f"{self.adapter}/{name}" for name in ADAPTER_FILES] + [self.probe, self.prior]
        known["files"] = [self.files.get(name or "") for name in weights]
        text = json.dumps(known, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_manifest(folder: Path) -> Manifest:
    """Read and verify a manifest. Raises ManifestError in one line that says what does not fit."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ManifestError(f"no {MANIFEST} in {folder}: this is not an estimator directory")
    try:
        data = read_json(path)
    except JsonError as error:
        raise ManifestError(
            f"{path} is not valid JSON ({error}): restore it from its source"
        ) from error
    version = data.get("schema_version")
    if version != 1:
        raise ManifestError(
            f"{path} has schema version {version!r}, this ct-guard reads 1: upgrade ct-guard"
        )
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ManifestError(f"{path}: field {where!r}: {first['msg']}") from error
    for name, expected in manifest.files.items():
        file = folder / name
        if not any(file.resolve().is_relative_to(root) for root in _roots(folder)):
            raise ManifestError(f"{path} names a file outside its directory: {name!r}")
        if not file.is_file():
            raise ManifestError(f"{file} is missing: restore the estimator from its source")
        if sha256(file) != expected:
            raise ManifestError(
                f"{file} differs from its hash in {MANIFEST}: it was changed or damaged;"
                " restore the estimator from its source"
            )
    if manifest.questions is not None and manifest.questions not in manifest.files:
        raise ManifestError(f"{path} hashes no {manifest.questions}: restore it from its source")
    if manifest.probe is not None and manifest.probe not in manifest.files:
        raise ManifestError(f"{path} hashes no {manifest.probe}: restore it from its source")
    if manifest.prior is not None and manifest.prior not in manifest.files:
        raise ManifestError(f"{path} hashes no {manifest.prior}: restore it from its source")
    if manifest.novelty is not None and manifest.novelty not in manifest.files:
        raise ManifestError(f"{path} hashes no {manifest.novelty}: restore it from its source")
    for name in ADAPTER_FILES if manifest.adapter is not None else ():
        if f"{manifest.adapter}/{name}" not in manifest.files:
            raise ManifestError(f"{path} hashes no {name} of its adapter {manifest.adapter!r}")
    return manifest


def _roots(folder: Path) -> list[Path]:
    """Where the files of an estimator may lie: in its directory; in the hub's cache they are links
    to contents that lie beside the snapshots."""
    here = folder.resolve()
    return [here, here.parents[1] / "blobs"] if is_snapshot(here) else [here]


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Make sure that an estimator may be written to `folder`. Raises OutputExistsError where it
    exists and may not be replaced, or is no estimator: nothing else is ever overwritten."""
    if folder.exists() and not overwrite:
        raise OutputExistsError(f"{folder} exists already: choose another name, or --overwrite it")
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise OutputExistsError(f"{folder} exists and is no estimator: choose another name")


def save_estimator(
    folder: Path,
    manifest: Manifest,
    *,
    adapter: Path | None = None,
    files: Mapping[str, Path | bytes] | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write an estimator directory in one step: a temporary directory is filled and renamed, so
    that no half-written estimator is ever seen. `adapter` is a folder with a PEFT LoRA, copied in;
    `files` are more files by relative path, to copy or as content.

    Returns the manifest as written. Raises OutputExistsError as `check_target`.
    """
    check_target(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with naming(folder):
            manifest = _filled(building, manifest, adapter, files or {})
            building.chmod(0o755)
            take_place(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return manifest


def _filled(
    building: Path, manifest: Manifest, adapter: Path | None, files: Mapping[str, Path | bytes]
) -> Manifest:
    """Write all files of an estimator, the manifest last."""
    if adapter is not None:
        (building / "adapter").mkdir()
        for name in ADAPTER_FILES:
            shutil.copyfile(adapter / name, building / "adapter" / name)
        config = building / "adapter" / LORA_CONFIG
        config.write_bytes(in_order(config.read_bytes()))
        manifest = manifest.model_copy(update={"adapter": "adapter"})
    for name, content in files.items():
        (building / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (building / name).write_bytes(content)
        else:
            shutil.copyfile(content, building / name)
    hashes = {
        path.relative_to(building).as_posix(): sha256(path)
        for path in sorted(building.rglob("*"))
        if path.is_file()
    }
    manifest = manifest.model_copy(update={"files": hashes})
    write_manifest(building, manifest)
    return manifest


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it stands in its file."""
    data = manifest.model_dump(mode="json")
    if manifest.scope is not None:
        data["scope"]["words"] = sorted(manifest.scope.words)
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write or replace the manifest of an estimator's directory, in one step."""
    with replacing(folder / MANIFEST) as building:
        building.write_text(manifest_text(manifest), encoding="utf-8")


def with_file(manifest: Manifest, folder: Path, name: str) -> Manifest:
    """The manifest with the hash of one more file of the directory, or of one that changed."""
    files = {**manifest.files, name: sha256(folder / name)}
    return manifest.model_copy(update={"files": dict(sorted(files.items()))})


def take_place(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; what stood there is whole until then, and back if that fails."""
    old = new.with_name(f"{new.name}-old")
    if not folder.exists():
        os.replace(new, folder)
        return
    os.replace(folder, old)
    try:
        os.replace(new, folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def sha256(path: Path) -> str:
    """Of the file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
