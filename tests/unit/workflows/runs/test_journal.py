"""The journal: what was scored before a run was killed need not be scored again."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.errors import InputError, UsageError
from ct_guard.workflows.runs.journal import Journal, journal_path, results_in

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
        assert results_in(path) == 1
        assert json.loads(path.read_text().splitlines()[-1])["shared"] == {"n": 1}


def test_what_is_appended_together_is_one_line_in_which_a_shared_value_stands_once(
    path: Path,
) -> None:
    results = [{"p": n / 7, "status": "ok", "kind": "a" * 50, "done": n > 3} for n in range(50)]
    killed_after(path, *results)
    line = path.read_text().splitlines()[-1]
    assert line.count("a" * 50) == 1
    assert results_in(path) == 50
    assert resumed(path) == results


@pytest.mark.parametrize(
    "results",
    [
        [{"a": 1}, {"a": True}, {"a": 1.0}],
        [{"a": 0.0}, {"a": -0.0}],
        [{"a": False}, {"a": 0}],
        [{"a": [1]}, {"a": [True]}],
        [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}],
        [{"b": 1, "a": None}, {"b": 2, "a": None}],
        [{}, {}],
    ],
)
def test_values_that_are_equal_and_not_the_same_stay_apart(
    path: Path, results: list[dict[str, Any]]
) -> None:
    killed_after(path, *results)
    assert [json.dumps(one, sort_keys=True) for one in resumed(path)] == [
        json.dumps(one, sort_keys=True) for one in results
    ]


def test_appending_nothing_adds_nothing(path: Path) -> None:
    with Journal.open(path, RUN, resume=False) as journal:
        journal.append([])
    assert results_in(path) == 0
    assert resumed(path) == []


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
