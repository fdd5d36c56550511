"""What a monitor tells, and to whom: a callback, the log, and counters."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal

from ct_guard.forks import ForkLock
from ct_guard.records import Record

__all__ = ["Alarm", "Kind", "Telling"]

Kind = Literal["scores", "statuses", "model", "arithmetic", "risk"]

_log = logging.getLogger("ct_guard.monitoring")


class Alarm(Record):
    """Something that a certificate does not allow for, told once for each sample or certificate."""

    kind: Kind
    """`scores`, `statuses`: tests without labels; `model`, `arithmetic`: others than those of the
    certification sample; `risk`: the test with labels, which makes the certificate void."""
    about: str
    """The status, model or arithmetic, or the certificate's `key`."""
    text: str
    """A sentence."""
    at: str
    """ISO 8601, UTC."""


class Telling:
    """Tells of alarms: as a warning of the logger `ct_guard.monitoring`, to a callback, and as
    counters `alarms_<kind>`. A callback that fails is logged, and stops nothing."""

    def __init__(self, on_alarm: Callable[[Alarm], None] | None = None) -> None:
        self._on_alarm = on_alarm
        self._counters: Counter[str] = Counter()
        self._lock = ForkLock()

    @property
    def counters(self) -> dict[str, int]:
        """By name, since this process began."""
        with self._lock:
            return dict(self._counters)

    def count(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counters[name] += by

    def tell(self, alarms: Iterable[Alarm]) -> None:
        for alarm in alarms:
            self.count(f"alarms_{alarm.kind}")
            _log.warning("%s", alarm.text, extra={"alarm": alarm.model_dump()})
            if self._on_alarm is None:
                continue
            try:
                self._on_alarm(alarm)
            except Exception:
                self.count("callbacks_failed")
                _log.exception("the callback of a monitor failed")
