"""A checkpoint as Hugging Face's libraries read it: whole, in silence, and what they complain of in
one line."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from ct_guard.errors import BackendError

__all__ = ["FAULTS", "check_whole", "from_pretrained", "loading_problem", "quiet"]

_ADVICE = {
    "GatedRepoError": "it is gated: accept its licence on its page on the hub, then log in with"
    " 'hf auth login' or set HF_TOKEN",
    "RevisionNotFoundError": "it has no such revision: check the estimator's source",
    "RepositoryNotFoundError": "it is not on the hub, or is private: check the id, or log in with"
    " 'hf auth login'",
    "LocalEntryNotFoundError": "it is not in the local cache and the hub cannot be reached: fetch"
    " it once with a network ('hf download'), or give its directory",
    "OfflineModeIsEnabled": "it is not in the local cache and HF_HUB_OFFLINE is set: fetch it once"
    " with a network ('hf download'), or give its directory",
}
"""By the names of the hub client's errors: the client may not be installed. Most special first."""

_OF_CONFIG = (
    AssertionError, AttributeError, LookupError, TypeError, ArithmeticError, StrictDataclassError,
)  # fmt: skip
"""What the libraries raise over a configuration that they do not expect."""
FAULTS = (OSError, ValueError, ImportError, RuntimeError, SafetensorError, *_OF_CONFIG)
"""What they raise over a model that they cannot load."""


from_pretrained: Any = AutoModelForCausalLM.from_pretrained
"""Typed as if it never returned a report beside the model."""


def check_whole(report: Mapping[str, Any], name: str) -> None:
    """Raise BackendError unless a checkpoint and its model have the same weights, by a report of
    `from_pretrained`: what is missing would be random numbers, what is left over belongs to another
    model. Matrices that are tied, and buffers that follow from the configuration, are in neither
    list of the library's."""
    for key, what in (
        ("missing_keys", "the checkpoint lacks the weight {}, which would be random numbers"),
        ("unexpected_keys", "the model has no place for the checkpoint's weight {}"),
        ("mismatched_keys", "the weight {} has another shape than the model's"),
    ):
        found = sorted(entry if isinstance(entry, str) else entry[0] for entry in report[key])
        if found:
            more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
            raise BackendError(
                f"cannot load the base model {name!r}: {what.format(repr(found[0]))}{more}: its"
                " configuration and its weights do not belong together; save the model again, or"
                " fetch the original"
            )
    if report["error_msgs"]:
        raise BackendError(f"cannot load the base model {name!r}: {report['error_msgs'][0]}")


def loading_problem(error: BaseException) -> str:
    """The advice for what went wrong on the hub, else the error's own first line."""
    names: set[str] = set()
    link: BaseException | None = error
    while link is not None:
        names.update(kind.__name__ for kind in type(link).__mro__)
        link = link.__cause__ or link.__context__
    for name, advice in _ADVICE.items():
        if name in names:
            return advice
    if isinstance(error, _OF_CONFIG):
        text = " ".join(str(error).split())
        return f"its configuration cannot be read ({type(error).__name__}: {text[:200]})"
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the model libraries' progress bars, reports, and warnings about each other."""
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity(max(level, ERROR))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
