"""Whether a certificate still stands, by the estimator's manifest as it is on disk now."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from ct_guard.files.untrusted_json import read_json
from ct_guard.records import Certificate
from ct_guard.store import MANIFEST

__all__ = ["Validity"]

PERIOD = 1.0
"""Seconds between two looks at the file."""

_log = logging.getLogger("ct_guard.guard")


class Validity:
    """Tells of certificates that were marked void after they were loaded, as another process does
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

    def why_void(self, certificate: Certificate) -> str:
        """Why it is void; empty where it stands."""
        if self._path is not None and self._clock() >= self._next:
            self._next = self._clock() + self._period
            self._look(self._path)
        return self._void.get(certificate.key, "")

    def _look(self, path: Path) -> None:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            certificates = [
                Certificate.model_validate(each) for each in read_json(path).get("certificates", ())
            ]
        except (OSError, TypeError, ValueError) as error:
            if str(error) != self._said:
                _log.warning("whether certificates are void cannot be looked up: %s", error)
            self._said = str(error)
            return
        self._stamp = stamp
        self._void |= {one.key: one.void.reason for one in certificates if one.void is not None}
