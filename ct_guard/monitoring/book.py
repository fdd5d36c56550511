"""The book: what was answered, what came of it, and how the tests stand, in one SQLite file.

Every change is one transaction, so that processes may share a book and one that dies leaves it
whole. Order is that of arrival, as the book numbers it; times are for people. A question is kept as
the short hash of `store.questions`, an answer not at all.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ct_guard.errors import InputError

from .alarm import Alarm, Kind

__all__ = ["Answered", "Book", "Labelled", "Page", "Within", "isoformat"]

PATIENCE = 30.0
"""Seconds for which a transaction waits for that of another process."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, question TEXT NOT NULL,
    p REAL NOT NULL, model TEXT, computed TEXT, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE REFERENCES answers (id),
    correct INTEGER NOT NULL, at REAL NOT NULL, tried INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS tests (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms (
    number INTEGER PRIMARY KEY, scope TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL,
    text TEXT NOT NULL, at TEXT NOT NULL, UNIQUE (scope, kind, about));
"""
_GROUPS = """
CREATE TABLE IF NOT EXISTS groups (
    id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (id, name)) WITHOUT ROWID
"""
"""Made apart: books of before have no such table."""


class Within(NamedTuple):
    """A group of answers: those with this value in the column."""

    column: str
    value: str


class Answered(NamedTuple):
    """An answer as it was scored, without its text."""

    id: str | None
    question: str
    """Short hash."""
    p: float | None
    model: str | None
    status: str
    groups: Mapping[str, str] = {}
    """Its values in the columns that promises are made by."""


class Labelled(NamedTuple):
    """An answer whose outcome is known."""

    number: int
    """Of the outcome, in the order of arrival."""
    id: str
    question: str
    p: float
    correct: bool
    answer: int
    """Number of the answer."""
    computed: str | None
    """Backend and format of the score, as JSON; None: not known."""
    model: str | None = None


class Book:
    """The file at `path`, made where there is none.

    `probabilities` identifies what its P(correct) follow from: a book holds those of one estimator
    under one calibration. Raises InputError for a file that is no such book.
    """

    def __init__(self, path: Path, probabilities: str) -> None:
        self.path = path
        with self.page() as page:
            found = page.remember("probabilities", probabilities)
            page.keep_groups()
        if found != probabilities:
            raise InputError(
                f"{path}: holds probabilities of another estimator, or of this one before it was"
                " calibrated anew: name another file as `book`"
            )

    @contextmanager
    def page(self) -> Iterator["Page"]:
        """One transaction. Raises InputError where the file cannot be read or written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{self.path}: cannot be opened: {error}") from error
        try:
            database.execute("BEGIN IMMEDIATE")
            if not database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    database.execute(statement)
            yield Page(database, str(self.path))
            database.execute("COMMIT")
        except sqlite3.Error as error:
            raise InputError(
                f"{self.path}: is no book of outcomes, or cannot be written ({error}): name another"
                " file as `book`"
            ) from error
        finally:
            database.close()  # what was not committed is undone


class Page:
    """What may be read and written within one transaction."""

    def __init__(self, database: sqlite3.Connection, path: str) -> None:
        self._database, self._path = database, path

    def remember(self, name: str, value: str) -> str:
        """A value that is kept from its first mention on."""
        self._database.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
        return str(self._one("SELECT value FROM meta WHERE name = ?", name))

    def keep_groups(self) -> None:
        """Groups of answers can be kept from now on."""
        self._database.execute(_GROUPS)

    def now(self) -> float:
        """Seconds since 1970, never before what stands in the book: where the clock went back, its
        latest time goes on to be now, and `clock_went_back` says by how much at most."""
        clock = datetime.now(UTC).timestamp()
        latest = float(str(self._one("SELECT value FROM meta WHERE name = 'time'") or 0.0))
        if clock < latest:
            back = max(latest - clock, self.clock_went_back)
            self._set("clock_went_back", repr(back))
            return latest
        self._set("time", repr(clock))
        return clock

    @property
    def clock_went_back(self) -> float:
        """Seconds; 0 where it never did."""
        return float(str(self._one("SELECT value FROM meta WHERE name = 'clock_went_back'") or 0.0))

    def note(self, answers: Sequence[Answered], computed: str | None = None) -> list[bool]:
        """Write answers down, with what their scores were computed in; whether each is a new one.

        One that has an id and a probability can get an outcome. Under an id that is there already,
        the same probability is the same answer; another one takes its place, as that of a stronger
        model does, until the outcome is known.
        """
        now, new = self.now(), []
        for answer in answers:
            known = None
            if answer.id is not None and answer.p is not None:
                known = self._row(
                    "SELECT p, model, EXISTS (SELECT 1 FROM outcomes WHERE id = answers.id)"
                    " FROM answers WHERE id = ?",
                    answer.id,
                )
            same = known is not None and known[:2] == (answer.p, answer.model)
            new.append(not same)
            if answer.id is None or answer.p is None or same or (known and known[2]):
                continue
            self._database.execute(
                "INSERT INTO answers (id, question, p, model, computed, at)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " question = excluded.question, p = excluded.p, model = excluded.model,"
                " computed = excluded.computed, at = excluded.at",
                (answer.id, answer.question, answer.p, answer.model, computed, now),
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO groups VALUES (?, ?, ?)",
                [(answer.id, name, value) for name, value in answer.groups.items()],
            )
        return new

    def add_outcome(self, id: str, correct: bool, where: str) -> bool:
        """Whether it is news. Raises InputError for an id without an answer, and for an outcome
        that contradicts the known one."""
        known = self._row("SELECT correct, at FROM outcomes WHERE id = ?", id)
        if known is not None:
            if bool(known[0]) != correct:
                raise InputError(
                    f"{where}: field 'correct': the outcome of {id!r} is known to be"
                    f" {_word(known[0])} since {isoformat(known[1])}, and a test has counted it:"
                    " leave the row out"
                )
            return False
        if self._one("SELECT 1 FROM answers WHERE id = ?", id) is None:
            raise InputError(
                f"{where}: field 'id': no answer {id!r} with a probability was noted in"
                f" {self._path}: note the scored rows first (ct-guard monitor), or skip such rows"
                " with `skip_unknown`"
            )
        self._database.execute(
            "INSERT INTO outcomes (id, correct, at) VALUES (?, ?, ?)", (id, correct, self.now())
        )
        return True

    def knows(self, id: str) -> bool:
        return self._one("SELECT 1 FROM answers WHERE id = ?", id) is not None

    def outcomes_after(
        self, number: int, *, within: Within | None = None, untried: bool = False
    ) -> list[Labelled]:
        """Those that arrived after the outcome of this number, in order; `within`: of answers of
        this group only; `untried`: which no attempt to certify has used."""
        rows = self._database.execute(
            "SELECT outcomes.number, id, question, p, correct, answers.number, computed, model"
            " FROM outcomes JOIN answers USING (id)"
            " WHERE outcomes.number > ? AND tried <= ? AND (? IS NULL OR EXISTS (SELECT 1 FROM"
            " groups WHERE groups.id = answers.id AND name = ? AND value = ?))"
            " ORDER BY outcomes.number",
            (number, 0 if untried else 1 << 60, *_values(within)),
        )
        return [
            Labelled(one, id, question, p, bool(correct), answer, computed, model)
            for one, id, question, p, correct, answer, computed, model in rows
        ]

    def last_outcome(self) -> int:
        """The number of the latest outcome; 0 where there is none."""
        return int(str(self._one("SELECT max(number) FROM outcomes") or 0))

    def counted_questions(self, until: int) -> set[str]:
        """Short hashes of the questions of the outcomes up to this number, and of those that an
        attempt to certify has used."""
        rows = self._database.execute(
            "SELECT question FROM outcomes JOIN answers USING (id)"
            " WHERE outcomes.number <= ? OR tried > 0",
            (until,),
        )
        return {str(question) for (question,) in rows}

    def tried(self, numbers: Sequence[int]) -> None:
        """An attempt to certify has used these outcomes."""
        self._database.executemany(
            "UPDATE outcomes SET tried = tried + 1 WHERE number = ?", [(one,) for one in numbers]
        )

    def noted_from(
        self, threshold: float, *, model: str | None = None, within: Within | None = None
    ) -> tuple[int, int]:
        """How many answers have p >= threshold, and of how many of them the outcome is known;
        `model`, `within`: of answers by this model, of this group only."""
        row = self._row(
            "SELECT count(*), count(outcomes.number) FROM answers LEFT JOIN outcomes USING (id)"
            " WHERE p >= ? AND model IS coalesce(?, model) AND (? IS NULL OR EXISTS (SELECT 1 FROM"
            " groups WHERE groups.id = answers.id AND name = ? AND value = ?))",
            threshold,
            model,
            *_values(within),
        )
        return (0, 0) if row is None else (int(str(row[0])), int(str(row[1])))

    def answers_from(self, number: int) -> list[tuple[float, str | None]]:
        """P(correct) and model of each answer from that number on."""
        return list(
            self._database.execute("SELECT p, model FROM answers WHERE number >= ?", (number,))
        )

    def state(self, name: str) -> str | None:
        """Of a test, as JSON."""
        found = self._one("SELECT state FROM tests WHERE name = ?", name)
        return None if found is None else str(found)

    def states(self, prefix: str) -> list[str]:
        """Of all tests whose name begins so."""
        rows = self._database.execute(
            "SELECT state FROM tests WHERE substr(name, 1, ?) = ?", (len(prefix), prefix)
        )
        return [str(state) for (state,) in rows]

    def save_state(self, name: str, state: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO tests VALUES (?, ?)", (name, state))

    def raise_alarm(self, scope: str, kind: Kind, about: str, text: str) -> Alarm | None:
        """Keep an alarm. None where it is not the first of its kind about this, in this scope."""
        alarm = Alarm(kind=kind, about=about, text=text, at=isoformat(self.now()))
        before = self._database.total_changes
        self._database.execute(
            "INSERT OR IGNORE INTO alarms (scope, kind, about, text, at) VALUES (?, ?, ?, ?, ?)",
            (scope, kind, about, text, alarm.at),
        )
        return alarm if self._database.total_changes > before else None

    def alarms(self, scope: str | None = None) -> list[Alarm]:
        """Of one scope, or all, in the order in which they were raised."""
        rows = self._database.execute(
            "SELECT kind, about, text, at FROM alarms WHERE scope = coalesce(?, scope)"
            " ORDER BY number",
            (scope,),
        )
        return [Alarm(kind=k, about=about, text=text, at=at) for k, about, text, at in rows]

    def _set(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _row(self, statement: str, *values: object) -> tuple[object, ...] | None:
        found: tuple[object, ...] | None = self._database.execute(statement, values).fetchone()
        return found

    def _one(self, statement: str, *values: object) -> object:
        row = self._row(statement, *values)
        return None if row is None else row[0]


def _values(group: Within | None) -> tuple[str | None, ...]:
    """What conditions on a group ask for; nothing where there is none."""
    return (None, None, None) if group is None else (group.column, *group)


def isoformat(at: object) -> str:
    """Seconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(float(str(at)), UTC).isoformat(timespec="seconds")


def _word(correct: object) -> str:
    return "true" if correct else "false"
