"""The journal: what was scored before a run was killed need not be scored again."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.errors import InputError, UsageError
from ct_guard.workflows.runs.journal import Journal, journal_path

RUN = {"schema": 1, "input": {"size": 12, "mtime": 1.5}, "policy": ("certified", 0.1)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return journal_path(tmp_path / "out.csv")


def killed_after(path: Path, *results: dict[str, Any]) -> None:
    with Journal.open(path, RUN, resume=False) as journal:
        journal.append(results)


def resumed(path: Path) -> list[dict[str, Any]]:
    with Journal.open(path, RUN, resume=True) as journal:
        results = list(journal.replay())
        assert journal.stored == len(results)
    return results


def test_it_lies_beside_the_output(tmp_path: Path) -> None:
    assert journal_path(tmp_path / "out.csv") == tmp_path / "out.csv.journal"


def test_results_come_back_in_order_and_more_can_be_added(path: Path) -> None:
    killed_after(path, {"n": 1}, {"n": 2})
    with Journal.open(path, RUN, resume=True) as journal:
        assert [result["n"] for result in journal.replay()] == [1, 2]
        journal.append([{"n": 3}])
        assert journal.stored == 3
    assert [result["n"] for result in resumed(path)] == [1, 2, 3]


def test_what_was_appended_is_on_disk_at_once(path: Path) -> None:
    with Journal.open(path, RUN, resume=False) as journal:
        journal.append([{"n": 1}])
        assert json.loads(path.read_text().splitlines()[-1]) == {"n": 1}


@pytest.mark.parametrize("torn", [b'{"n": 3', b'{"n": 3}', b"\0\0\0\n", b"3\n", b"\xff\n"])
def test_a_torn_last_line_is_dropped_and_cut_off(path: Path, torn: bytes) -> None:
    killed_after(path, {"n": 1}, {"n": 2})
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with Journal.open(path, RUN, resume=True) as journal:
        assert path.read_bytes() == whole
        assert list(journal.replay()) == [{"n": 1}, {"n": 2}]
        journal.append([{"n": 3}])
    assert resumed(path) == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize("start", [b"", b'{"schema"'])
def test_a_journal_torn_in_its_first_line_starts_anew(path: Path, start: bytes) -> None:
    path.write_bytes(start)
    with Journal.open(path, RUN, resume=True) as journal:
        journal.append([{"n": 1}])
    assert resumed(path) == [{"n": 1}]


def test_without_a_journal_resuming_starts_anew(path: Path) -> None:
    assert resumed(path) == []


def test_without_resume_an_old_journal_is_discarded(path: Path) -> None:
    killed_after(path, {"n": 1})
    with Journal.open(path, RUN, resume=False) as journal:
        assert list(journal.replay()) == []


@pytest.mark.parametrize(
    "other", [RUN | {"policy": "x"}, RUN | {"more": 1}, {k: RUN[k] for k in ("schema", "input")}]
)
def test_the_journal_of_another_run_is_refused_and_kept(path: Path, other: dict[str, Any]) -> None:
    killed_after(path, {"n": 1})
    with pytest.raises(UsageError, match=r"another (policy|more) \(.*, now .*\); .*`overwrite`"):
        Journal.open(path, other, resume=True)
    assert resumed(path) == [{"n": 1}]


def test_finish_deletes_it(path: Path) -> None:
    with Journal.open(path, RUN, resume=False) as journal:
        journal.finish()
        assert not path.exists()


def test_a_number_that_is_not_finite_adds_nothing(path: Path) -> None:
    with Journal.open(path, RUN, resume=False) as journal:
        with pytest.raises(ValueError, match="JSON compliant"):
            journal.append([{"p": 0.5}, {"p": float("nan")}])
        assert list(journal.replay()) == []


def test_a_journal_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        Journal.open(tmp_path / "none" / "out.journal", RUN, resume=False)


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.text())))
def test_floats_and_texts_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[float, str]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "out.journal"
    results = [{"p": number, "status": text} for number, text in values]
    killed_after(path, *results)
    assert repr(resumed(path)) == repr(results)
