"""`calibrate -e --evidence --by` as users type it, on the embedded model: what scoring, evaluation
and a guard say of the same rows is the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard import Guard
from ct_guard.estimators.weighing import weighing_of
from ct_guard.evaluation import read_scored
from ct_guard.evaluation.probabilities import probabilities
from ct_guard.records import QuestionAnswer
from ct_guard.store import load_manifest
from tests.integration.scored_files import inside, write


def graded(first: int, questions: int, seed: int) -> list[dict[str, Any]]:
    """Two models add; sums of the domain `hard` are mostly wrong, whatever is read of them."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(first, first + questions):
        hard = number % 3 == 0
        for model, skill in (("one", 0.75), ("two", 0.6)):
            right = bool(random.random() < (0.35 if hard else skill))
            said = number + 3 + (0 if right else int(random.integers(1, 5)))
            made.append(
                {
                    "question": f"What is {number} plus 3?", "answer": str(said), "model": model,
                    "domain": "hard" if hard else "easy", "correct": right,
                    "logprobs": [-float(random.exponential(0.2 if right else 0.8))],
                }
            )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    for name, rows in (("calibration", graded(300, 120, 0)), ("test", graded(500, 40, 1))):
        write(folder / f"{name}.jsonl", rows)
        run = inside("score", folder / f"{name}.jsonl", "-e", "mini:likelihood",
                     "-o", folder / f"scored-{name}.jsonl", "-q")  # fmt: skip
        assert run.exit_code == 0, run.output
    run = inside(
        "calibrate", folder / "scored-calibration.jsonl", "-e", "mini:likelihood",
        "--evidence", "agreement,logprobs", "--by", "domain", "-o", folder / "mine",
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    (folder / "said.txt").write_text(run.output)
    return folder


def test_it_says_what_evidence_adds_and_what_groups_differ_by(folder: Path) -> None:
    said = (folder / "said.txt").read_text()
    for text in ("logit", "agreement", "leaving it out costs", "domain=hard", "noise floor",
                 "the worst group's ECE goes from"):  # fmt: skip
        assert text in said
    manifest = load_manifest(folder / "mine")
    assert manifest.weighs
    assert manifest.groups[0].shifts["hard"] < manifest.groups[0].shifts["easy"]
    shown = inside("inspect", folder / "mine").stdout
    assert "weighed beside the raw score" in shown
    assert "groups" in shown


def test_scoring_evaluation_and_a_guard_say_the_same(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    del rows[0]["logprobs"], rows[1]["domain"]
    write(folder / "new.jsonl", rows)
    run = inside("score", folder / "new.jsonl", "-e", folder / "mine",
                 "-o", folder / "scored-new.jsonl", "-q")  # fmt: skip
    assert run.exit_code == 0, run.output
    scored = [json.loads(line) for line in (folder / "scored-new.jsonl").read_text().splitlines()]
    assert scored[0]["evidence_missing"] == "logprobs"
    assert scored[1]["evidence_missing"] is None
    p = [row["confidence"] for row in scored]

    manifest = load_manifest(folder / "mine")
    read = read_scored(folder / "scored-new.jsonl", need="logit")
    found = probabilities(read, manifest, weighing_of(manifest, folder / "mine"))
    assert found == pytest.approx(p, abs=1e-9)

    guard = Guard(folder / "mine")
    items = [
        QuestionAnswer(
            question=row["question"], answer=row["answer"], model=row["model"],
            logprobs=row.get("logprobs"),
            columns={"domain": row["domain"]} if "domain" in row else {},
        )
        for row in rows
    ]  # fmt: skip
    assert [one.p for one in guard.assess_batch(items)] == pytest.approx(p, abs=1e-5)
    guard.close()


def test_what_a_score_is_made_of_is_evidence_by_name(folder: Path) -> None:
    scored, output = folder / "named.jsonl", folder / "by-name"
    run = inside("score", folder / "calibration.jsonl", "-e", "mini:likelihood", "--readings",
                 "-o", scored, "-q")  # fmt: skip
    assert run.exit_code == 0, run.output
    calibrate = ("calibrate", scored, "-e", "mini:likelihood", "-o", output, "--evidence")
    run = inside(*calibrate, "perplexity,agreement")
    assert run.exit_code == 0, run.output
    assert "perplexity" in run.output
    run = inside("score", folder / "test.jsonl", "-e", output, "-o", folder / "named-test.jsonl",
                 "-q")  # fmt: skip
    assert run.exit_code == 0, run.output
    rows = [json.loads(line) for line in (folder / "named-test.jsonl").read_text().splitlines()]
    assert rows[0]["read_likelihood"] == rows[0]["logit"]
    manifest = load_manifest(output)
    read = read_scored(folder / "named-test.jsonl", need="logit")
    found = probabilities(read, manifest, weighing_of(manifest, output))
    assert found == pytest.approx([row["confidence"] for row in rows], abs=1e-9)
    refused = inside("evaluate", folder / "scored-test.jsonl", "-e", output, "--no-prior")
    assert "no row has a column 'read_perplexity'" in f"{refused.output} {refused.exception}"


def test_files_that_the_estimator_scored_before_are_evaluated_and_certified(folder: Path) -> None:
    run = inside("evaluate", folder / "scored-test.jsonl", "-e", folder / "mine",
                 "--by", "domain", "--no-prior", "--resamples", "100")  # fmt: skip
    assert run.exit_code == 0, run.output
    assert "ECE within slices" in run.output
    run = inside("certify", folder / "scored-test.jsonl", "-e", folder / "mine", "--first",
                 "--alpha", "0.4", "-o", folder / "certified")  # fmt: skip
    assert run.exit_code in (0, 4), run.output
    assert load_manifest(folder / "certified").weighs


def test_without_a_base_groups_are_calibrated_within_too(folder: Path) -> None:
    run = inside(
        "calibrate", folder / "calibration.jsonl", "--evidence", "agreement,model",
        "--by", "domain", "-o", folder / "bare",
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    manifest = load_manifest(folder / "bare")
    assert [one.column for one in manifest.groups] == ["domain"]
    assert not manifest.weighs
    asked = {"question": "What is 900 plus 3?", "answer": "903", "model": "one"}
    guard = Guard(folder / "bare")
    hard, easy = (
        guard.assess(QuestionAnswer(**asked, columns={"domain": domain})).p
        for domain in ("hard", "easy")
    )
    guard.close()
    assert hard is not None
    assert easy is not None
    assert hard < easy - 0.1


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    source, output = folder / "scored-calibration.jsonl", tmp_path / "out"
    for given, said in (
        (("--by", "domin", "-e", "mini:likelihood"), "no row has a column 'domin'"),
        (("--evidence", ",", "-e", "mini:likelihood"), "--evidence names nothing"),
        (("--evidence", "query"), "is what a base model reads"),
        (("--evidence", "agreement", "--where", "model=one"), "leave --where out"),
    ):
        run = inside("calibrate", source, *given, "-o", output)
        assert run.exit_code != 0
        assert said in f"{run.output} {run.exception}"
        assert not output.exists()
