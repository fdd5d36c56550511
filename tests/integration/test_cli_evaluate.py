"""`ct-guard evaluate` as users type it: its tables and its JSON."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from ct_guard.metrics import ece_noise_floor
from tests.integration.scored_files import inside, rows, run, write

TEST = rows("t", 300, answers=2, seed=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "test.jsonl", TEST)
    return tmp_path


@pytest.fixture
def calibrated(tmp_path: Path) -> Path:
    """2,000 rows of a perfectly calibrated estimator, in 57 kinds."""
    rng = np.random.default_rng(0)
    z = rng.normal(0.5, 1.5, 2000)
    right = rng.random(2000) < expit(z)
    made = [
        {
            "question": f"{n // 2}?",
            "answer": str(n),
            "kind": f"kind {n // 2 % 57:02d}",
            "correct": bool(right[n]),
            "confidence": float(expit(z[n])),
            "logit": float(z[n]),
            "status": "ok",
            "estimator": "tiny",
        }
        for n in range(2000)
    ]
    return write(tmp_path / "calibrated.jsonl", made)


def test_the_noise_floor_of_every_estimator_is_shown_and_in_the_json(folder: Path) -> None:
    flat = [row | {"confidence": 0.5, "estimator": "flat"} for row in TEST]
    write(folder / "flat.jsonl", flat)
    command = ("evaluate", "test.jsonl", "flat.jsonl", "--no-prior", "--resamples", "100")
    shown = " ".join(run(folder, *command).stdout.split())
    for name in ("tiny", "flat"):
        assert re.search(rf"ECE of {name}: a perfectly calibrated estimator would show 0\.", shown)
    found = json.loads(run(folder, *command, "--json").stdout)["estimators"]
    figures = [one["figures"]["ECE"] for one in found]
    assert len({one["note"] for one in figures}) == 2
    for one, made in zip(figures, (TEST, flat), strict=True):
        assert one["noise_floor"] == ece_noise_floor([row["confidence"] for row in made])
        assert one["note"].endswith(f" {one['noise_floor']:.3f}")
    for none in ("note", "noise_floor"):
        assert found[0]["figures"]["AUROC"][none] is None


def test_slices_of_a_calibrated_estimator_are_shown_beside_their_noise_floors(
    calibrated: Path,
) -> None:
    command = ("evaluate", calibrated, "--by", "kind", "--no-prior", "--resamples", "100")
    done = inside(*command, "--json")
    assert done.exit_code == 0, done.output
    *slices, macro = json.loads(done.stdout)["estimators"][0]["slices"]
    assert len(slices) == 57
    found = macro["figures"]["ECE"]
    assert found["value"] == pytest.approx(found["noise_floor"], rel=0.1)
    assert found["low"] < found["value"] < found["high"]
    floors = [one["figures"]["ECE"]["noise_floor"] for one in slices]
    assert found["noise_floor"] == pytest.approx(np.mean(floors))
    for one in slices:
        figure = one["figures"]["ECE"]
        assert figure["low"] <= figure["value"] <= figure["high"]

    shown = inside(*command).stdout
    table = shown[shown.index("ECE within slices") : shown.index("log loss within slices")]
    last = next(line for line in table.splitlines() if "macro average" in line)
    assert last.split()[-2:] == [f"{found['value']:.3f}", f"{found['noise_floor']:.3f}"]
    assert "that a perfectly calibrated estimator would show" in " ".join(table.split())


def test_pair_accuracy_is_shown_by_slice_where_a_slice_has_pairs(folder: Path) -> None:
    pairs = rows("p", 40, answers=2)
    for n, row in enumerate(pairs):
        row |= {"kind": "pairs", "correct": n % 2 == 0}
    alone = [row | {"kind": "alone"} for row in rows("s", 40, seed=1)]
    write(folder / "both.jsonl", pairs + alone)
    write(folder / "alone.jsonl", alone)
    command = ("--by", "kind", "--no-prior", "--resamples", "100")
    single, paired, macro = json.loads(
        inside("evaluate", folder / "both.jsonl", *command, "--json").stdout
    )["estimators"][0]["slices"]
    assert single["figures"]["pair accuracy"]["value"] is None
    assert paired["figures"]["pair accuracy"]["note"].startswith("40 questions")
    value = paired["figures"]["pair accuracy"]["value"]
    assert macro["figures"]["pair accuracy"]["value"] == value
    shown = inside("evaluate", folder / "both.jsonl", *command).stdout
    table = shown[shown.index("pair accuracy within slices") : shown.index("ECE within slices")]
    assert re.search(r"alone .* not defined", table)
    assert re.search(rf"macro average within slices .* {value:.3f}", table)
    none = inside("evaluate", folder / "alone.jsonl", *command).stdout
    assert "AUROC within slices" in none
    assert "pair accuracy within slices" not in none


def test_the_json_has_the_points_of_the_diagrams_of_every_column(folder: Path) -> None:
    done = inside("evaluate", folder / "test.jsonl", "--json", "--resamples", "100")
    assert done.exit_code == 0, done.output
    columns = json.loads(done.stdout)["estimators"]
    assert [one["name"] for one in columns] == ["tiny", "question prior"]
    for one in columns:
        assert sum(point["count"] for point in one["reliability"]) == 600
        assert {"mean_p", "accuracy", "count"} == set(one["reliability"][0])
        curve = one["risk_coverage"]
        assert len(curve) <= 200
        assert curve[-1]["coverage"] == 1.0
        wrong = 1 - one["figures"]["accuracy of the answers"]["value"]
        assert curve[-1]["risk"] == pytest.approx(wrong)


def test_many_estimators_side_by_side_stay_within_the_terminal(tmp_path: Path) -> None:
    names = [f"{word} estimator" for word in ("first", "second", "third", "fourth", "fifth")]
    files = [tmp_path / f"{at}.jsonl" for at in range(5)]
    for name, path in zip(names, files, strict=True):
        write(path, [row | {"estimator": name} for row in rows("t", 30, answers=2)])
    done = inside("evaluate", *files, "--by", "kind", "--resamples", "100", "--no-prior")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    heads = [
        line for line in lines if line.split()[:1] in (["figure"], ["slice"]) and "less" not in line
    ]
    for name in names:
        assert sum(line.count(name) for line in heads) == 5, "figures, and four by slice"
    assert done.stdout.count("less first estimator") == 4


def test_a_narrow_terminal_cuts_no_figure_off(folder: Path) -> None:
    shutil.copy(folder / "test.jsonl", folder / "same.jsonl")
    done = run(
        folder, "evaluate", "test.jsonl", "same.jsonl", "--resamples", "100", columns=40
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    whole = re.findall(r"\d\.\d{3} to [+-]?\d\.\d{3}", done.stdout)
    assert len(whole) >= 5 * (3 + 3)  # three columns, and three differences between them
    assert "…" not in done.stdout


def test_what_the_file_has_already_stands_beside_the_estimator(tmp_path: Path) -> None:
    made = [row | {"stated": 0.9, "mark": n % 6} for n, row in enumerate(rows("q", 200))]
    write(tmp_path / "scored.jsonl", made)
    command = ("evaluate", tmp_path / "scored.jsonl", "--no-prior", "--resamples", "100",
               "--compare-column", "stated", "--compare-column", "mark")  # fmt: skip
    shown = " ".join(inside(*command).stdout.split())
    assert "Beside the column stated: 200 rows, 200 questions" in shown
    assert re.search(r"Beside the column mark: .* ECE [^│]*not defined not defined", shown)
    assert "'mark' runs from 0 to 5: it is no probability, and only ranks" in shown
    stated, mark = json.loads(inside(*command, "--json").stdout)["comparisons"]
    assert stated["figures"]["AUROC"]["column"]["value"] == 0.5
    assert mark["figures"]["log loss"]["column"]["value"] is None
    missing = inside("evaluate", tmp_path / "scored.jsonl", "--compare-column", "none")
    assert "no row has a column 'none'" in f"{missing.output} {missing.exception}"
