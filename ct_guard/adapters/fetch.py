"""Files of a repository of the Hugging Face hub, through its ordinary client and cache."""

import os
from collections.abc import Sequence
from pathlib import Path

from ct_guard.errors import EstimatorError, MissingExtraError

__all__ = ["cache_folder", "fetch_snapshot"]


def cache_folder() -> Path:
    """Where what was fetched is kept as estimators: `CT_GUARD_CACHE`, else the user's cache."""
    named = os.environ.get("CT_GUARD_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ct-guard"


def fetch_snapshot(ids: Sequence[str], files: Sequence[str], revision: str | None = None) -> Path:
    """Directory of the first repository of `ids` that exists, with those of `files` that it has.

    Taken from the local cache where there is no network or `HF_HUB_OFFLINE` is set. Raises
    EstimatorError in one line that says what to do.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError("the hub", "torch") from error
    missing: EstimatorError | None = None
    for name in ids:
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=list(files)))
        except GatedRepoError as error:
            raise EstimatorError(
                f"{name} is gated: ask for access on its page on the hub, then log in with 'hf auth"
                " login' or set HF_TOKEN"
            ) from error
        except RevisionNotFoundError as error:
            raise EstimatorError(f"{name} has no revision {revision!r}: leave it out") from error
        except RepositoryNotFoundError:
            missing = missing or EstimatorError(
                f"{name} is not on the hub, or is private: check the id, or log in with 'hf auth"
                " login'"
            )
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError):
            missing = EstimatorError(
                f"{name} is not in the local cache and the hub cannot be reached: fetch it once"
                f" with a network ('hf download {name}'), or give its directory"
            )
    raise missing or EstimatorError("no id was given")
