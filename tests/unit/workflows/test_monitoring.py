"""From scored files and outcomes to alarms, a void certificate, and a new one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard import (
    CertifyConfig,
    MonitorConfig,
    MonitorResult,
    OutcomesConfig,
    OutcomesResult,
    certify,
    monitor,
    outcomes,
)
from ct_guard.errors import FieldError, InputError, UsageError
from ct_guard.store import load_manifest
from ct_guard.workflows.reissuing import label_floor
from tests.present import present

Rows = list[dict[str, Any]]
Write = Callable[[str, Rows], Path]
MakeRows = Callable[..., Rows]


@pytest.fixture
def certified(write: Write, make_rows: MakeRows, estimator: Path) -> Path:
    rows = make_rows(1000, answers=1, signal=2.0, bias=1.0, model="one")
    certify(write("certification.jsonl", rows), CertifyConfig(estimator=estimator))
    return estimator


@pytest.fixture
def stream(write: Write, make_rows: MakeRows) -> Callable[..., Path]:
    """Scored rows of production, whose questions are new ones."""

    def make(name: str, n: int = 800, *, seed: int = 5, **options: Any) -> Path:
        rows = make_rows(n, **{"answers": 1, "prefix": name, "model": "one"} | options, seed=seed)
        return write(f"{name}.jsonl", rows)

    return make


def watch(source: Path | None, folder: Path, **options: Any) -> MonitorResult:
    return monitor(source, MonitorConfig(estimator=folder, **options))


def add(source: Path, folder: Path, **options: Any) -> OutcomesResult:
    return outcomes(source, OutcomesConfig(estimator=folder, **options))


def broken(folder: Path, stream: Callable[..., Path]) -> None:
    """Answers that are wrong more often than was promised, and their outcomes."""
    bad = stream("bad", 800, bias=-1.5)
    watch(bad, folder)
    assert [alarm.kind for alarm in add(bad, folder).alarms] == ["risk"]


# --- monitor -------------------------------------------------------------------------------------


def test_a_certificate_keeps_what_its_answers_are_compared_with(certified: Path) -> None:
    (kept,) = load_manifest(certified).certificates
    assert kept.sample is not None
    assert sum(kept.sample.scores) == 1000
    assert kept.sample.models == {"one": 1000}
    assert kept.sample.statuses == {"ok": 1000}
    assert kept.void is None


def test_answers_like_those_certified_on_are_quiet(
    certified: Path, stream: Callable[..., Path]
) -> None:
    made = watch(stream("monday"), certified)
    assert (made.rows, made.new, made.alarms) == (800, 800, ())
    assert made.standing.scored == 800
    assert any("800 rows have a grade, which was not read" in line for line in made.remarks)


def test_a_longer_file_is_given_again(certified: Path, stream: Callable[..., Path]) -> None:
    watch(stream("monday", 300), certified)
    made = watch(stream("monday", 500), certified)
    assert (made.rows, made.new, made.standing.scored) == (500, 200, 500)
    assert "300 rows were noted before, and are passed over." in made.remarks


def test_what_changed_is_told_once_and_stands(certified: Path, stream: Callable[..., Path]) -> None:
    made = watch(stream("other", signal=4.0, model="two"), certified)
    assert [alarm.kind for alarm in made.alarms] == ["model", "scores"]
    again = watch(None, certified)
    assert (again.rows, again.alarms, again.standing.alarms) == (0, (), made.alarms)


def test_rows_without_a_score_count_by_their_status(
    certified: Path, write: Write, make_rows: MakeRows
) -> None:
    rows = make_rows(400, answers=1, prefix="p", model="one")
    for row in rows[::4]:
        row |= {"status": "refusal", "logit": None, "confidence": None}
    rows[1] = {"raw": "{", "status": "invalid", "logit": None}
    made = watch(write("refused.jsonl", rows), certified)
    assert [(alarm.kind, alarm.about) for alarm in made.alarms] == [("statuses", "refusal")]
    assert made.standing.scored == 299


def test_rows_without_an_id_are_tested_and_said(
    certified: Path, write: Write, make_rows: MakeRows
) -> None:
    rows = [{**row, "id": None} for row in make_rows(50, answers=1, prefix="p", model="one")]
    made = watch(write("unnamed.jsonl", rows), certified)
    assert made.standing.scored == 50
    assert any(line.startswith("50 rows have no `id`") for line in made.remarks)


def test_probabilities_are_those_of_the_present_calibrators(
    certified: Path, write: Write, make_rows: MakeRows
) -> None:
    """As for a certificate: the column `confidence` may be older."""
    rows = [
        {**row, "confidence": 0.01} for row in make_rows(600, answers=1, prefix="p", model="one")
    ]
    made = watch(write("older.jsonl", rows), certified)
    assert made.alarms == ()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question": "q", "answer": "a"}, r"line 1: no column 'logit': score the file first"),
        ({"question": "q", "answer": "a", "logit": "high"}, r"line 1: field 'logit' must be a"),
        (
            {"question": "q", "answer": "a", "logit": 1.0, "estimator": "other"},
            "scored by 'other', and not by 'tiny'",
        ),
    ],
)
def test_a_file_that_this_estimator_has_not_scored_is_refused(
    certified: Path, write: Write, row: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        watch(write("rows.jsonl", [row]), certified)


def test_no_row_as_asked_is_refused(certified: Path, stream: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="no row to watch"):
        watch(stream("monday", 10), certified, where={"model": "none"})


def test_an_estimator_without_a_promise_says_so(
    estimator: Path, stream: Callable[..., Path]
) -> None:
    made = watch(stream("monday", 50), estimator)
    assert any("has no certified threshold" in line for line in made.remarks)
    assert made.standing.promises == ()


def test_an_older_certificate_says_what_it_cannot_be_asked(
    certified: Path, stream: Callable[..., Path]
) -> None:
    path = certified / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["certificates"][0]["sample"]
    path.write_text(json.dumps(manifest))
    made = watch(stream("monday", 50, signal=9.0), certified)
    assert made.alarms == ()
    assert any("keeps nothing of its sample" in line for line in made.remarks)
    assert made.standing.promises


# --- outcomes ------------------------------------------------------------------------------------


def test_outcomes_are_counted_and_the_rest_is_said(
    certified: Path, stream: Callable[..., Path], write: Write
) -> None:
    watch(stream("monday", 400, bias=1.0), certified)
    rows = [{"id": f"monday-{n}", "correct": n % 20 > 0} for n in range(100)]
    made = add(write("some.jsonl", [*rows, {"id": "monday-101", "correct": None}]), certified)
    assert (made.noted.new, made.unlabelled, made.alarms) == (100, 1, ())
    assert any("drawn at random" in line for line in made.remarks)


def test_outcomes_of_one_kind_are_said(
    certified: Path, stream: Callable[..., Path], write: Write
) -> None:
    watch(stream("monday", 50), certified)
    rows = [{"id": f"monday-{n}", "correct": True} for n in range(20)]
    made = add(write("praise.jsonl", rows), certified)
    assert any("Not one outcome in" in line and "wrong answer" in line for line in made.remarks)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"id": "z", "correct": True}], r"line 1: field 'id': no answer 'z' .*`skip_unknown`"),
        (
            [{"id": "monday-1", "correct": True}, {"id": "monday-1", "correct": False}],
            r"line 2: field 'correct': the outcome of 'monday-1' is known to be true",
        ),
        ([{"id": "monday-1", "correct": "often"}], r"line 1: field 'correct' must be true or"),
        ([{"correct": True}], r"line 1: field 'id' must name the answer"),
        ([{"id": "monday-1", "correct": ""}], "no row has an outcome in 'correct'"),
    ],
)
def test_a_bad_outcome_is_refused_with_its_row_and_nothing_is_kept(
    certified: Path, stream: Callable[..., Path], write: Write, rows: Rows, problem: str
) -> None:
    watch(stream("monday", 5), certified)
    with pytest.raises(InputError, match=problem):
        add(write("labels.jsonl", rows), certified)
    assert watch(None, certified).standing.promises[0].labelled == 0


def test_unknown_outcomes_can_be_passed_over(
    certified: Path, stream: Callable[..., Path], write: Write
) -> None:
    watch(stream("monday", 5), certified)
    rows = [{"id": "z", "correct": True}, {"id": "monday-1", "correct": True}]
    made = add(write("labels.jsonl", rows), certified, skip_unknown=True)
    assert (made.noted.new, made.noted.unknown) == (1, 1)


# --- a new certificate ---------------------------------------------------------------------------


def test_fresh_outcomes_make_a_new_certificate_that_is_watched_in_turn(
    certified: Path, stream: Callable[..., Path]
) -> None:
    (old,) = load_manifest(certified).certificates
    broken(certified, stream)
    fresh = stream("fresh", 1000, bias=1.0, seed=9)
    watch(fresh, certified)
    add(fresh, certified)
    made = certify(None, CertifyConfig(estimator=certified, from_outcomes=True))
    (new,) = load_manifest(certified).certificates
    assert new == made.certificate
    assert new.void is None
    assert new.reused == 0
    assert new.key != old.key
    assert new.sample is not None
    assert new.sample.models == {"one": sum(new.sample.scores)}
    # The outcomes after the one that made the old one void: all fresh ones, and what bad ones the
    # test had no need of.
    assert 1000 <= new.n < 1800
    found = watch(None, certified).standing
    assert found.alarms == ()
    assert found.promises[0].counted == 0


def test_while_the_certificate_stands_no_outcome_is_fresh(
    certified: Path, stream: Callable[..., Path]
) -> None:
    good = stream("good", 300, bias=1.0)
    watch(good, certified)
    add(good, certified)
    with pytest.raises(InputError, match=r"stands, and its test counts every outcome.*`reuse`"):
        certify(None, CertifyConfig(estimator=certified, from_outcomes=True))
    made = certify(None, CertifyConfig(estimator=certified, from_outcomes=True, reuse=True))
    assert made.certificate.reused == made.certificate.n == 300
    assert any("300 outcomes had been used" in line for line in made.remarks)


def test_every_attempt_uses_its_outcomes_up(certified: Path, stream: Callable[..., Path]) -> None:
    broken(certified, stream)
    few = stream("few", 15, bias=1.0, seed=9)
    config = CertifyConfig(estimator=certified, from_outcomes=True, alpha=0.02)
    watch(few, certified)
    add(few, certified)
    assert certify(None, config).certificate.threshold is None
    with pytest.raises(InputError, match="no outcome has arrived that is not used yet"):
        certify(None, config)


def test_a_promise_that_stands_is_not_why_a_void_one_has_no_fresh_outcomes(
    certified: Path, stream: Callable[..., Path]
) -> None:
    certify(stream("others", 300, bias=1.0), CertifyConfig(estimator=certified, alpha=0.9))
    broken(certified, stream)
    few = stream("few", 15, bias=1.0, seed=9)
    config = CertifyConfig(estimator=certified, from_outcomes=True, alpha=0.02)
    watch(few, certified)
    add(few, certified)
    certify(None, config)
    with pytest.raises(InputError, match="no outcome has arrived that is not used yet"):
        certify(None, config)


def test_a_file_of_outcomes_that_the_test_has_counted_is_no_new_sample(
    certified: Path, stream: Callable[..., Path]
) -> None:
    broken(certified, stream)
    bad = stream("bad", 800, bias=-1.5)
    config = CertifyConfig(estimator=certified, alpha=0.5)
    with pytest.raises(InputError, match=r"bad\.jsonl: \d+ of 800 questions .* has counted"):
        certify(bad, config)
    made = certify(bad, CertifyConfig(estimator=certified, alpha=0.5, reuse=True))
    assert 0 < made.certificate.reused < 800
    others = certify(stream("others", 300, bias=1.0), config)
    assert others.certificate.reused == 0


def test_without_a_certificate_every_outcome_is_fresh(
    estimator: Path, stream: Callable[..., Path]
) -> None:
    first = stream("first", 600, bias=1.0)
    watch(first, estimator)
    add(first, estimator)
    made = certify(None, CertifyConfig(estimator=estimator, from_outcomes=True, alpha=0.2))
    assert made.certificate.n == 600
    assert made.certificate.threshold is not None


def test_feedback_on_delivered_answers_promises_nothing_below_them(
    estimator: Path, stream: Callable[..., Path], write: Write
) -> None:
    """Without the floor, the threshold would be 0: no wrong answer below is in the sample."""
    first = stream("first", 2000, bias=1.0)
    watch(first, estimator)
    rows = [json.loads(line) for line in first.read_text().splitlines()]
    add(write("delivered.jsonl", [row for row in rows if row["confidence"] >= 0.7]), estimator)
    made = certify(None, CertifyConfig(estimator=estimator, from_outcomes=True, alpha=0.2))
    threshold = present(made.certificate.threshold)
    assert threshold == pytest.approx(0.7, abs=0.1)
    assert threshold >= 0.7
    assert any("hardly any outcome is known" in line for line in made.remarks)


def test_answers_that_are_labelled_alike_have_no_floor() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(3000)
    assert label_floor(p, p[rng.random(3000) < 0.2]) == 0.0
    assert label_floor(p, p[p > 0.6]) == pytest.approx(0.6, abs=0.11)
    assert label_floor(np.full(50, 0.9), np.full(5, 0.9)) == 0.0


@pytest.mark.parametrize(
    ("source", "options", "error"),
    [
        ("rows.jsonl", {"from_outcomes": True}, FieldError),
        (None, {}, FieldError),
        (None, {"from_outcomes": True, "first": True}, FieldError),
        (None, {"from_outcomes": True, "alpha": 1.0}, UsageError),
        (None, {"from_outcomes": True, "delta": 0.0}, UsageError),
        (None, {"from_outcomes": True, "book": "nowhere.sqlite"}, InputError),
    ],
)
def test_what_cannot_be_meant_is_refused(
    estimator: Path,
    stream: Callable[..., Path],
    source: str | None,
    options: dict[str, Any],
    error: type[Exception],
) -> None:
    rows = stream("rows", 100)
    watch(rows, estimator)
    add(rows, estimator)
    with pytest.raises(error):
        certify(source, CertifyConfig(estimator=estimator, **options))


def test_the_rows_are_reported_as_work(
    certified: Path, stream: Callable[..., Path], heard: Any
) -> None:
    monitor(stream("monday", 50), MonitorConfig(estimator=certified), report=heard)
    assert heard.works == [("Watching", 50, "rows")]
    assert heard.done == 50


@pytest.fixture(autouse=True)
def several_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ct_guard.workflows.monitoring.AT_ONCE", 333)
