"""The report as its readers see it: in a browser, against what Python says of the same rows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest

from ct_guard import ReportConfig, report
from ct_guard.certificates import Certificate
from ct_guard.risk import GRID
from ct_guard.store import BaseModelRef, Manifest, save_estimator
from tests.browser import Visit, browser

pytest.importorskip("vl_convert", reason="needs vl-convert-python (extra report)")

HOSTILE = (
    "<script>window.hacked = 1</script></script><img src=x onerror='window.hacked = 2'>"
    " \u202egnp.exe {{constructor.constructor('window.hacked = 3')()}}"
)
COUNT = 600


def made_rows(name: str, slope: float, seed: int) -> list[dict[str, Any]]:
    """Answers whose truth is the same for every `name`."""
    truth = np.random.default_rng(0)
    base = truth.normal(0.8, 1.8, COUNT)
    right = truth.random(COUNT) < expit(base)
    logits = slope * base + np.random.default_rng(seed).normal(0, 0.5, COUNT)
    right[7], logits[7] = False, 12.0
    return [
        {
            "id": f"q-{n}",
            "question": f"What is {n} plus 1?",
            "answer": HOSTILE if n == 7 else f"It is {n + 1}.",
            "correct": bool(right[n]),
            "confidence": float(expit(logits[n])),
            "logit": float(logits[n]),
            "status": "ok",
            "model": f"<b>model</b> {n % 3}",
            "kind": "long" if n % 4 else "short",
            "estimator": name,
        }
        for n in range(COUNT)
    ]


FILES = {
    "tiny": made_rows("tiny", 1.0, 1),
    "other <i>one</i>": made_rows("other <i>one</i>", 1.6, 2),
}
CORRECT = np.array([row["correct"] for row in FILES["tiny"]])
P = [np.array([row["confidence"] for row in rows]) for rows in FILES.values()]
PROMISED = float(GRID[np.searchsorted(-GRID, -0.8)])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    certificate = Certificate(
        alpha=0.2, delta=0.1, threshold=PROMISED, n=500, answered=300, errors=40
    )
    paths, estimators = [], []
    for at, (name, rows) in enumerate(FILES.items()):
        path = folder / f"{at}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        manifest = Manifest(
            name=name, method="likelihood", base=BaseModelRef(id="base"),
            certificates=(certificate,) if at == 0 else (),
        )  # fmt: skip
        save_estimator(folder / f"e{at}", manifest)
        paths.append(path)
        estimators.append(folder / f"e{at}")
    config = ReportConfig(
        estimator=estimators, by=("kind",), resamples=20, rows=60, error_cost=12.5,
        escalation_cost=0.75, title=f"Title {HOSTILE}",
    )  # fmt: skip
    return report(paths, folder / "report.html", config).page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def visit(chromium: Any, written: Path) -> Visit:
    """Open during the whole module; tests leave it as they need it."""
    seen = Visit(chromium.new_page())
    seen.open(written)
    return seen


def text(visit: Visit, selector: str) -> str:
    return str(visit.page.inner_text(selector))


def wait_for(visit: Visit, selector: str, wanted: str) -> None:
    """Until the element says just that. (Playwright's `wait_for_function` is stopped by the page's
    policy: it evaluates strings.)"""
    exactly = re.compile(f"^{re.escape(wanted)}$")
    visit.page.locator(selector, has_text=exactly).wait_for(timeout=30_000)


def drawn(visit: Visit) -> None:
    """Until what was asked of the page before stands on it: it draws in the next frame."""
    visit.page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def slide(visit: Visit, place: int) -> None:
    visit.page.evaluate(
        """(place) => {
            const slider = document.getElementById('slider');
            slider.value = place;
            slider.dispatchEvent(new Event('input'));
        }""",
        place,
    )
    drawn(visit)


def press(visit: Visit, selector: str) -> None:
    visit.page.click(selector)
    drawn(visit)


def thresholds(visit: Visit) -> list[float]:
    found: list[float] = visit.page.evaluate("content.thresholds")
    return found


@pytest.mark.parametrize("of", [0, 1])
def test_the_numbers_at_every_threshold_are_those_of_python(visit: Visit, of: int) -> None:
    visit.page.select_option("#of", str(of))
    known = thresholds(visit)
    for place in [0, 1, len(known) - 1, *range(37, len(known), 149)]:
        slide(visit, place)
        answered = P[of] >= known[place]
        n, errors = int(answered.sum()), int((answered & ~CORRECT).sum())
        escalated_right = int((~answered & CORRECT).sum())
        cost = 100 * (12.5 * errors + 0.75 * (COUNT - n)) / COUNT
        assert float(text(visit, "#at")) == known[place]
        assert text(visit, "#answered") == f"{100 * n / COUNT:.1f}%"
        assert text(visit, "#answered-note") == f"{n} of 600"
        assert text(visit, "#escalated-note") == (
            f"{COUNT - n}, of which {escalated_right} were right"
        )
        assert float(text(visit, "#cost").replace(",", "")) == pytest.approx(cost, abs=0.0051)
        if n:
            wilson = binomtest(errors, n).proportion_ci(method="wilson")
            assert float(text(visit, "#errors")[:-1]) == pytest.approx(100 * errors / n, abs=0.051)
            said, _, interval = text(visit, "#errors-note").partition("; 95%: ")
            assert said == f"{errors} of {n}"
            ends = [float(end.rstrip("%")) for end in interval.split(" to ")]
            assert ends == pytest.approx([100 * wilson.low, 100 * wilson.high], abs=0.051)
    visit.page.select_option("#of", "0")


def test_every_estimator_stands_beside_the_others_at_the_same_threshold(visit: Visit) -> None:
    place = thresholds(visit).index(0.6)
    slide(visit, place)
    for of, name in enumerate(FILES):
        row = visit.page.locator("#points tbody tr").nth(of)
        answered = P[of] >= 0.6
        assert row.locator("th").inner_text() == name
        assert f"({int(answered.sum())})" in row.locator("td").nth(0).inner_text()
        assert f"({int((answered & ~CORRECT).sum())})" in row.locator("td").nth(1).inner_text()


def test_the_least_cost_is_the_least_of_all_thresholds(visit: Visit) -> None:
    known = thresholds(visit)
    costs = [12.5 * ((P[0] >= one) & ~CORRECT).sum() + 0.75 * (P[0] < one).sum() for one in known]
    press(visit, "#least")
    assert float(text(visit, "#cost")) == pytest.approx(100 * min(costs) / COUNT, abs=0.0051)


def test_costs_that_make_no_answer_worth_giving_are_said_to(visit: Visit) -> None:
    visit.page.fill("#escalation-cost", "0")
    assert "no answer is worth giving" in text(visit, "#advice")
    visit.page.fill("#escalation-cost", "-3")
    assert visit.page.get_attribute("#escalation-cost", "aria-invalid") == "true"
    visit.page.fill("#escalation-cost", "20")
    assert "answering everything costs least" in text(visit, "#advice")
    visit.page.fill("#escalation-cost", "0.75")
    assert "an answer is worth giving from 1 − 0.75/12.5 = 0.940 on" in text(visit, "#advice")


def test_the_certificate_is_where_the_slider_begins_and_can_be_gone_to(
    visit: Visit, chromium: Any, written: Path
) -> None:
    fresh = Visit(chromium.new_page())
    fresh.open(written)
    assert float(text(fresh, "#at")) == PROMISED
    fresh.page.close()
    slide(visit, 0)
    press(visit, "#certificates button")
    assert float(text(visit, "#at")) == PROMISED
    answered = P[0] >= PROMISED
    assert f"On the rows of this page: {answered.sum()} answered" in text(visit, "#certificates")


def test_keys_move_the_slider_and_say_what_it_does(visit: Visit) -> None:
    slide(visit, 500)
    visit.page.focus("#slider")
    visit.page.keyboard.press("ArrowRight")
    drawn(visit)
    assert visit.page.input_value("#slider") == "501"
    visit.page.keyboard.press("End")
    wait_for(visit, "#answered-note", "0 of 600")
    assert visit.page.get_attribute("#slider", "aria-valuetext") == "nothing is answered"
    visit.page.keyboard.press("Home")
    wait_for(visit, "#answered-note", "600 of 600")
    said = visit.page.get_attribute("#slider", "aria-valuetext")
    assert said.startswith("P(correct) at least 0: 100.0% answered")


def test_a_typed_threshold_is_gone_to(visit: Visit) -> None:
    visit.page.fill("#typed", "0.75")
    visit.page.keyboard.press("Enter")
    wait_for(visit, "#at", "0.75")


def test_moving_the_slider_takes_less_than_a_tenth_of_a_second(visit: Visit) -> None:
    """From the event to the next frame that shows its numbers and marks, the median of 20."""
    times = visit.page.evaluate(
        """async () => {
            const slider = document.getElementById('slider');
            const times = [];
            for (let at = 0; at < 20; at += 1) {
                const begun = performance.now();
                slider.value = 40 * at;
                slider.dispatchEvent(new Event('input'));
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
                await Promise.all(Object.values(views).map((view) => view.runAsync()));
                times.push(performance.now() - begun);
            }
            return times;
        }"""
    )
    assert np.median(times) < 100


def shown_rows(visit: Visit) -> list[str]:
    found: list[str] = visit.page.locator("#rows > li").all_inner_texts()
    return found


def choose(visit: Visit, *, kind: str = "all", verdict: str = "", search: str = "") -> None:
    visit.page.select_option("#kind", kind)
    visit.page.select_option("#verdict", verdict)
    visit.page.fill("#search", search)


def test_the_most_confident_mistakes_come_first(visit: Visit) -> None:
    choose(visit, kind="mistakes")
    first = shown_rows(visit)[0]
    assert "wrong" in first
    assert "id q-7" in first
    choose(visit, kind="doubted")
    least = int(np.argmin(np.where(CORRECT, P[0], 2)))
    assert f"id q-{least}\n" in shown_rows(visit)[0]


def test_filters_and_search_leave_what_they_say(visit: Visit) -> None:
    rows: list[dict[str, Any]] = visit.page.evaluate("content.answers.rows")
    for verdict in ("right", "wrong"):
        choose(visit, verdict=verdict)
        count = sum(row["correct"] == (verdict == "right") for row in rows)
        assert text(visit, "#found") == f"{count} of the {len(rows)} answers in this file"
    choose(visit)
    visit.page.select_option("select[data-column='model']", label="<b>model</b> 1")
    visit.page.select_option("select[data-column='kind']", label="short")
    kept = [
        row for row in rows
        if row["model"] == "<b>model</b> 1" and row["values"]["kind"] == "short"
    ]  # fmt: skip
    assert 0 < len(kept) < len(rows)
    assert text(visit, "#found").startswith(f"{len(kept)} of")
    ids = {line.split("id ")[1].split("\n")[0] for line in shown_rows(visit)}
    assert ids <= {row["id"] for row in kept}
    visit.page.select_option("select[data-column='model']", "")
    visit.page.select_option("select[data-column='kind']", "")
    choose(visit, search="PLUS 17")
    wanted = [row for row in rows if "17" in " ".join((row["question"], row["answer"], row["id"]))]
    assert wanted
    assert text(visit, "#found").startswith(f"{len(wanted)} of")
    choose(visit, search="no such answer")
    assert shown_rows(visit) == []
    choose(visit)
    before = len(shown_rows(visit))
    visit.page.click("#more")
    assert len(shown_rows(visit)) == min(len(rows), before + 25)


def test_what_strangers_wrote_stays_text(visit: Visit) -> None:
    choose(visit, kind="mistakes")
    answer = visit.page.locator("#rows > li .answer").first
    assert answer.inner_text() == HOSTILE.replace("\u202e", "\\u{202e}")
    assert answer.locator("*").count() == 0
    assert text(visit, "h1").startswith("Title <script>")
    assert "other <i>one</i>" in text(visit, "#figures-table")
    assert visit.page.evaluate("window.hacked") is None
    assert visit.page.locator("main img, main i, main b, main script").count() == 0


def test_no_error_no_request_and_no_breach_of_the_policy(visit: Visit, written: Path) -> None:
    """After all that the tests above did on the page."""
    assert visit.said == []
    assert visit.violations() == []
    assert visit.requests == [written.as_uri()]


def test_a_script_that_got_in_would_not_run(chromium: Any, written: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged.html"
    forged.write_text(
        written.read_text().replace("<main", "<script>window.hacked = 4</script><main", 1)
    )
    seen = Visit(chromium.new_page())
    seen.open(forged)
    assert seen.page.evaluate("window.hacked") is None
    assert any(line.startswith("script-src") for line in seen.violations())
    seen.page.close()


def test_dark_light_and_a_phone(chromium: Any, written: Path) -> None:
    context = chromium.new_context(
        color_scheme="dark", viewport={"width": 390, "height": 800}, has_touch=True
    )
    seen = Visit(context.new_page())
    seen.open(written)
    background = "getComputedStyle(document.body).backgroundColor"
    assert seen.page.evaluate(background) == "rgb(18, 22, 28)"
    seen.page.select_option("#theme", "light")
    assert seen.page.evaluate(background) == "rgb(255, 255, 255)"
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.page.locator(".chart svg").count() == 6
    assert seen.said == []
    context.close()
