"""Grading a file: every column kept, nothing lost, unclear never right."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ct_guard.datasets import (
    GRADERS,
    AskedAnswers,
    GivenAnswers,
    Judge,
    data_manifest_path,
    load_data_manifest,
    read_prompt,
)
from ct_guard.datasets.answerers import Reply, Request
from ct_guard.errors import BackendError, InputError, OutputExistsError, UsageError
from ct_guard.workflows.runs import GradeSummary, grade_file
from ct_guard.workflows.runs import grade as engine
from ct_guard.workflows.runs.journal import journal_path

Row = dict[str, Any]


class Solver:
    """An answerer of sums: right when greedy, one too many when sampled."""

    name = "solver"
    settings = {"kind": "exact"}

    def __init__(self, fails: Callable[[int], Reply | None] = lambda count: None) -> None:
        self.asked: list[Request] = []
        self._fails = fails

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Reply:
        self.asked.append(request)
        first, second = (int(word) for word in request.turns[-1].content.split("+"))
        text = f" {first + second + request.sampling.seed}\nQuestion: next"
        return self._fails(len(self.asked)) or Reply(text)


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sums(path: Path, count: int = 5, **fields: Any) -> Path:
    return write(path, [{"question": f"{n}+1", "gold": n + 1, **fields} for n in range(count)])


def run(
    source: Path, output: Path, answering: Any = None, grader: str = "normalised", **more: Any
) -> GradeSummary:
    return grade_file(source, output, answering or GivenAnswers(), GRADERS[grader](), **more)


def asking(solver: Solver, **settings: Any) -> AskedAnswers:
    return AskedAnswers(solver, first_line=True, **settings)


def test_answers_are_made_and_graded(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    source = sums(tmp_path / "in.jsonl", tag="easy", model="a column of the input")
    summary = run(source, output, asking(Solver(), samples=2))
    rows = read(output)
    assert len(rows) == 15
    assert rows[1] == {
        "question": "0+1", "gold": 1, "tag": "easy", "input_model": "a column of the input",
        "id": "1", "answer": "2", "model": "solver", "sample": 1, "correct": False,
        "grade_reason": "is none of the gold answers, normalised", "grader": "normalised",
    }  # fmt: skip
    assert [row["correct"] for row in rows] == [True, False, False] * 5
    assert (summary.questions, summary.right, summary.wrong) == (5, 5, 10)
    assert (summary.greedy_right, summary.greedy_wrong) == (5, 0)


def test_given_answers_are_graded_where_they_stand(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.jsonl",
        [
            {"id": "a", "question": "1+1", "gold": "2", "answer": "2", "model": "m", "sample": 7},
            {"id": "b", "question": "1+1", "gold": "2", "answer": "", "model": "m", "sample": 8},
        ],
    )
    run(source, tmp_path / "out.jsonl")
    rows = read(tmp_path / "out.jsonl")
    added = ["correct", "grade_reason", "grader"]
    assert [list(row) for row in rows] == [[*before, *added] for before in read(source)]
    assert [row["correct"] for row in rows] == [True, False]
    assert rows[1]["grade_reason"] == "the answer is empty"


def test_several_given_answers_become_several_rows(tmp_path: Path) -> None:
    source = sums(tmp_path / "in.jsonl", 1, answers=["1", "2"])
    run(source, tmp_path / "out.jsonl")
    rows = read(tmp_path / "out.jsonl")
    assert [(row["answer"], row["sample"], row["correct"]) for row in rows] == [
        ("1", 0, True),
        ("2", 1, False),
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("start", ["csv", "parquet", "jsonl"])
def test_every_format_to_every_format(start: str, ending: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = tmp_path / f"in.{start}"
    rows = [{"question": f"{n}+1", "gold": str(n + 1), "level": n} for n in range(3)]
    if start == "csv":
        with source.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif start == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), source)
    else:
        write(source, rows)
    output = tmp_path / f"out.{ending}"
    run(source, output, asking(Solver(), samples=1))
    if ending == "csv":
        with output.open(newline="") as stream:
            made: list[Row] = list(csv.DictReader(stream))
    else:
        made = pq.read_table(output).to_pylist() if ending == "parquet" else read(output)
    assert [(row["question"], str(row["level"]), row["answer"]) for row in made] == [
        (f"{n}+1", str(n), str(n + 1 + sample)) for n in range(3) for sample in (0, 1)
    ]
    kept = {"parquet": int, "jsonl": int, "csv": str}
    assert type(made[0]["level"]) is (kept[ending] if start == ending else type(made[0]["level"]))
    assert load_data_manifest(output).counts.rows == 6


def test_a_bad_question_is_a_row_with_a_reason_and_is_never_asked(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(
        '{"question": "1+1", "gold": "2"}\n{"gold": "2"}\n{oops\n{"question": "1+1"}\n'
    )
    solver = Solver()
    summary = run(source, tmp_path / "out.jsonl", asking(solver))
    rows = read(tmp_path / "out.jsonl")
    assert [row["correct"] for row in rows] == [True, None, None, None]
    for row, reason in zip(rows[1:], ("'question'", "not JSON", "'gold'"), strict=True):
        assert reason in row["grade_reason"]
    assert len(solver.asked) == 1
    assert summary.failed == 3
    assert summary.first_failure == rows[1]["grade_reason"]


def test_a_file_without_gold_or_answers_is_refused_before_anything_runs(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("question,solution\n1+1,2\n")
    with pytest.raises(InputError, match="'gold' and 'answer'"):
        run(source, tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"'question' .* and 'gold', found"):
        run(source, tmp_path / "out.csv", asking(Solver()))
    assert run(source, tmp_path / "out.csv", asking(Solver()), gold="solution").right == 1


def test_the_gold_column_may_be_called_answer(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"question": "1+1", "answer": "2"}])
    run(source, tmp_path / "out.jsonl", asking(Solver()), gold="answer")
    [row] = read(tmp_path / "out.jsonl")
    assert (row["input_answer"], row["answer"], row["correct"]) == ("2", "2", True)
    assert load_data_manifest(tmp_path / "out.jsonl").gold == "input_answer"


def test_choices_stand_in_the_question_of_the_output(tmp_path: Path) -> None:
    row = {"question": "1+1?", "gold": "b", "choices": ["1", "2"], "answer": "(b)"}
    source = write(tmp_path / "in.jsonl", [row])
    run(source, tmp_path / "out.jsonl", grader="multiple_choice")
    [graded] = read(tmp_path / "out.jsonl")
    assert graded["correct"] is True
    assert graded["question"] == "1+1?\n\nChoices:\n  (a): 1\n  (b): 2"
    assert graded["input_question"] == "1+1?"


def test_examples_stand_before_every_question(tmp_path: Path) -> None:
    examples = tmp_path / "shots.jsonl"
    examples.write_text('{"question": "Sum?", "answer": "Yes."}\n')
    solver = Solver()
    prompt = read_prompt(examples)
    run(sums(tmp_path / "in.jsonl", 1), tmp_path / "out.jsonl", asking(solver, prompt=prompt))
    assert [turn.content for turn in solver.asked[0].turns] == ["Sum?", "Yes.", "0+1"]
    manifest = load_data_manifest(tmp_path / "out.jsonl")
    assert manifest.answering["prompt_sha256"] == prompt.sha256
    (tmp_path / "rule.txt").write_text("Add.\n")
    assert read_prompt(tmp_path / "rule.txt").turns[0].role == "system"


@pytest.mark.parametrize(
    ("name", "text"),
    [("p.txt", " \n"), ("p.jsonl", ""), ("p.jsonl", '{"question": "?"}\n'), ("p.md", "x")],
)
def test_a_prompt_that_is_none_is_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError):
        read_prompt(tmp_path / name)


@pytest.mark.parametrize(
    "settings", [{"samples": -1}, {"temperature": 0.0}, {"temperature": 9.0}, {"max_tokens": 0}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        AskedAnswers(Solver(), **settings)


def interrupted(source: Path, output: Path, solver: Solver) -> None:
    with pytest.raises(BackendError, match="no more answers: down; `resume`"):
        run(source, output, asking(solver, samples=1))


def test_what_was_answered_before_an_outage_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CHUNK_ANSWERS", 6)
    source, output = sums(tmp_path / "in.jsonl", 20), tmp_path / "out.jsonl"
    interrupted(
        source, output, Solver(lambda n: Reply(None, "down", stop=True) if n > 15 else None)
    )
    assert not output.exists()
    with pytest.raises(OutputExistsError, match="`resume`"):
        run(source, output, asking(Solver(), samples=1))
    again = Solver()
    summary = run(source, output, asking(again, samples=1), resume=True)
    assert summary.replayed == 7
    assert len(again.asked) == 2 * 13
    whole = tmp_path / "whole.jsonl"
    assert run(source, whole, asking(Solver(), samples=1)).counts == summary.counts
    assert read(output) == read(whole)
    assert not journal_path(output).exists()


def test_failures_that_are_no_outage_are_kept_in_their_place(tmp_path: Path) -> None:
    source, output = sums(tmp_path / "in.jsonl", 200), tmp_path / "out.jsonl"
    solver = Solver(lambda n: Reply(None, "too long") if n > 20 else None)
    assert run(source, output, asking(solver)).failed == 180
    assert [row["question"] for row in read(output)] == [f"{n}+1" for n in range(200)]
    assert len(solver.asked) == 200


def test_a_run_is_not_resumed_with_another_grader(tmp_path: Path) -> None:
    source, output = sums(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    interrupted(source, output, Solver(lambda n: Reply(None, "down", stop=True) if n > 4 else None))
    with pytest.raises(UsageError, match="another grader"):
        run(source, output, asking(Solver(), samples=1), "exact", resume=True)


def test_one_failed_request_is_one_failed_row(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    solver = Solver(lambda n: Reply(None, "too long") if n == 2 else None)
    summary = run(sums(tmp_path / "in.jsonl"), output, asking(solver))
    assert summary.counts.failed == 1
    assert read(output)[1]["grade_reason"] == "too long"
    assert read(output)[1]["answer"] is None


def test_an_answer_that_was_cut_is_right_or_unclear_and_never_wrong(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    texts = {1: "First I add", 2: "2"}
    solver = Solver(lambda n: Reply(texts[n], cut_off=True) if n in texts else None)
    run(sums(tmp_path / "in.jsonl", 3), output, asking(solver))
    cut, right, whole = read(output)
    assert (cut["answer"], cut["correct"]) == ("First I add", None)
    assert "raise `max_tokens`" in cut["grade_reason"]
    assert (right["correct"], whole["correct"]) == (True, True)


def test_nor_is_a_given_answer_whose_row_says_so(tmp_path: Path) -> None:
    row = {"question": "1+1", "gold": "2", "answer": "First I add", "finish_reason": "length"}
    whole = row | {"finish_reason": "stop"}
    right = row | {"answer": "2"}
    run(write(tmp_path / "in.jsonl", [row, whole, right]), tmp_path / "out.jsonl")
    assert [one["correct"] for one in read(tmp_path / "out.jsonl")] == [None, False, True]


def test_a_file_of_another_tool_is_refused_with_the_fields_that_it_has(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"doc_id": n, "target": "12"} for n in range(3)])
    with pytest.raises(InputError, match=r"'question' .* found 'doc_id', 'target'; rename"):
        run(source, tmp_path / "out.jsonl")


class Verdicts:
    """A judge's model with replies given beforehand."""

    name = "verdicts"
    settings: dict[str, str] = {}

    def __init__(self, *replies: Reply) -> None:
        self._replies = iter(replies)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [next(self._replies) for _ in requests]


