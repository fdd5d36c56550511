"""Whether a promise still stands, by the estimator's manifest as it is on disk now."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from ct_guard.certificates import Certificate
from ct_guard.files.untrusted_json import read_json
from ct_guard.promises import Promise, Voidable, voidable
from ct_guard.store import MANIFEST

__all__ = ["Validity"]

PERIOD = 1.0
"""Seconds between two looks at the file."""

_PROMISES: TypeAdapter[list[Promise]] = TypeAdapter(list[Promise])

_log = logging.getLogger("ct_guard.guard")


class Validity:
    """Tells of promises that were marked void after they were loaded, as another process does
    that records outcomes. Asking costs a look at the file's time, at most once in `period` seconds.

    What cannot be read changes nothing that is known, and is logged.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        period: float = PERIOD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = None if folder is None else folder / MANIFEST
        self._period, self._clock = period, clock
        self._next = 0.0
        self._stamp: tuple[int, int, int] | None = None
        self._void: dict[str, str] = {}
        self._said = ""

    def why_void(self, promise: Voidable) -> str:
        """Why it is void; empty where it stands."""
        if self._path is not None and self._clock() >= self._next:
            self._next = self._clock() + self._period
            self._look(self._path)
        return self._void.get(promise.key, "")

    def _look(self, path: Path) -> None:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            manifest = read_json(path)
            known: list[Certificate | Promise] = [
                Certificate.model_validate(each) for each in manifest.get("certificates", ())
            ]
            known += _PROMISES.validate_python(manifest.get("promises", []))
        except (OSError, TypeError, ValueError) as error:
            if str(error) != self._said:
                _log.warning("whether promises are void cannot be looked up: %s", error)
            self._said = str(error)
            return
        self._stamp = stamp
        self._void |= {one.key: one.void.reason for one in voidable(known) if one.void is not None}
