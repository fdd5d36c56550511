"""How long a report takes to make, how large it is, and how fast its slider answers.

    python -m benchmarks.report --rows 20000 --results benchmarks/RESULTS.md

Rows of two answers a question, by a calibrated estimator; texts of 200 characters. The page is made
by the command, from the start of Python to the renamed file. The slider is moved 40 times in
Chromium: from the event until every number is there and every diagram is drawn. Without
chromium that is left out. `--screenshots DIR` writes `report-light.png`, `report-dark.png` and
`report-phone.png` there, the whole page each.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from scipy.special import expit  # type: ignore[import-untyped]

from .tables import between_markers, markdown

COLUMNS = ("measured", "found", "aim: at most")
SHOTS = (("light", 1200, "light"), ("dark", 1200, "dark"), ("phone", 390, "light"))
"""Name, width in pixels, colours."""
MOVES = """async () => {
    const slider = document.getElementById('slider');
    const times = [];
    for (let move = 1; move <= 40; move += 1) {
        const begun = performance.now();
        slider.value = (move * 97) % slider.max;
        slider.dispatchEvent(new Event('input'));
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        await Promise.all(Object.values(views).map((view) => view.runAsync()));
        times.push(performance.now() - begun);
    }
    return times;
}"""


def write_rows(path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.8, 1.8, count)
    right = rng.random(count) < expit(logits)
    with path.open("w", encoding="utf-8") as stream:
        for n in range(count):
            row = {
                "id": f"q-{n}",
                "question": f"Question {n // 2}: " + "what is asked here? " * 9,
                "answer": f"Answer {n}: " + "what is said of it. " * 9,
                "correct": bool(right[n]),
                "confidence": float(expit(logits[n])),
                "logit": float(logits[n]),
                "status": "ok",
                "model": f"model {n % 4}",
                "kind": f"kind {n // 2 % 20}",
                "estimator": "calibrated",
            }
            stream.write(json.dumps(row) + "\n")


def made(source: Path, page: Path) -> tuple[float, float]:
    """Seconds of the command, and of a processor that it took."""
    command = [sys.executable, "-m", "ct_guard", "report", str(source), "-o", str(page), "-q"]
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--by", "kind", "--overwrite"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begun, taken


def moved(page: Path, chromium: str, screenshots: Path | None) -> list[float]:
    """Milliseconds of each move of the slider; the page as it looks, where that is asked for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page()
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-drawn]", timeout=60_000)
        times: list[float] = tab.evaluate(MOVES)
        for name, width, scheme in SHOTS if screenshots is not None else ():
            shown = browser.new_page(
                viewport={"width": width, "height": 900},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            shown.goto(page.as_uri())
            shown.wait_for_selector("html[data-drawn]", timeout=60_000)
            shown.screenshot(path=f"{screenshots}/report-{name}.png", full_page=True)
        browser.close()
    return times


@click.command()
@click.option("--rows", default=20_000, show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option("--chromium", default="/usr/bin/chromium", show_default=True)
@click.option("--screenshots", type=click.Path(path_type=Path), help="A folder for pictures.")
@click.option("--results", type=click.Path(path_type=Path), help="Also written into this file.")
def main(
    rows: int, repeats: int, chromium: str, screenshots: Path | None, results: Path | None
) -> None:
    """Print a table of times and sizes."""
    if screenshots is not None:
        screenshots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source, page = Path(folder, "scored.jsonl"), Path(folder, "report.html")
        write_rows(source, rows)
        seconds = [made(source, page) for _ in range(repeats)]
        whole, taken = np.median(seconds, axis=0)
        lines = [
            ["the command, seconds (median)", f"{whole:.1f}", "10"],
            ["of a processor", f"{taken:.1f}", ""],
            ["the page, MB", f"{page.stat().st_size / 1e6:.2f}", "2"],
        ]
        if not Path(chromium).exists():
            lines.append(["the slider", f"not measured: no {chromium}", "100"])
        else:
            times = moved(page, chromium, screenshots)
            lines.append(["a move of the slider, ms (median)", f"{np.median(times):.0f}", "100"])
            lines.append(["the slowest of 40, ms", f"{max(times):.0f}", ""])
    table = markdown(COLUMNS, lines)
    click.echo(table)
    if results is not None:
        text = (
            f"## The report\n\n`python -m benchmarks.report --rows {rows}`: {rows:,} rows, two"
            f" answers a question, 4 models, 20 kinds; {repeats} runs. The first report of an"
            f" installation also puts the library of the charts together.\n\n{table}"
        )
        between_markers(results, "report", text)


if __name__ == "__main__":
    main()
