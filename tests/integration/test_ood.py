"""`ood` from the command line: fitted by tune and calibrate, a column of scored files, and what a
policy may require."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from ct_guard import Guard, QuestionAnswer, load_estimator
from ct_guard.cli import cli
from ct_guard.errors import ManifestError
from ct_guard.evaluation.disjoint import recorded
from ct_guard.policies import load_policy
from ct_guard.store import load_manifest, locate, question_hash
from tests.unit.tuning.rows import graded

pytestmark = pytest.mark.filterwarnings("ignore:.*knows only its own world")

FOREIGN = [
    "Explain the causes of the French Revolution.",
    "Wie heißt die Hauptstadt von Österreich?",
    "def f(x): return x * 2  # what does this do?",
    "Translate 'good morning' into Japanese, and say when it is used.",
]


def sums(count: int, seed: int) -> list[dict[str, object]]:
    """Sums that `mini` was not made with, every third answer one too high."""
    draw = random.Random(seed)
    folder = locate("mini")
    splits = recorded(folder, load_manifest(folder))
    used = splits["test"] | splits["tuning"]
    rows: list[dict[str, object]] = []
    while len(rows) < count:
        at, one, other = len(rows), draw.randrange(1, 30), draw.randrange(1, 30)
        question = f"What is {one} plus {other}?"
        if question_hash(QuestionAnswer(question=question, answer="").question_key()) in used:
            continue
        wrong = at % 3 == 0
        rows.append(
            {
                "question": question,
                "answer": str(one + other + wrong),
                "correct": not wrong if at % 11 else wrong,
            }
        )
    return rows


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mini`, calibrated and compared with 150 sums."""
    folder = tmp_path_factory.mktemp("ood")
    rows = write(folder / "sums.jsonl", sums(150, seed=1))
    run("score", rows, "-e", "mini", "-o", folder / "scored.jsonl", "-q")
    run("calibrate", folder / "scored.jsonl", "-e", "mini", "--ood", "-o", folder / "mine")
    return folder / "mine"


def test_a_scored_file_says_how_unlike_the_calibration_rows_an_answer_is(
    calibrated: Path, tmp_path: Path
) -> None:
    foreign: list[dict[str, object]] = [
        {"question": text, "answer": "I think it is 12 of them."} for text in FOREIGN
    ]
    rows = write(tmp_path / "in.jsonl", [*sums(60, seed=2), *foreign])
    run("score", rows, "-e", calibrated, "-o", tmp_path / "out.jsonl", "-q")
    found = [float(str(row["ood"])) for row in read(tmp_path / "out.jsonl")]
    assert sum(p <= 0.05 for p in found[:60]) <= 8
    assert max(found[60:]) <= 0.05
    assert "over the rows in novelty-" in run("inspect", calibrated)


def test_states_of_another_number_format_are_not_compared(calibrated: Path) -> None:
    estimator = load_estimator(calibrated, dtype="bfloat16")
    [score] = estimator.score([QuestionAnswer(question="What is 7 plus 5?", answer="12")])
    assert (score.status, score.ood) == ("ok", None)
    said = run("inspect", calibrated)
    assert "on transformers in float32" in " ".join(said.split())


def test_nothing_else_of_the_score_changes(calibrated: Path) -> None:
    with_it, without = load_estimator(calibrated), load_estimator("mini")
    items = [QuestionAnswer(question="What is 7 plus 5?", answer=text) for text in ("12", "13")]
    ours, theirs = with_it.score(items), without.score(items)
    assert [one.logit for one in ours] == pytest.approx([one.logit for one in theirs], abs=1e-5)
    assert [one.ood for one in theirs] == [None, None]
    assert with_it.manifest.scorer == without.manifest.scorer


def test_a_policy_abstains_on_what_the_estimator_was_not_calibrated_on(calibrated: Path) -> None:
    policy = load_policy({"kind": "require", "ood": 0.05, "policy": "annotate"})
    guard = Guard(calibrated, policy)
    near = [
        guard.assess(QuestionAnswer(question=str(row["question"]), answer=str(row["answer"])))
        for row in sums(12, seed=4)
    ]
    far = guard.assess(QuestionAnswer(question=FOREIGN[0], answer="Many."))
    assert sum(one.action == "pass" for one in near) >= 9
    assert all((one.action == "pass") == ((one.confidence.ood or 0) >= 0.05) for one in near)
    assert far.action == "abstain"
    assert far.decision.reason.startswith("ood p 0.")


def test_calibrating_on_other_rows_forgets_the_old_ones_and_their_file(
    calibrated: Path, tmp_path: Path
) -> None:
    rows = write(tmp_path / "more.jsonl", sums(60, seed=9))
    run("score", rows, "-e", calibrated, "-o", tmp_path / "s.jsonl", "-q")
    said = run("calibrate", tmp_path / "s.jsonl", "-e", calibrated, "-o", tmp_path / "new")
    assert "measures no ood" in said
    assert load_manifest(tmp_path / "new").novelty is None
    assert not list((tmp_path / "new").glob("novelty-*"))


def test_a_changed_file_is_refused(calibrated: Path, tmp_path: Path) -> None:
    run("score", write(tmp_path / "r.jsonl", sums(3, seed=3)), "-e", calibrated, "-o",
        tmp_path / "s.jsonl", "-q")  # fmt: skip
    name = str(load_manifest(calibrated).novelty)
    content = (calibrated / name).read_bytes()
    try:
        (calibrated / name).write_bytes(content[:-1] + b"\x7f")
        with pytest.raises(ManifestError, match="differs from its hash"):
            load_estimator(calibrated)
    finally:
        (calibrated / name).write_bytes(content)


def test_tune_fits_it_on_the_calibration_rows(tiny_base: Path, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {
            "question": row.qa.question,
            "answer": row.qa.answer,
            "correct": row.correct != (at % 7 == 0),
        }
        for at, row in enumerate(graded(900))
    ]
    source = write(tmp_path / "graded.jsonl", rows)
    quick = ("--steps", "2", "--evaluate-every", "2", "--batch-size", "16", "--warmup", "1", "-q")
    run("tune", source, "--base", tiny_base, "-o", tmp_path / "mine", *quick)
    estimator = load_estimator(tmp_path / "mine")
    found = [score.ood for score in estimator.score([row.qa for row in graded(900)[:50]])]
    assert all(p is not None and 0 < p <= 1 for p in found)
    assert len(set(found)) > 10
