"""A page about scored files: of which rows, by which estimators, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard import CertifyConfig, ReportConfig, WeighConfig, certify, report, weigh
from ct_guard.errors import FieldError, InputError, MissingExtraError, OutputExistsError
from ct_guard.evaluation import read_scored
from ct_guard.page import Costs, Source, content_of, document
from ct_guard.workflows import presenting
from tests.unit.page.conftest import light
from tests.unit.workflows.conftest import Heard

__all__ = ["light"]

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]
QUICK: dict[str, Any] = {"resamples": 20}

pytestmark = pytest.mark.usefixtures("light")


def content_in(page: Path) -> Any:
    """What a page holds."""
    (found,) = re.findall(r'id="content">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(found)


@pytest.fixture
def source(write: Write, make_rows: MakeRows) -> Path:
    return write("test.jsonl", make_rows(300))


def test_a_page_is_written_and_the_work_is_heard_of(
    source: Path, tmp_path: Path, heard: Heard
) -> None:
    made = report(source, tmp_path / "page.html", ReportConfig(**QUICK), report=heard)
    assert (made.page, made.rows) == (tmp_path / "page.html", 300)
    assert made.size == made.page.stat().st_size
    assert heard.lines == ["Counting 300 rows"]
    found = content_in(made.page)
    assert (found["rows"], found["questions"]) == (300, 150)
    assert found["estimators"][0]["answered"][0] == 300
    assert found["estimators"][0]["errors"][0] == found["wrong"]


@pytest.mark.parametrize(("count", "resamples"), [(40, "150"), (80, "100")])
def test_large_files_are_resampled_less(
    count: int,
    resamples: str,
    write: Write,
    make_rows: MakeRows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presenting, "DRAWN", 6000)
    page = report(write("r.jsonl", make_rows(count)), tmp_path / "p.html").page
    told = {one["what"]: one["value"] for one in content_in(page)["provenance"]}
    assert told["resamples, seed"] == f"{resamples}, 0"


def test_several_stand_side_by_side_on_the_rows_that_all_have(
    source: Path, write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    rows = [{**row, "confidence": 0.5, "estimator": "other"} for row in make_rows(300)][:200]
    made = report([source, write("other.jsonl", rows)], tmp_path / "p.html", ReportConfig(**QUICK))
    found = content_in(made.page)
    assert [one["name"] for one in found["estimators"]] == ["tiny", "other"]
    assert made.rows == 200
    assert [(one["one"], one["other"]) for one in found["differences"]] == [("other", "tiny")]
    assert any("are not in every file" in line for line in made.remarks)
    assert any(line.startswith("other: AUROC is not above chance") for line in made.remarks)
    assert all(len(row["p"]) == 2 for row in found["answers"]["rows"])


def test_a_certificate_stands_beside_what_came_of_it(
    source: Path, write: Write, make_rows: MakeRows, estimator: Path, tmp_path: Path
) -> None:
    rows = make_rows(600, answers=1, prefix="certified", seed=4)
    certify(write("c.jsonl", rows), CertifyConfig(estimator=estimator, alpha=0.2))
    config = ReportConfig(estimator=[estimator], **QUICK)
    found = content_in(report(source, tmp_path / "p.html", config).page)
    (promise,) = found["estimators"][0]["certificates"]
    at = found["thresholds"].index(promise["threshold"])
    assert promise["here"] == {
        "answered": found["estimators"][0]["answered"][at],
        "errors": found["estimators"][0]["errors"][at],
    }
    told = {(one["of"], one["what"]): one["value"] for one in found["provenance"]}
    assert told["tiny", "estimator"] == "tiny, likelihood"
    assert len(told["tiny", "SHA-256 of the file"]) == 64


def test_what_each_evidence_adds_is_read_from_the_estimator(
    write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    rows = [{**row, "sure": 0.5 + row["logit"] / 100} for row in make_rows(300)]
    config = WeighConfig(evidence=("column:sure", "column:sample"))
    made = weigh(write("graded.jsonl", rows), tmp_path / "mine", config)
    found = content_of(
        [Source("mine", read_scored(write("s.jsonl", rows)), made.manifest)],
        title="t", made="today", costs=Costs(10, 1), resamples=20,
    )  # fmt: skip
    evidence = found["estimators"][0]["evidence"]
    assert [one["name"] for one in evidence["adds"]] == ["column:sure", "column:sample"]
    losses: dict[str, Any] = made.manifest.figures
    cost = losses["log loss without column:sure"] - losses["log loss"]
    assert evidence["adds"][0]["cost"] == pytest.approx(cost)
    plain = content_of(
        [Source("mine", read_scored(write("s.jsonl", rows)))],
        title="t", made="today", costs=Costs(10, 1), resamples=20,
    )  # fmt: skip
    assert plain["estimators"][0]["evidence"]["why"].startswith("Name the estimator")


def test_models_are_slices_wherever_rows_name_them(
    write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    rows = [{**row, "model": "ab"[n % 2], "kind": "x"} for n, row in enumerate(make_rows(100))]
    config = ReportConfig(by=("kind",), **QUICK)
    found = content_in(report(write("m.jsonl", rows), tmp_path / "p.html", config).page)
    assert {
        one["column"]: [part["name"] for part in one["parts"]]
        for one in found["estimators"][0]["slices"]
    } == {"kind": ["x"], "model": ["a", "b"]}


def test_grades_of_one_kind_give_a_page_that_says_so(
    write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    rows = [{**row, "correct": True} for row in make_rows(60)]
    made = report(write("r.jsonl", rows), tmp_path / "p.html", ReportConfig(**QUICK))
    assert any("All 60 graded answers are correct" in line for line in made.remarks)
    found = content_in(made.page)
    assert found["estimators"][0]["roc"] == []
    assert found["answers"]["mistakes"] == [[]]


def test_answers_that_stand_twice_are_remarked_on(
    write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    rows = make_rows(60)
    made = report(write("r.jsonl", [*rows, rows[7]]), tmp_path / "p.html", ReportConfig(**QUICK))
    assert [line for line in made.remarks if "repeat" in line] == [
        "1 rows repeat an answer that stands in the file already (the first:"
        f" {tmp_path}/r.jsonl, line 8, id q-7): each counts; remove them where they are copies."
    ]


def test_two_models_that_answer_alike_are_no_copies(
    write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    rows = [{**row, "id": None, "model": name} for row in make_rows(60) for name in ("one", "two")]
    made = report(write("r.jsonl", rows), tmp_path / "p.html", ReportConfig(**QUICK))
    assert not [line for line in made.remarks if "repeat" in line]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"correct": None}, "no row has both a confidence and a grade"),
        ({"correct": "perhaps"}, r"test\.jsonl, line 1: field 'correct'"),
        ({"confidence": 1.5}, r"test\.jsonl, line 1: field 'confidence' must be between 0 and 1"),
    ],
)
def test_rows_that_cannot_be_used_are_named(
    change: dict[str, Any], problem: str, write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    path = write("test.jsonl", [{**row, **change} for row in make_rows(20)])
    with pytest.raises(InputError, match=problem):
        report(path, tmp_path / "p.html", ReportConfig(**QUICK))
    assert not (tmp_path / "p.html").exists()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError, match=r"empty\.jsonl: no row"):
        report(tmp_path / "empty.jsonl", tmp_path / "p.html")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"error_cost": -1.0}, "`error_cost` must be a number from 0 on, not -1"),
        ({"escalation_cost": float("nan")}, "`escalation_cost` must be a number"),
        ({"error_cost": 0.0, "escalation_cost": 0.0}, "are both 0"),
        ({"rows": -1}, "`rows` must be 0 or more"),
        ({"resamples": 3}, "`resamples` must be at least 20"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(FieldError, match=problem):
        ReportConfig(**settings)


def test_places_that_cannot_be_written_are_refused_before_the_work(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.html").write_text("mine")
    (tmp_path / "folder.html").mkdir()
    for name, error, problem in (
        ("page.txt", FieldError, r"must end in \.html"),
        ("no/page.html", InputError, "create it first"),
        ("folder.html", InputError, "is a folder"),
        ("there.html", OutputExistsError, "use `overwrite`"),
    ):
        with pytest.raises(error, match=problem):
            report(source, tmp_path / name)
    assert (tmp_path / "there.html").read_text() == "mine"


def test_estimators_are_one_for_each_file_or_none(
    source: Path, estimator: Path, tmp_path: Path
) -> None:
    with pytest.raises(FieldError, match="`estimator` is given 1 times for 2 files"):
        report([source, source], tmp_path / "p.html", ReportConfig(estimator=[estimator]))


def test_without_the_library_of_the_charts_the_extra_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r"ct-guard\[report\]"):
        document.require_charts()
    with pytest.raises(MissingExtraError, match=r"ct-guard\[report\]"):
        report(source, tmp_path / "p.html")
