"""The estimator's manifest: what it says of an estimator, field by field.

What of it fits together is in `coherence`; how it is read and written, in `directory`.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from ct_guard.backends import Activation
from ct_guard.certificates import Arithmetic, Certificate
from ct_guard.methods import METHODS, MethodSpec
from ct_guard.promises import Promise
from ct_guard.query import FIELD_QUERY_HASH, QUERY_HASH, TEMPLATE_DATE, Boundary, ContextStyle
from ct_guard.records import CalibratorState, GroupCorrections, LogisticLayer, Record

from .lora_config import LORA_CONFIG

__all__ = [
    "ADAPTER_FILES",
    "EVERY_MODEL",
    "MANIFEST",
    "NO_BASE",
    "Asking",
    "BaseModelRef",
    "FieldReading",
    "LogisticLayer",
    "Manifest",
    "Scope",
    "manifest_text",
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
NO_BASE = "none"
"""Id of the base of an estimator whose method reads no model."""

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


class FieldReading(Record):
    """How the fields of answers in JSON are read and calibrated. An estimator without it reads them
    by its own adapter, uncalibrated."""

    query_hash: SHA256 = FIELD_QUERY_HASH
    adapter: FileName | None = None
    """Folder of the LoRA that acts on the queries about fields, relative to the manifest; None: the
    estimator's own."""
    calibrators: dict[str, CalibratorState] = {}
    """By group of fields (`items[].price`); `"*"` serves the rest."""
    figures: dict[str, float | int | str | None] = {}


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
    """File of the probe's head, relative to the manifest (see `store.probe`)."""
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
    evidence: FileName | None = None
    """File of the fitted evidence, relative to the manifest (see `ct_guard.evidence`). Methods that
    go by nothing else make their raw score of it; above all others it weighs the raw score, too."""
    decisions: FileName | None = None
    """File of what graded decisions have taught, relative to the manifest (see
    `ct_guard.decisions`)."""
    budget: int | None = Field(default=None, gt=0)
    """Most tokens of context + answer + query; None: what the base model reads."""
    calibrators: dict[str, CalibratorState] = {}
    """By answering model or group of answers; `"*"` serves the rest."""
    provider: dict[str, LogisticLayer] = {}
    """By answering model: the layer over the raw score and the log-probabilities that this model
    gives its own answers (`store.layer.PROVIDER_FEATURES`). It takes the calibrator's place for
    answers that carry them."""
    groups: tuple[GroupCorrections, ...] = ()
    """What rows of a domain, a language, a tenant differ by from the calibrators' P(correct)."""
    certificates: tuple[Certificate, ...] = ()
    promises: tuple[Promise, ...] = ()
    """Of cascades, groups, fields, wrong answers; and what is known of asking stronger models."""
    fields: FieldReading | None = None
    scope: Scope | None = None
    files: dict[FileName, SHA256] = {}
    """SHA-256 of every other file of the directory, by relative path."""
    data: dict[str, str] = {}
    """One hash of the set of questions of each split, by split name."""
    questions: FileName | None = None
    """File with a short hash of every question, by split name (see `store.questions`)."""
    figures: dict[str, float | int | str | None] = {}
    versions: dict[str, str] = {}
    found: dict[str, str] = {}
    """Of an imported checkpoint: what it says, and where."""
    assumed: dict[str, str] = {}
    """Of an imported checkpoint: what it does not say, and was taken to be so."""

    @property
    def spec(self) -> MethodSpec:
        """What its method is. KeyError for one that this version does not know, which
        `load_manifest` refuses."""
        return METHODS[self.method]

    @property
    def known(self) -> tuple[Certificate | Promise, ...]:
        """All that policies may rest on."""
        return (*self.certificates, *self.promises)

    @property
    def weighs(self) -> bool:
        """Whether evidence of rows is weighed above the raw score, which then is one of several."""
        return self.evidence is not None and not self.spec.fitted

    @property
    def scorer(self) -> str:
        """Identifies, in 12 hex digits, what a raw score follows from: estimators that differ in
        calibrators, certificates or records alone share it."""
        known = self.model_dump(mode="json", include=set(SCORING))
        known["base"] = self.base.fingerprint
        weights = [f"{self.adapter}/{name}" for name in ADAPTER_FILES] + [self.probe, self.prior]
        weights += [self.evidence] if self.evidence is not None and not self.weighs else []
        known["files"] = [self.files.get(name or "") for name in weights]
        text = json.dumps(known, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def field_scorer(self) -> str:
        """As `scorer`, of the raw scores of fields."""
        fields = self.fields or FieldReading()
        known = self.model_dump(mode="json", include={"style", "label_ids", "activation"})
        known |= {"query_hash": fields.query_hash, "base": self.base.fingerprint}
        folder = fields.adapter or self.adapter
        known["files"] = [self.files.get(f"{folder}/{name}") for name in ADAPTER_FILES]
        text = json.dumps(known, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it stands in its file."""
    data = manifest.model_dump(mode="json")
    if manifest.scope is not None:
        data["scope"]["words"] = sorted(manifest.scope.words)
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
