"""An estimator of what rows hold: calibrated, certified and used without any base model."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ct_guard.cli import cli
from ct_guard.errors import ManifestError
from ct_guard.estimators import load_estimator
from ct_guard.records import QuestionAnswer
from ct_guard.store import load_manifest


def write(path: Path, questions: range, seed: int) -> Path:
    """Two models answer each question and state how sure they are, too surely."""
    random = np.random.default_rng(seed)
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["question", "answer", "model", "stated", "correct"])
        for number in questions:
            for model, skill in (("good", 0.8), ("poor", 0.5)):
                right = random.random() < skill
                answer = str(number) if right else str(number + int(random.integers(1, 9)))
                stated = np.clip(random.normal(0.9 if right else 0.75, 0.1), 0, 1)
                rows.writerow([f"What is {number}?", answer, model, f"{stated:.2f}", right])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    write(folder / "graded.csv", range(100, 400), 0)
    write(folder / "other.csv", range(1000, 1400), 1)
    write(folder / "new.csv", range(2000, 2200), 2)
    run = CliRunner().invoke(
        cli,
        ["calibrate", str(folder / "graded.csv"), "--evidence", "agreement,stated,model",
         "-o", str(folder / "mine")],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    (folder / "calibrate.txt").write_text(run.output)
    return folder


def test_it_says_what_each_evidence_adds(folder: Path) -> None:
    said = (folder / "calibrate.txt").read_text()
    for name in ("agreement", "stated", "model", "leaving it out costs", "layer: "):
        assert name in said
    manifest = load_manifest(folder / "mine")
    assert (manifest.method, manifest.base.id) == ("evidence", "none")
    without = manifest.figures["log loss without agreement"]
    chosen = manifest.figures["log loss"]
    assert isinstance(without, float)
    assert isinstance(chosen, float)
    assert without > chosen


def test_scored_and_certified_like_every_other(folder: Path) -> None:
    scored, certified = folder / "scored.jsonl", folder / "certified"
    commands = (
        ["score", str(folder / "other.csv"), "-e", str(folder / "mine"), "-o", str(scored), "-q"],
        ["certify", str(scored), "-e", str(folder / "mine"), "--first", "--alpha", "0.2",
         "-o", str(certified)],
    )  # fmt: skip
    for command in commands:
        run = CliRunner().invoke(cli, command)
        assert run.exit_code == 0, run.output
    rows = [json.loads(line) for line in scored.read_text().splitlines()]
    assert {row["status"] for row in rows} == {"ok"}
    p = np.array([row["confidence"] for row in rows])
    right = np.array([row["correct"] in (True, "True") for row in rows])
    assert p[right].mean() > p[~right].mean() + 0.2
    assert len(load_manifest(certified).certificates) == 1


def test_graded_rows_are_certified_and_evaluated_without_a_file_of_scores(folder: Path) -> None:
    """There is no model to ask: what they would be scored is known at once."""
    scored, new = folder / "in-two-steps.jsonl", str(folder / "other.csv")
    mine, shown = str(folder / "mine"), []
    score(folder, "other.csv", scored)
    for name, source in (("at-once", new), ("in-two-steps", str(scored))):
        output = folder / name
        command = ["certify", source, "-e", mine, "--first", "--alpha", "0.2", "-o", str(output)]
        run = CliRunner().invoke(cli, command)
        assert run.exit_code == 0, run.output
        run = CliRunner().invoke(
            cli, ["evaluate", source, "-e", mine, "--json", "-q", "--no-prior"]
        )
        assert run.exit_code == 0, run.output
        shown.append(
            (load_manifest(output).certificates, json.loads(run.stdout)["estimators"][0]["figures"])
        )
    [(certificate,), figures], [(later,), later_figures] = shown
    assert certificate.threshold == later.threshold is not None
    assert certificate.n == later.n == 400
    assert figures == later_figures


def score(folder: Path, name: str, output: Path) -> None:
    command = ["score", str(folder / name), "-e", str(folder / "mine"), "-o", str(output), "-q"]
    run = CliRunner().invoke(cli, command)
    assert run.exit_code == 0, run.output


def test_the_rows_of_a_question_may_stand_anywhere_in_the_file(folder: Path) -> None:
    lines = (folder / "new.csv").read_text().splitlines()
    (folder / "apart.csv").write_text("\n".join([lines[0], *lines[1::2], *lines[2::2]]) + "\n")
    found = []
    for name in ("new", "apart"):
        output = folder / f"{name}.jsonl"
        run = CliRunner().invoke(
            cli, ["score", str(folder / f"{name}.csv"), "-e", str(folder / "mine"),
                   "-o", str(output), "-q"],
        )  # fmt: skip
        assert run.exit_code == 0, run.output
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        found.append({(row["question"], row["model"]): row["confidence"] for row in rows})
    assert found[0] == found[1]


def test_one_answer_at_a_time_with_samples_and_a_stated_confidence(folder: Path) -> None:
    estimator = load_estimator(folder / "mine")

    def p(samples: list[str], stated: float) -> float:
        columns = {"samples": list(samples), "stated": stated}
        qa = QuestionAnswer(question="What is 9?", answer="9", model="good", columns=columns)
        found = estimator.score([qa])[0].p
        assert found is not None
        return found

    assert p(["9", "9"], 0.9) > p(["8", "7"], 0.9)
    assert p(["9", "9"], 0.95) > p(["9", "9"], 0.6)


def test_the_record_says_what_a_row_lacks(folder: Path) -> None:
    estimator = load_estimator(folder / "mine")
    qa = QuestionAnswer(question="What is 9?", answer="9", columns={"stated": 0.9})
    [found] = estimator.score([qa])
    assert found.evidence == {"agreement": "missing", "stated": "used", "model": "missing"}


def test_a_row_that_cannot_be_read_costs_no_other_its_score(folder: Path) -> None:
    (folder / "odd.csv").write_text(
        "question,answer,model,stated\nWhat is 1?,1,good,0.9\nWhat is 2?,2,good,very\n"
    )
    output = folder / "odd.jsonl"
    arguments = [str(folder / "odd.csv"), "-e", str(folder / "mine"), "-o", str(output), "-q"]
    assert CliRunner().invoke(cli, ["score", *arguments]).exit_code == 3
    one, other = [json.loads(line) for line in output.read_text().splitlines()]
    assert (one["status"], one["evidence_missing"]) == ("ok", "agreement")
    assert other["status"] == "error"
    assert "field 'stated' must be a stated confidence" in other["error"]


def without(path: Path, target: Path, column: str) -> Path:
    """A copy of a table with nothing in this column."""
    with path.open(newline="") as stream, target.open("w", newline="") as copy:
        table = csv.DictReader(stream)
        rows = csv.DictWriter(copy, list(table.fieldnames or ()))
        rows.writeheader()
        rows.writerows(row | {column: ""} for row in table)
    return target


def test_evidence_that_rows_lack_is_named_and_counted(folder: Path, tmp_path: Path) -> None:
    source, output = without(folder / "new.csv", tmp_path / "new.csv", "stated"), tmp_path / "s.csv"
    command = ["score", str(source), "-e", str(folder / "mine"), "-o", str(output)]
    run = CliRunner().invoke(cli, command)
    assert run.exit_code == 0, run.output
    assert "lacking" in run.output
    assert "400 stated" in run.output
    with output.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["status"], row["evidence_missing"]) for row in rows} == {("ok", "stated")}
    assert len({row["confidence"] for row in rows}) > 3


def test_strict_refuses_rows_that_lack_evidence(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "new.csv").read_text().splitlines()
    question, answer, _, stated, right = lines[1].split(",")
    lines[1] = ",".join([question, answer, "", stated, right])
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    output = tmp_path / "scored.jsonl"
    run = CliRunner().invoke(
        cli, ["score", str(tmp_path / "new.csv"), "-e", str(folder / "mine"), "-o", str(output),
              "--strict"],
    )  # fmt: skip
    assert run.exit_code == 3, run.output
    first, *others = [json.loads(line) for line in output.read_text().splitlines()]
    assert (first["status"], first["confidence"], first["evidence_missing"]) == (
        "invalid",
        None,
        "model",
    )
    assert first["error"] == "the row lacks model, which mine was fitted on: add it"
    assert {(row["status"], row["evidence_missing"]) for row in others} == {("ok", None)}


def test_strict_is_for_estimators_that_weigh_evidence(folder: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(
        cli, ["score", str(folder / "new.csv"), "-e", "mini", "-o", str(tmp_path / "s.jsonl"),
              "--strict"],
    )  # fmt: skip
    assert run.exit_code == 2
    assert "--strict is for evidence, which mini does not weigh" in run.output


def foreign(path: Path, questions: range, seed: int) -> Path:
    """Samples of lm-evaluation-harness: repeated generations, packed."""
    import gzip

    random = np.random.default_rng(seed)
    lines = []
    for number in questions:
        skill = 0.3 + 0.6 * random.random()
        drawn = [str(number if random.random() < skill else number + 1) for _ in range(4)]
        sample = {
            "doc_id": number, "doc": {"question": f"What is {number}?"}, "target": str(number),
            "arguments": {"gen_args_0": {"arg_0": f"Q: What is {number}?\nA:", "arg_1": {}}},
            "resps": [drawn], "filtered_resps": [drawn[0]], "filter": "none",
            "metrics": ["exact_match"], "exact_match": float(drawn[0] == str(number)),
        }  # fmt: skip
        lines.append(json.dumps(sample) + "\n")
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def test_from_the_files_of_another_tool_to_a_scored_file(tmp_path: Path) -> None:
    source = foreign(tmp_path / "samples_sums.jsonl.gz", range(100, 500), 4)
    shape, parts = ["--format", "lm-eval"], tmp_path / "parts"
    for command in (
        ["split", str(source), *shape, "-o", str(parts), "-p", "fit=1", "-p", "test=1"],
        ["calibrate", str(parts / "fit.jsonl"), "--evidence", "agreement", "-o",
         str(tmp_path / "mine")],
        ["calibrate", str(source), *shape, "--evidence", "agreement", "-o",
         str(tmp_path / "all")],
        ["score", str(source), *shape, "-e", str(tmp_path / "mine"), "-o",
         str(tmp_path / "scored.csv.zst"), "-q"],
    ):  # fmt: skip
        run = CliRunner().invoke(cli, command)
        assert run.exit_code == 0, f"{command}: {run.output} {run.exception}"
    from ct_guard.files import open_rows

    rows = [row.fields for row in open_rows(tmp_path / "scored.csv.zst")]
    assert len(rows) == 400
    assert list(rows[0])[:2] == ["question", "answer"]
    p = np.array([float(row["confidence"]) for row in rows])
    right = np.array([row["correct"] == "true" for row in rows])
    assert p[right].mean() > p[~right].mean() + 0.03
    assert load_manifest(tmp_path / "all").figures["rows"] == 400


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["score", "{0}", "-e", "{1}", "-o", "{2}.jsonl"],
         "or say which fields they are with --question-field, --answer-field and --correct-field;"
         " it looks like --format lm-eval"),
        (["calibrate", "{0}", "--evidence", "agreement", "-o", "{2}"],
         "it looks like --format lm-eval"),
        (["split", "{0}", "-o", "{2}"],
         "found 'doc_id', 'doc', 'target', 'arguments', 'resps', 'filtered_resps', 'filter',"
         " 'metrics', 'exact_match'; rename or add them, or say which fields they are with"
         " --question-field"),
        (["split", "{0}", "--question-field", "ask", "-o", "{2}"],
         "has no field 'ask': say which fields they are with --question-field"),
        (["calibrate", "{0}", "-e", "mini", "--format", "lm-eval", "-o", "{2}"],
         "--format is for --evidence"),
    ],
)  # fmt: skip
def test_unknown_shapes_get_the_way_out_in_options(
    folder: Path, tmp_path: Path, command: list[str], said: str
) -> None:
    source = foreign(tmp_path / "samples.jsonl.gz", range(5), 0)
    words = [word.format(source, folder / "mine", tmp_path / "out") for word in command]
    run = CliRunner().invoke(cli, words)
    assert run.exit_code != 0
    assert said in " ".join(f"{run.output} {run.exception}".split())


def test_a_changed_file_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder / "mine", copy)
    name = load_manifest(copy).evidence
    assert name is not None
    (copy / name).write_text("{}")
    with pytest.raises(ManifestError, match=rf"{name} differs from its hash"):
        load_estimator(copy)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--evidence", "opinion"], "no evidence 'opinion'"),
        (["--evidence", "column:correct"], "AUROC of 1.0000"),
        (["--evidence", "column:answer_text"], "no row has the evidence column:answer_text"),
        (["--evidence", "model", "--kind", "platt"], "makes an estimator of its own"),
        (["--evidence", "model", "-e", "mini"], "no column 'logit'"),
    ],
)
def test_what_is_refused(folder: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    output = str(tmp_path / "out")
    run = CliRunner().invoke(
        cli, ["calibrate", str(folder / "graded.csv"), "-o", output, *arguments]
    )
    assert run.exit_code != 0
    assert said in f"{run.output} {run.exception}"


def test_neither_torch_nor_llama_cpp_is_imported(folder: Path) -> None:
    code = (
        "import sys; from ct_guard.cli import cli\n"
        f"cli(['score', {str(folder / 'new.csv')!r}, '-e', {str(folder / 'mine')!r}, '-o',"
        f" {str(folder / 'bare.jsonl')!r}, '-q'], standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'llama_cpp'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