def test_a_judge_that_answers_nonsense_or_not_at_all_is_unclear(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    source = sums(tmp_path / "in.jsonl", 4, answer="5")
    judge = Judge(
        Verdicts(
            Reply("Yes."), Reply("Banana"), Reply(None, "no reply within 60 seconds"), Reply("No")
        )
    )
    summary = grade_file(source, output, GivenAnswers(), judge)
    assert [row["correct"] for row in read(output)] == [True, None, None, False]
    assert summary.counts.unclear == 2
    assert load_data_manifest(output).grader_settings == judge.settings
    assert any("unclear" in remark for remark in summary.remarks())


def test_a_judge_that_is_down_keeps_what_was_judged(tmp_path: Path) -> None:
    source, output = sums(tmp_path / "in.jsonl", 3, answer="1"), tmp_path / "out.jsonl"
    judge = Judge(Verdicts(Reply("Yes"), Reply(None, "HTTP 401", stop=True), Reply("No")))
    with pytest.raises(BackendError, match="HTTP 401"):
        grade_file(source, output, GivenAnswers(), judge)
    judge = Judge(Verdicts(Reply("No"), Reply("No")))
    summary = grade_file(source, output, GivenAnswers(), judge, resume=True)
    assert (summary.right, summary.wrong, summary.replayed) == (1, 2, 1)


def test_a_run_is_not_resumed_with_a_judge_that_is_asked_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = sums(tmp_path / "in.jsonl", 3, answer="1"), tmp_path / "out.jsonl"
    judge = Judge(Verdicts(Reply("Yes"), Reply(None, "HTTP 401", stop=True), Reply("No")))
    with pytest.raises(BackendError, match="HTTP 401"):
        grade_file(source, output, GivenAnswers(), judge)
    monkeypatch.setattr("ct_guard.datasets.graders.judge.ASKED_SHA256", "of other words")
    with pytest.raises(UsageError, match="another grader_settings"):
        grade_file(source, output, GivenAnswers(), judge, resume=True)


def test_one_class_only_is_said_in_words(tmp_path: Path) -> None:
    summary = run(sums(tmp_path / "in.jsonl"), tmp_path / "out.jsonl", asking(Solver()))
    [remark] = summary.remarks()
    assert "all graded answers are right" in remark
    assert GradeSummary(right=1, wrong=1).remarks() == []
    assert GradeSummary().remarks() == []


def test_the_manifest_says_what_the_data_is(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    run(sums(tmp_path / "in.jsonl"), output, asking(Solver(), samples=1, temperature=0.7, seed=0))
    manifest = load_data_manifest(output)
    assert (manifest.source, manifest.grader) == ("in.jsonl", "normalised")
    assert manifest.answering["model"] == "solver"
    assert manifest.answering["temperature"] == 0.7
    assert manifest.counts.right == 5
    assert manifest.audit is None
    assert str(tmp_path) not in data_manifest_path(output).read_text()


def test_an_existing_output_is_kept(tmp_path: Path) -> None:
    source, output = sums(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    output.write_text("dear")
    with pytest.raises(OutputExistsError, match="`overwrite`"):
        run(source, output, asking(Solver()))
    assert output.read_text() == "dear"
    run(source, output, asking(Solver()), overwrite=True)
    assert len(read(output)) == 5


def test_an_empty_file_gives_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("")
    assert run(tmp_path / "in.jsonl", tmp_path / "out.jsonl").questions == 0
    assert (tmp_path / "out.jsonl").read_text() == ""
