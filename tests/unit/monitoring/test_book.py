"""The book: one transaction at a time, and no outcome that it cannot place."""

import sqlite3
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Self

import pytest

from ct_guard.errors import InputError
from ct_guard.monitoring import Answered, Book, book

A = Answered("a", "q1", 0.8, "one", "ok")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "there" / "monitor.sqlite"


def test_an_answer_comes_once_and_what_takes_its_place_counts(path: Path) -> None:
    kept = Book(path, "p")
    with kept.page() as page:
        assert page.note([A, A, A._replace(id=None), A._replace(id="b", p=None)]) == [
            True,
            False,
            True,
            True,
        ]
        assert page.note([A._replace(p=0.9, model="strong")]) == [True]
        assert page.add_outcome("a", True, "here")
        assert page.note([A]) == [True]  # too late to change what the outcome is of
        assert [(row.id, row.p) for row in page.outcomes_after(0)] == [("a", 0.9)]
        assert not page.knows("b")


def test_outcomes_come_in_the_order_of_arrival(path: Path) -> None:
    kept = Book(path, "p")
    with kept.page() as page:
        page.note([A._replace(id=name) for name in "abc"])
        for name in "cab":
            page.add_outcome(name, True, "here")
    with Book(path, "p").page() as page:
        rows = page.outcomes_after(0)
        assert [row.id for row in rows] == ["c", "a", "b"]
        page.tried([rows[0].number])
        assert [row.id for row in page.outcomes_after(0, untried=True)] == ["a", "b"]
        assert page.outcomes_after(page.last_outcome()) == []
        assert page.noted_from(0.5) == (3, 3)


def test_what_cannot_be_placed_is_refused_and_nothing_is_kept(path: Path) -> None:
    kept = Book(path, "p")

    def fill() -> None:
        with kept.page() as page:
            page.note([A])
            page.add_outcome("a", True, "f.csv, line 2")
            page.add_outcome("z", True, "f.csv, line 3")

    with pytest.raises(InputError, match=r"f\.csv, line 3: field 'id': no answer 'z'"):
        fill()
    with kept.page() as page:
        assert page.last_outcome() == 0
        assert not page.knows("a")


def test_an_outcome_is_known_once_and_never_changes(path: Path) -> None:
    with Book(path, "p").page() as page:
        page.note([A])
        assert page.add_outcome("a", True, "here")
        assert not page.add_outcome("a", True, "here")
        with pytest.raises(InputError, match=r"there: .*'a' is known to be true since 20"):
            page.add_outcome("a", False, "there")


def test_a_clock_that_goes_back_does_not_take_the_book_with_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        seconds = 1_000_000.0

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(cls.seconds, UTC)

    monkeypatch.setattr(book, "datetime", Clock)
    kept = Book(path, "p")
    with kept.page() as page:
        assert page.now() == 1_000_000.0
        assert page.clock_went_back == 0.0
    Clock.seconds -= 3600
    with kept.page() as page:
        assert page.now() == 1_000_000.0
        assert page.clock_went_back == 3600.0
        page.note([A])
        page.add_outcome("a", True, "here")
    Clock.seconds += 7200
    with kept.page() as page:
        assert page.now() == 1_003_600.0
        assert [row.id for row in page.outcomes_after(0)] == ["a"]


def test_a_book_is_of_one_estimator_under_one_calibration(path: Path) -> None:
    Book(path, "one")
    with pytest.raises(InputError, match="probabilities of another estimator"):
        Book(path, "other")


def test_other_files_are_no_books(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, but long enough to look like one" * 10)
    with pytest.raises(InputError, match=r"notes\.txt: is no book of outcomes"):
        Book(text, "p")
    assert text.read_text().startswith("no database")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with pytest.raises(InputError, match="is no book of outcomes"):
        Book(other, "p")
    with pytest.raises(InputError, match="cannot be opened"):
        Book(tmp_path, "p")


def test_alarms_are_kept_once(path: Path) -> None:
    with Book(path, "p").page() as page:
        first = page.raise_alarm("sample", "scores", "", "they moved")
        assert first is not None
        assert page.raise_alarm("sample", "scores", "", "they moved further") is None
        assert page.raise_alarm("other", "scores", "", "they moved") is not None
        assert page.alarms("sample") == [first]
        assert len(page.alarms()) == 2
