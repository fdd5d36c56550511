"""How each method makes one raw score on the logit scale of what it goes by.

What a method is, and what belongs to it, stands in `ct_guard.methods`; here is a module for each
family, with a class of one of the two seams in `base`, and `make`, which builds it from a manifest.
To add one: its entry there, its module here, and a line in `MAKERS`.
"""

from pathlib import Path

from ct_guard.backends import Backend
from ct_guard.store import Manifest

from . import evidence, hybrid, likelihood, probe, query, question_prior, sampling, verbalized
from .base import Judged, Maker, Method, TextMethod
from .hybrid import FEATURES, PRIOR_FEATURES, HybridMethod, features

__all__ = [
    "FEATURES",
    "MAKERS",
    "PRIOR_FEATURES",
    "HybridMethod",
    "Judged",
    "Method",
    "TextMethod",
    "features",
    "make_method",
]

MAKERS: dict[str, Maker] = {
    "query": query.make,
    "zero-shot": query.make,
    "likelihood": likelihood.make,
    "perplexity": likelihood.make,
    "hybrid": hybrid.make,
    "probe": probe.make,
    "lora_probe": probe.make,
    "verbalized": verbalized.make,
    "sampling": sampling.make,
    "question_prior": question_prior.make,
    "evidence": evidence.make,
}
"""By the names of `ct_guard.methods.METHODS`."""


def make_method(
    manifest: Manifest, folder: Path | None = None, backend: Backend | None = None
) -> Method | TextMethod:
    """The method of an estimator.

    Args:
        manifest: what the estimator is.
        folder: its directory, for methods with files of their own (a head, a question prior).
        backend: its base model, for methods that ask it in text.

    Raises:
        ManifestError: what the manifest says does not make the method.
        UsageError: the method asks a base model, and there is none.
    """
    return MAKERS[manifest.method](manifest, folder, backend)
