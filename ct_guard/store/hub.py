"""The Hugging Face hub: from a repository's id to a local directory, and back.

The token comes from the environment only (`HF_TOKEN`), and no message of ours repeats what a
request held. What was fetched is used only after `load_manifest` verified its hashes.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ct_guard.errors import CtGuardError, EstimatorError, HubError, MissingExtraError
from ct_guard.files.cache import cache_folder

__all__ = [
    "ESTIMATOR_FILES",
    "endpoint",
    "fetch_file",
    "is_fetched",
    "is_repo_id",
    "is_snapshot",
    "resolve",
    "shown_endpoint",
    "token",
    "translated",
]

ESTIMATOR_FILES = ("manifest.json", "adapter_config.json")
"""A repository of an estimator holds one of these: ours, or a PEFT adapter's."""

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def is_repo_id(text: str) -> bool:
    """Whether `text` has the form `owner/name`."""
    return _REPO_ID.fullmatch(text) is not None and ".." not in text


def token() -> str | None:
    """The access token: from `HF_TOKEN`, never from a file."""
    return os.environ.get("HF_TOKEN") or None


def endpoint() -> str:
    """Base URL of the hub: `HF_ENDPOINT`, where it is set, else the client's own."""
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def shown_endpoint() -> str:
    """The same for messages: without the user and password that a proxy's URL may hold."""
    url = urlsplit(endpoint())
    return urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))


def is_fetched(folder: Path) -> bool:
    """Whether the directory is in a cache: the hub client's, or `cache_folder`."""
    here = folder.resolve()
    return is_snapshot(here) or here.is_relative_to(cache_folder().resolve())


def is_snapshot(here: Path) -> bool:
    """Whether a resolved path is a revision in the hub client's cache."""
    return here.parent.name == "snapshots" and here.parents[1].name.startswith("models--")


def resolve(
    repo_id: str,
    revision: str | None = None,
    *,
    offline: bool = False,
    only: Sequence[str] | None = None,
) -> Path:
    """Local directory with the files of the repository `repo_id` (`owner/name`) at `revision` (a
    branch, tag or commit; None: its main branch), from the cache where they are there already.
    `only`: none but files of these names.

    With `offline`, or `HF_HUB_OFFLINE=1` in the environment, only the cache is looked at.

    Raises:
        HubError: no such repository or revision, gated, no network, or not in the cache.
        EstimatorError: the repository holds no estimator (nothing was downloaded then).
        MissingExtraError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import HfApi, constants, snapshot_download
    except ModuleNotFoundError as error:
        raise MissingExtraError("the hub", "torch") from error
    offline = offline or constants.HF_HUB_OFFLINE
    with translated(repo_id, revision):
        if not offline:
            # the list of files first: a mistyped id may name a repository of a hundred gigabytes
            api = HfApi(endpoint=endpoint(), token=token() or False)
            info = api.model_info(repo_id, revision=revision)
            names = [file.rfilename for file in info.siblings or ()]
            if not any(name.rpartition("/")[2] in ESTIMATOR_FILES for name in names):
                raise EstimatorError(
                    f"{repo_id} on the hub is no estimator: it has neither a"
                    f" {' nor an '.join(ESTIMATOR_FILES)}; check the id"
                )
        return Path(
            snapshot_download(
                repo_id,
                revision=revision,
                endpoint=endpoint(),
                token=token() or False,
                local_files_only=offline,
                allow_patterns=None if only is None else list(only),
            )
        )


def fetch_file(
    repo_id: str, name: str, revision: str | None = None, *, offline: bool = False
) -> Path:
    """One file of the repository `repo_id`, from the cache where it is there already.

    Raises HubError as `resolve`, and for a file that the repository has not; MissingExtraError.
    """
    try:
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ModuleNotFoundError as error:
        raise MissingExtraError("the hub", "torch") from error
    with translated(repo_id, revision):
        try:
            return Path(
                hf_hub_download(
                    repo_id,
                    name,
                    revision=revision,
                    endpoint=endpoint(),
                    token=token() or False,
                    local_files_only=offline or constants.HF_HUB_OFFLINE,
                )
            )
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            raise HubError(f"{repo_id!r} has no file {name!r}: check its list of files") from None


@contextmanager
def translated(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Errors of the hub's client become HubError, in one line that says what to do. Their own text
    is left out: it may repeat a request."""
    from huggingface_hub import errors

    where = f"{repo_id!r}" + (f" at revision {revision!r}" if revision else "")
    try:
        yield
    except errors.GatedRepoError:
        raise HubError(
            f"{repo_id!r} is gated: accept its terms at {shown_endpoint()}/{repo_id}, and set"
            " HF_TOKEN to a token of that account"
        ) from None
    except errors.RevisionNotFoundError:
        raise HubError(
            f"{repo_id!r} has no revision {revision!r}: give a branch, tag or commit of it"
        ) from None
    except errors.RepositoryNotFoundError:
        raise HubError(
            f"no repository {repo_id!r} at {shown_endpoint()}, or none that you may see: check"
            " the id; for a private one set HF_TOKEN"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise HubError(
            f"{where} is not in the local cache, and the hub cannot be asked (offline): fetch it"
            " once with 'ct-guard pull' where there is a network, or give a directory"
        ) from None
    except errors.HFValidationError:
        raise HubError(f"{repo_id!r} is no id of the hub's: give 'owner/name'") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        hint = {
            401: "it refused the token: set HF_TOKEN to a valid one",
            403: "the token in HF_TOKEN may not do this: it needs write access to the repository",
            429: "too many requests: wait, then try again",
        }.get(status or 0, "try again later")
        raise HubError(f"the hub answered {status} for {where}: {hint}") from None
    except (_transport_error(), ConnectionError, TimeoutError) as error:
        raise HubError(
            f"no connection to {shown_endpoint()} for {where} ({type(error).__name__}): check the"
            " network; what is in the cache loads with HF_HUB_OFFLINE=1"
        ) from None
    except CtGuardError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError):
        raise HubError(
            f"the hub's answer for {where} cannot be used: its names or numbers are none; check"
            " HF_ENDPOINT"
        ) from None
    except RuntimeError:  # what the client makes of a failed upload of one file
        raise HubError(
            f"a file could not be sent to {where}: check the network, then push again; what arrived"
            " is not sent twice"
        ) from None


def _transport_error() -> type[Exception]:
    """What the client's HTTP library raises where no answer came; which library that is changed."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(
        kind
        for kind in HfHubHTTPError.__mro__
        if kind.__name__ == "HTTPError" and not kind.__module__.startswith("huggingface_hub")
    )
