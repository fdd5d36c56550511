"""Whether what a manifest says fits together: its method and the parts that belong to it."""

from collections.abc import Mapping

from ct_guard.errors import CalibrationError, ManifestError
from ct_guard.methods import METHODS
from ct_guard.query import RAW_STYLES
from ct_guard.records import CalibratorState

from .layer import PROVIDER_FEATURES
from .manifest import ADAPTER_FILES, Manifest

__all__ = ["check_coherent"]


def check_coherent(manifest: Manifest) -> None:
    """Raise ManifestError, in one line that says what does not fit. Nothing is read but the
    manifest itself."""
    _check_hashes(manifest)
    _check_method(manifest)
    if manifest.boundary == "joint":
        if manifest.label_orders == "both":
            raise ManifestError("both label orders go with the boundary 'apart'")
        if manifest.style not in RAW_STYLES:
            raise ManifestError(
                f"the boundary 'joint' goes with the styles {', '.join(RAW_STYLES)}, not with"
                f" {manifest.style!r}"
            )
    if (manifest.adapter is None) != (manifest.activation is None):
        raise ManifestError("an adapter and its activation go together; one is missing")
    for model, layer in manifest.provider.items():
        if layer.features != PROVIDER_FEATURES:
            raise ManifestError(
                f"the layer over the log-probabilities of {model!r} does not fit this version: fit"
                " it again with 'ct-guard calibrate --logprobs'"
            )
    _check_calibrators(manifest.calibrators, "calibrator")
    if manifest.fields is not None:
        if not manifest.spec.has_base:
            raise ManifestError(f"the method {manifest.method!r} reads no base, and no fields")
        _check_calibrators(manifest.fields.calibrators, "calibrator of the fields")


def _check_calibrators(states: Mapping[str, CalibratorState], what: str) -> None:
    if states:
        from ct_guard.calibration import check  # brings scipy
    for name, state in states.items():
        try:
            check(state)
        except CalibrationError as error:
            raise ManifestError(f"{what} {name!r}: {error}") from error


def _check_hashes(manifest: Manifest) -> None:
    """Every file that the estimator is made of is one that was verified."""
    named = (
        manifest.questions, manifest.probe, manifest.prior, manifest.novelty, manifest.evidence,
        manifest.decisions,
    )  # fmt: skip
    for name in named:
        if name is not None and name not in manifest.files:
            raise ManifestError(f"the manifest hashes no {name}: restore it from its source")
    for folder in (manifest.adapter, manifest.fields and manifest.fields.adapter):
        for name in ADAPTER_FILES if folder is not None else ():
            if f"{folder}/{name}" not in manifest.files:
                raise ManifestError(f"the manifest hashes no {name} of its adapter {folder!r}")


def _check_method(manifest: Manifest) -> None:
    method = manifest.method
    if method not in METHODS:
        raise ManifestError(
            f"unknown method {method!r}: upgrade ct-guard, or use one of {', '.join(METHODS)}"
        )
    spec = METHODS[method]
    if manifest.label_orders == "both" and not spec.both_orders:
        raise ManifestError(f"both label orders are for the query alone, not for {method!r}")
    if spec.adapter != (manifest.adapter is not None):
        raise ManifestError(f"the method {method!r} and its adapter do not fit")
    if spec.head != (manifest.probe is not None):
        raise ManifestError(f"the method {method!r} and its head do not fit")
    if spec.fitted and manifest.evidence is None:
        raise ManifestError(f"the method {method!r} and its fitted evidence do not fit")
    if manifest.provider and manifest.weighs:
        raise ManifestError(
            "fitted evidence and layers over log-probabilities take each other's place: calibrate"
            " again, with the evidence logprobs"
        )
    if manifest.prior is not None and spec.prior == "none":
        raise ManifestError(f"the method {method!r} reads no question prior, and it has one")
    if manifest.novelty is not None and not spec.measures_ood:
        raise ManifestError(f"the method {method!r} has no ood, and it has one")
    if spec.acts_on_answers and manifest.activation != "all":
        raise ManifestError(
            f"a {method} reads the answer through its adapter: its activation is 'all'"
        )
    if manifest.provider and not spec.layer:
        layered = ", ".join(name for name, one in METHODS.items() if one.layer)
        raise ManifestError(f"layers over log-probabilities are of the method {layered}")
