"""Estimators on disk: the manifest, its verification, and where estimators are found."""

from .locate import MINI, locate
from .manifest import (
    EVERY_MODEL,
    MANIFEST,
    BaseModelRef,
    LogisticLayer,
    Manifest,
    Scope,
    load_manifest,
    save_estimator,
    with_file,
    write_manifest,
)

__all__ = [
    "EVERY_MODEL",
    "MANIFEST",
    "MINI",
    "BaseModelRef",
    "LogisticLayer",
    "Manifest",
    "Scope",
    "load_manifest",
    "locate",
    "save_estimator",
    "with_file",
    "write_manifest",
]
