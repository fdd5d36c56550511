"""Is a base's arithmetic right here, and how noisy is it? Found by loading it."""

import warnings
from pathlib import Path

from ct_guard.errors import CtGuardError
from ct_guard.estimators import load_estimator
from ct_guard.methods import baselines
from ct_guard.store import EMBEDDED, MANIFEST

from .finding import Finding

__all__ = ["arithmetic", "is_estimator"]


def arithmetic(name: str) -> list[Finding]:
    """One finding for each backend that can load the model `name`, an estimator or a base: what it
    computes in, its noise, and how it reads rows."""
    return [_on(name, backend) for backend in ("transformers", "llama_cpp")]


def _on(name: str, backend: str) -> Finding:
    is_base = not is_estimator(name)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            loaded = load_estimator(
                baselines(by_name=True)[0] if is_base else name,
                backend=backend,
                base=name if is_base else None,
            )
        how = str(loaded.arithmetic)
        manner = "together" if loaded.backend is None else loaded.backend.manner
        loaded.close()
    except CtGuardError as error:
        return Finding("arithmetic", f"{backend}: not to be had", str(error), ok=False)
    together = "rows are read together" if manner == "together" else "rows are read one by one"
    advice = next((str(one.message) for one in said if manner != "together"), "right: " + together)
    return Finding("arithmetic", how, advice)


def is_estimator(name: str) -> bool:
    """Whether an estimator is meant by `name`, and not a base."""
    if name == EMBEDDED:
        return False
    return name.startswith(f"{EMBEDDED}:") or (Path(name) / MANIFEST).is_file()
