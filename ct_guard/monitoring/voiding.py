"""That a certificate is void stands in the estimator's manifest, where every guard looks."""

from collections.abc import Mapping
from pathlib import Path

from ct_guard.records import Void
from ct_guard.store import MANIFEST, MINI, SMOL_ESTIMATOR, is_fetched, load_manifest, write_manifest

from .alarm import Alarm

__all__ = ["is_own", "mark_void"]


def is_own(folder: Path) -> bool:
    """Whether the estimator's directory is the user's to write to: not embedded, and in no cache of
    the hub's."""
    embedded = (place.resolve() for place in (MINI, SMOL_ESTIMATOR))
    here = folder.resolve()
    return not is_fetched(folder) and not any(here.is_relative_to(place) for place in embedded)


def mark_void(folder: Path, voids: Mapping[str, Alarm]) -> None:
    """Write down which certificates are void, by their `key`. An estimator that is not the user's
    own stays as it is."""
    if not voids or not is_own(folder) or not (folder / MANIFEST).is_file():
        return
    manifest = load_manifest(folder)
    marked = tuple(
        known.model_copy(
            update={"void": Void(at=voids[known.key].at, reason=voids[known.key].text)}
        )
        if known.void is None and known.key in voids
        else known
        for known in manifest.certificates
    )
    if marked != manifest.certificates:
        write_manifest(folder, manifest.model_copy(update={"certificates": marked}))
