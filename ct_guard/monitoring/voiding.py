"""That a promise is void stands in the estimator's manifest, where every guard looks."""

from collections.abc import Mapping
from pathlib import Path

from ct_guard.certificates import Void
from ct_guard.promises import marked_void, with_voids
from ct_guard.store import MANIFEST, MINI, SMOL_ESTIMATOR, is_fetched, load_manifest, write_manifest

from .alarm import Alarm

__all__ = ["is_own", "mark_void"]


def is_own(folder: Path) -> bool:
    """Whether the estimator's directory is the user's to write to: not embedded, and in no cache of
    the hub's."""
    embedded = (place.resolve() for place in (MINI, SMOL_ESTIMATOR))
    here = folder.resolve()
    return not is_fetched(folder) and not any(here.is_relative_to(place) for place in embedded)


def mark_void(folder: Path, alarms: Mapping[str, Alarm]) -> None:
    """Write down which certificates and other promises are void, by their `key`. An estimator that
    is not the user's own stays as it is."""
    if not alarms or not is_own(folder) or not (folder / MANIFEST).is_file():
        return
    manifest = load_manifest(folder)
    voids = {key: Void(at=alarm.at, reason=alarm.text) for key, alarm in alarms.items()}
    marked = manifest.model_copy(
        update={
            "certificates": tuple(marked_void(one, voids) for one in manifest.certificates),
            "promises": tuple(with_voids(one, voids) for one in manifest.promises),
        }
    )
    if marked != manifest:
        write_manifest(folder, marked)
