"""Estimators on disk: the manifest, its verification, and where estimators are found."""

from .card import model_card
from .directory import (
    check_target,
    load_manifest,
    save_estimator,
    with_file,
    write_manifest,
)
from .hub import is_fetched, resolve
from .locate import EMBEDDED, MINI, ON_HUB, SMOL, SMOL_ESTIMATOR, base_place, locate
from .manifest import (
    EVERY_MODEL,
    MANIFEST,
    NO_BASE,
    Asking,
    BaseModelRef,
    FieldReading,
    LogisticLayer,
    Manifest,
    Scope,
    manifest_text,
)
from .probe import PROBE, PROBE_SIZES, ProbeHead, dump_probe, load_probe
from .published import PUBLISHED, Published
from .questions import load_questions, question_hash, set_hash
from .reference import import_checkpoint
from .revise import revise_estimator
from .share import pull_estimator, push_estimator

__all__ = [
    "EMBEDDED",
    "EVERY_MODEL",
    "MANIFEST",
    "MINI",
    "NO_BASE",
    "ON_HUB",
    "PROBE",
    "PROBE_SIZES",
    "PUBLISHED",
    "SMOL",
    "SMOL_ESTIMATOR",
    "Asking",
    "BaseModelRef",
    "FieldReading",
    "LogisticLayer",
    "Manifest",
    "ProbeHead",
    "Published",
    "Scope",
    "base_place",
    "check_target",
    "dump_probe",
    "import_checkpoint",
    "is_fetched",
    "load_manifest",
    "load_probe",
    "load_questions",
    "locate",
    "manifest_text",
    "model_card",
    "pull_estimator",
    "push_estimator",
    "question_hash",
    "resolve",
    "revise_estimator",
    "save_estimator",
    "set_hash",
    "with_file",
    "write_manifest",
]
