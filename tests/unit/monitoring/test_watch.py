"""Answers and outcomes, held against a certificate: what raises an alarm, and what it voids."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard.certificates import Arithmetic
from ct_guard.errors import InputError, UsageError
from ct_guard.monitoring import Alarm, Outcome, Watch, book_of
from ct_guard.monitoring.alarm import Telling
from ct_guard.store import MINI, load_manifest
from tests.unit.monitoring.conftest import SAMPLE, answers, certificate

FAKE = Arithmetic(backend="fake", format="float32", noise=0.01)


def watching(folder: Path, **options: Any) -> Watch:
    return Watch(folder, load_manifest(folder), book_of(folder, None), **options)


def outcomes(n: int, error_rate: float, *, seed: int = 2, prefix: str = "a") -> list[Outcome]:
    wrong = np.random.default_rng(seed).random(n) < error_rate
    return [Outcome(f"{prefix}-{at}", not one, f"row {at}") for at, one in enumerate(wrong)]


def kinds(alarms: list[Alarm]) -> list[str]:
    return [alarm.kind for alarm in alarms]


# --- without labels ------------------------------------------------------------------------------


def test_answers_like_the_sample_raise_nothing(certified: Path) -> None:
    watch = watching(certified)
    assert watch.note(answers(1500), FAKE) == (1500, [])
    found = watch.standing()
    assert found.alarms == ()
    assert found.scored == 1500
    assert found.p_then == pytest.approx(found.p_now, abs=0.02)
    assert found.evidence is not None
    assert found.evidence < 1


def test_scores_that_shift_raise_one_alarm_that_says_how_far(certified: Path) -> None:
    watch = watching(certified)
    _, alarms = watch.note(answers(600, shift=-0.8), FAKE)
    assert kinds(alarms) == ["scores"]
    then, now = (float(one) for one in re.findall(r"(?:was|is) (0\.\d+) over", alarms[0].text))
    assert then == pytest.approx(SAMPLE.mean(), abs=0.01)
    assert now == pytest.approx(then - 0.15, abs=0.03)
    assert watch.note(answers(600, shift=-0.8, seed=3, prefix="b"), FAKE)[1] == []
    assert watching(certified).standing().alarms == tuple(alarms)


def test_the_same_answers_again_do_not_count(certified: Path) -> None:
    watch = watching(certified)
    watch.note(answers(100), FAKE)
    assert watch.note(answers(120), FAKE)[0] == 20
    assert watch.standing().scored == 120


def test_another_model_and_another_arithmetic_are_told_at_once(certified: Path) -> None:
    watch = watching(certified)
    _, alarms = watch.note([*answers(3, model="two"), *answers(2, model=None, prefix="b")], FAKE)
    assert [(alarm.kind, alarm.about) for alarm in alarms] == [("model", ""), ("model", "two")]
    assert "was certified on answers by one; now there are answers by two" in alarms[1].text
    bfloat = Arithmetic(backend="fake", format="bfloat16")
    _, alarms = watch.note(answers(2, prefix="c"), bfloat)
    assert [(alarm.kind, alarm.about) for alarm in alarms] == [("arithmetic", "fake in bfloat16")]
    assert watch.note(answers(2, model="two", prefix="d"), bfloat)[1] == []


def test_a_sample_that_names_no_model_cannot_miss_one(recertify: Callable[..., Path]) -> None:
    sample = certificate().sample
    assert sample is not None
    folder = recertify(sample=sample.model_copy(update={"models": {}}))
    assert watching(folder).note(answers(3, model="two"), FAKE)[1] == []


def test_a_status_whose_share_moves_is_told(certified: Path) -> None:
    watch = watching(certified)
    rows = answers(400)
    rows[::8] = [row._replace(p=None, status="refusal") for row in rows[::8]]
    _, alarms = watch.note(rows, FAKE)
    assert [(alarm.kind, alarm.about) for alarm in alarms] == [("statuses", "refusal")]
    assert "50 of 400 answers have the status refusal" in alarms[0].text


def test_an_older_certificate_has_nothing_to_compare_with(recertify: Callable[..., Path]) -> None:
    watch = watching(recertify(sample=None, arithmetic=None))
    assert watch.note(answers(50, shift=-3.0, model="two"), FAKE) == (50, [])
    assert watch.standing().scored is None


# --- with labels ---------------------------------------------------------------------------------


def test_a_kept_promise_stands(certified: Path) -> None:
    watch = watching(certified)
    watch.note(answers(2000), FAKE)
    noted, alarms = watch.add_outcomes(outcomes(2000, 0.08))
    assert (noted.new, alarms) == (2000, [])
    (one,) = watch.standing().promises
    assert one.void == ""
    assert one.labelled == one.answered == one.counted < 2000
    assert one.errors / one.counted == pytest.approx(0.08, abs=0.02)


def test_a_broken_promise_is_void_on_disk_and_counts_no_further(certified: Path) -> None:
    watch = watching(certified)
    watch.note(answers(1000), FAKE)
    _, alarms = watch.add_outcomes(outcomes(1000, 0.25))
    assert kinds(alarms) == ["risk"]
    (void,) = load_manifest(certified).certificates
    assert void.void is not None
    assert void.void.reason == alarms[0].text == watch.why_void(void)
    assert "more than the promised 10.0%" in void.void.reason
    (one,) = watch.standing().promises
    assert one.counted < 300
    counted = one.counted
    watch.note(answers(50, prefix="b"), FAKE)
    assert watch.add_outcomes(outcomes(50, 1.0, prefix="b"))[1] == []
    assert watch.standing().promises[0].counted == counted


def test_answers_below_the_threshold_say_nothing_of_the_promise(certified: Path) -> None:
    watch = watching(certified)
    low = [row._replace(p=0.4) for row in answers(100)]
    watch.note(low, FAKE)
    assert watch.add_outcomes(outcomes(100, 1.0))[1] == []


def test_one_sided_outcomes_void_with_a_doubt(certified: Path) -> None:
    watch = watching(certified)
    watch.note([row._replace(p=0.9) for row in answers(20)], FAKE)
    _, alarms = watch.add_outcomes(outcomes(20, 1.0))
    assert "not one outcome was of a right answer" in alarms[0].text


def test_outcomes_are_all_taken_or_none(certified: Path) -> None:
    watch = watching(certified)
    watch.note(answers(5), FAKE)
    with pytest.raises(InputError, match="no answer 'z'"):
        watch.add_outcomes([*outcomes(5, 0.0), Outcome("z", True, "row 6")])
    noted, _ = watch.add_outcomes(
        [*outcomes(5, 0.0), *outcomes(1, 0.0), Outcome("z", True, "row 6")], skip_unknown=True
    )
    assert (noted.new, noted.known, noted.unknown) == (5, 1, 1)


def test_what_was_known_before_the_certificate_is_not_counted(
    recertify: Callable[..., Path], certified: Path
) -> None:
    watch = watching(certified)
    watch.note(answers(500), FAKE)
    watch.add_outcomes(outcomes(100, 0.0))
    again = watching(recertify(threshold=0.3))
    (one,) = again.standing().promises
    assert one.counted == 0
    again.add_outcomes(outcomes(500, 0.0)[100:])
    assert 0 < again.standing().promises[0].counted <= 400


def test_a_void_certificate_whose_mark_was_lost_is_marked_again(
    certified: Path,
) -> None:
    watch, before = watching(certified), (certified / "manifest.json").read_text()
    watch.note(answers(300), FAKE)
    watch.add_outcomes(outcomes(300, 0.5))
    (certified / "manifest.json").write_text(before)
    watching(certified)
    assert load_manifest(certified).certificates[0].void is not None


# --- settings ------------------------------------------------------------------------------------


def test_the_rate_holds_for_the_whole_book(certified: Path) -> None:
    assert watching(certified, false_alarm=0.2).false_alarm == 0.2
    assert watching(certified).false_alarm == 0.2
    with pytest.raises(UsageError, match="begun with `false_alarm`"):
        watching(certified, false_alarm=0.1)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, float("nan")])
def test_a_rate_is_a_probability(certified: Path, rate: float) -> None:
    with pytest.raises(UsageError, match="`false_alarm` must be between 0 and 1"):
        watching(certified, false_alarm=rate)


def test_an_embedded_estimator_keeps_no_book() -> None:
    with pytest.raises(UsageError, match="name a file as `book`"):
        book_of(MINI / "hybrid", None)
    assert book_of(MINI / "hybrid", "mine.sqlite") == Path("mine.sqlite")


def test_alarms_are_told_to_callback_log_and_counters(
    certified: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Alarm] = []
    telling = Telling(told.append)
    with caplog.at_level(logging.WARNING, "ct_guard.monitoring"):
        watching(certified, telling=telling).note(answers(2, model="two"), FAKE)
    assert [alarm.about for alarm in told] == ["two"]
    assert telling.counters == {"alarms_model": 1}
    (record,) = caplog.records
    assert record.getMessage() == told[0].text
    assert vars(record)["alarm"]["kind"] == "model"


def test_a_callback_that_fails_stops_nothing(
    certified: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(alarm: Alarm) -> None:
        raise RuntimeError("no network")

    telling = Telling(fails)
    _, alarms = watching(certified, telling=telling).note(answers(2, model="two"), FAKE)
    assert kinds(alarms) == ["model"]
    assert telling.counters == {"alarms_model": 1, "callbacks_failed": 1}
    assert "no network" in caplog.text
