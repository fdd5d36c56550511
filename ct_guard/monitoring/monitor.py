"""A monitor beside a guard: sees each confidence, aside from the requests."""

import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ct_guard.aside import PATIENCE, Aside
from ct_guard.certificates import Arithmetic
from ct_guard.errors import UsageError
from ct_guard.files.columns import cell
from ct_guard.forks import Shared
from ct_guard.promises import Voidable
from ct_guard.records import Confidence, QuestionAnswer
from ct_guard.store import Manifest, load_manifest, locate, question_hash

from .alarm import Alarm, Telling
from .book import Answered
from .watch import Outcome, Standing, Watch, book_of, probabilities_of

__all__ = ["Monitor", "answered"]

_log = logging.getLogger("ct_guard.monitoring")


class _Seen(NamedTuple):
    item: QuestionAnswer
    confidence: Confidence
    arithmetic: Arithmetic | None


class Monitor(Shared):
    """Watches an estimator's certificates while a guard works; see `Watch` for what is tested, and
    `ct-guard monitor` for the same on files.

        monitor = Monitor("my-calibrated", on_alarm=print)
        guard = Guard("my-calibrated", monitor=monitor)
        guard.assess(QuestionAnswer(id="17", question=..., answer=...))
        monitor.record_outcome("17", correct=False)

    What is seen waits for a thread of its own, at most `max_waiting` answers; more are dropped, and
    counted. Nothing that goes wrong there reaches a request. Answers without an `id` are tested,
    and can get no outcome; what is of a group of its own, as calls of tools are, is passed over:
    no certificate is about it. Alarms go to `on_alarm` (on that thread, or on that of
    `record_outcome`), to the logger `ct_guard.monitoring`, and into `counters`.

    Processes may share a `book`; each hears of the alarms that it raised itself, and every guard
    sees a certificate that became void. Safe to share between threads, and usable after a fork.
    """

    def __init__(
        self,
        estimator: str | Path,
        *,
        book: str | Path | None = None,
        false_alarm: float | None = None,
        on_alarm: Callable[[Alarm], None] | None = None,
        max_waiting: int = 10_000,
    ) -> None:
        """`book` is the file that answers and outcomes are kept in; None: `monitor.sqlite` in the
        estimator's directory. `false_alarm` is the rate for all tests together, over the whole
        stream; None: that of the book, 0.05 in a new one.

        Raises UsageError for what makes no sense, InputError for a book that is none,
        EstimatorError for an estimator that is none.
        """
        if not max_waiting >= 1:
            raise UsageError(f"max_waiting is a number of answers, at least 1, not {max_waiting!r}")
        folder = locate(estimator)
        manifest = load_manifest(folder)
        self._telling = Telling(on_alarm)
        self._watch = Watch(
            folder,
            manifest,
            book_of(folder, book),
            false_alarm=false_alarm,
            telling=self._telling,
        )
        self._of = probabilities_of(manifest)
        self._aside = Aside(self._note, name="ct-guard-monitor", max_waiting=max_waiting)

    @property
    def counters(self) -> dict[str, int]:
        """For metrics, since this process began: answers that were `seen`, `noted` as new ones,
        `dropped` and `failed`; `outcomes`, `callbacks_failed` and `alarms_<kind>`. What never
        happened is missing."""
        return self._telling.counters

    def check_of(self, manifest: Manifest) -> None:
        """Raises UsageError where this is the monitor of another estimator."""
        if probabilities_of(manifest) != self._of:
            raise UsageError(
                f"this monitor is of {self._watch.name}, whose P(correct) are others than those of"
                f" {manifest.name}: make one of the same estimator"
            )

    def see(
        self,
        items: Sequence[QuestionAnswer],
        confidences: Sequence[Confidence],
        arithmetic: Arithmetic | None = None,
    ) -> None:
        """Take note of answers and their confidences. Never waits, never raises."""
        seen = [
            _Seen(item, confidence, arithmetic)
            for item, confidence in zip(items, confidences, strict=False)
            if item.group is None
        ]
        taken = self._aside.put(seen)
        self._telling.count("seen" if taken else "dropped", len(seen))

    def record_outcome(self, id: str, correct: bool) -> None:
        """What came of the answer with this id. The same outcome once more changes nothing.

        Raises InputError for an id that no answer with a probability had, and for an outcome that
        contradicts the known one; UsageError for what is no outcome.
        """
        if not isinstance(id, str) or not id or not isinstance(correct, bool):
            raise UsageError(f"an outcome is an id and True or False, not {id!r} and {correct!r}")
        self.flush(PATIENCE)
        self._watch.add_outcomes([Outcome(_text(id), correct, f"outcome of {id!r}")])
        self._telling.count("outcomes")

    def why_void(self, promise: Voidable) -> str:
        """Why a promise is void, as far as this process knows; empty where it stands."""
        return self._watch.why_void(promise)

    def standing(self) -> Standing:
        """How the watch stands, of all that was seen before."""
        self.flush(PATIENCE)
        return self._watch.standing()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was seen is noted, at most `timeout` seconds; whether it is."""
        return self._aside.flush(timeout)

    def close(self, timeout: float | None = PATIENCE) -> None:
        """Note what waits, and see no more."""
        self._aside.close(timeout)

    def _note(self, taken: list[_Seen]) -> None:
        try:
            columns = self._watch.columns
            for arithmetic, seen in groupby(taken, key=lambda one: one.arithmetic):
                answers = [answered(one.item, one.confidence, columns) for one in seen]
                self._telling.count("noted", self._watch.note(answers, arithmetic)[0])
        except Exception:
            self._telling.count("failed", len(taken))
            _log.exception("a monitor could not note %d answers", len(taken))


def answered(item: QuestionAnswer, confidence: Confidence, columns: Sequence[str] = ()) -> Answered:
    """An answer as a book keeps it: without its texts, but for its values in these columns, where
    it has some."""
    known: dict[str, object] = {"model": item.model, **item.columns}
    values = {name: cell(known.get(name)) for name in columns}
    return Answered(
        id=None if item.id is None else _text(item.id),
        question=question_hash(item.question_key()),
        p=confidence.p,
        model=None if item.model is None else _text(item.model),
        status=confidence.status,
        groups={name: _text(value) for name, value in values.items() if value},
    )


def _text(text: str) -> str:
    """As SQLite can keep it: UTF-8."""
    return text.encode("utf-8", "replace").decode()
