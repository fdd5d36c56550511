"""Estimators on disk: the manifest, its verification, and where estimators are found."""

from .locate import MINI, locate
from .manifest import (
    EVERY_MODEL,
    MANIFEST,
    Asking,
    BaseModelRef,
    LogisticLayer,
    Manifest,
    Scope,
    load_manifest,
    manifest_text,
    save_estimator,
    with_file,
    write_manifest,
)
from .probe import PROBE, PROBE_SIZES, ProbeHead, dump_probe, load_probe
from .questions import load_questions, question_hash, set_hash
from .revise import revise_estimator

__all__ = [
    "EVERY_MODEL",
    "MANIFEST",
    "MINI",
    "PROBE",
    "PROBE_SIZES",
    "Asking",
    "BaseModelRef",
    "LogisticLayer",
    "Manifest",
    "ProbeHead",
    "Scope",
    "dump_probe",
    "load_manifest",
    "load_probe",
    "load_questions",
    "locate",
    "manifest_text",
    "question_hash",
    "revise_estimator",
    "save_estimator",
    "set_hash",
    "with_file",
    "write_manifest",
]
