"""Scoring many files, parts of them, and again what failed: nothing is lost or doubled."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ct_guard import ScoreConfig, score
from ct_guard.errors import FieldError, InputError, OutputExistsError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.files import open_rows
from ct_guard.policies import Require, Threshold
from ct_guard.records import Confidence, QuestionAnswer
from ct_guard.testing import FakeBackend
from ct_guard.workflows.runs.journal import journal_path
from tests.known_confidence import by_word, estimator_on


class Stopped(BaseException):
    """The process ends here."""


class Moody(Estimator):
    """Fails at answers with "bad", ends the process at "stop", and says what it scored."""

    seen: list[str]

    def score(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        answers = [qa.answer for qa in items]
        if any("stop" in answer for answer in answers):
            raise Stopped
        self.seen += answers
        return [
            self.unscored("error", "broken") if "bad" in qa.answer else made
            for qa, made in zip(items, super().score(items), strict=True)
        ]


@pytest.fixture
def moody() -> Moody:
    plain = estimator_on(FakeBackend(logit=by_word))
    made = Moody(plain.manifest, plain.method, plain.backend, plain.query, None, plain.fingerprint)
    made.seen = []
    return made


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for name, answers in (
        ("a.jsonl", ["sure 1", "bad 2", "unsure 3"]),
        ("b.csv", ["sure 4", "sure 5"]),
        ("deep/c.parquet", ["unsure 6", "bad 7"]),
    ):
        write(folder / name, [{"question": "q", "answer": text, "n": 1.5} for text in answers])
    return folder


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def answers(path: Path) -> list[str]:
    return [row.fields["answer"] for row in open_rows(path)]


def confidences(path: Path) -> Iterator[float | None]:
    for row in open_rows(path):
        p = row.fields["confidence"]
        yield None if p in (None, "") else round(float(p), 2)


def config(estimator: Estimator, **more: Any) -> ScoreConfig:
    return ScoreConfig(**{"estimator": estimator, "policy": 0.5, **more})


def test_into_a_folder_every_file_has_one_of_its_name(moody: Moody, runs: Path) -> None:
    folder = runs.parent / "scored"
    made = score(runs, f"{folder}/", config(moody, preview=4))
    assert [Path(path) for path in made.files] == [
        folder / "a.jsonl", folder / "b.csv", folder / "deep/c.parquet"
    ]  # fmt: skip
    assert answers(folder / "a.jsonl") == ["sure 1", "bad 2", "unsure 3"]
    assert list(confidences(folder / "deep/c.parquet")) == [0.05, None]
    assert (made.summary.rows, made.summary.failed) == (7, 2)
    assert [row.answer for row in made.summary.preview] == ["sure 1", "bad 2", "unsure 3", "sure 4"]
    assert {path.name for path in runs.parent.iterdir()} == {"runs", "scored"}  # no journal is left
    import pyarrow.parquet as pq

    assert str(pq.read_schema(folder / "deep/c.parquet").field("n").type) == "double"


def test_into_a_file_they_stand_one_after_the_other(moody: Moody, runs: Path) -> None:
    output = runs.parent / "all.parquet"
    made = score([runs / "b.csv", runs], output, config(moody))
    assert answers(output) == [
        "sure 4", "sure 5", "sure 1", "bad 2", "unsure 3", "unsure 6", "bad 7"
    ]  # fmt: skip
    assert made.files == (str(output),)


def test_a_run_into_a_folder_that_was_killed_goes_on_where_it_was(moody: Moody, runs: Path) -> None:
    folder = runs.parent / "scored"
    write(runs / "c.jsonl", [{"question": "q", "answer": f"sure {n}"} for n in range(3)])
    write(runs / "b.csv", [{"question": "q", "answer": "stop"}])
    with pytest.raises(Stopped):
        score(runs, f"{folder}/", config(moody))
    assert (folder / "a.jsonl").exists()
    assert journal_path(folder).exists()
    with pytest.raises(OutputExistsError, match="`resume` goes on"):
        score(runs, folder, config(moody))
    write(runs / "b.csv", [{"question": "q", "answer": "sure"}])  # it had no result yet
    journal_path(folder / "b.csv").unlink()
    moody.seen.clear()
    made = score(runs, folder, config(moody, resume=True))
    assert moody.seen == ["sure", "sure 0", "sure 1", "sure 2", "unsure 6", "bad 7"]
    assert made.summary.rows == 9
    assert made.summary.replayed == 3
    assert made.summary.failed == 2
    assert not journal_path(folder).exists()
    with pytest.raises(OutputExistsError):
        score(runs, folder, config(moody))
    assert score(runs, folder, config(moody, overwrite=True)).summary.replayed == 0


def test_a_finished_file_whose_input_changed_is_not_taken_for_finished(
    moody: Moody, runs: Path
) -> None:
    folder = runs.parent / "scored"
    write(runs / "b.csv", [{"question": "q", "answer": "stop"}])
    with pytest.raises(Stopped):
        score(runs, f"{folder}/", config(moody))
    write(runs / "a.jsonl", [{"question": "q", "answer": "another"}])
    with pytest.raises(OutputExistsError, match=r"a\.jsonl: exists"):
        score(runs, folder, config(moody, resume=True))
    with pytest.raises(UsageError, match="another policy"):
        score(runs, folder, ScoreConfig(estimator=moody, policy=0.7, resume=True))


def test_a_part_of_the_rows_is_another_run_than_all_of_them(moody: Moody, runs: Path) -> None:
    output = runs.parent / "some.jsonl"
    made = score(runs, output, config(moody, limit=4))
    assert answers(output) == ["sure 1", "bad 2", "unsure 3", "sure 4"]
    assert made.summary.rows == 4
    folder = runs.parent / "some"
    score(runs, f"{folder}/", config(moody, sample=3, seed=5))
    assert sum(len(answers(path)) for path in folder.rglob("*.*")) == 3
    write(runs / "a.jsonl", [{"question": "q", "answer": a} for a in ("sure", "stop")])
    stopped = runs.parent / "stopped.jsonl"
    with pytest.raises(Stopped):
        score(runs / "a.jsonl", stopped, config(moody, limit=2))
    with pytest.raises(UsageError, match="another rows"):
        score(runs / "a.jsonl", stopped, config(moody, limit=1, resume=True))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_only_what_failed_is_scored_again(moody: Moody, tmp_path: Path, suffix: str) -> None:
    source, first, second = (tmp_path / f"{name}{suffix}" for name in ("in", "one", "two"))
    texts = ["sure 1", "bad 2", " ", "unsure 4"]
    write(source, [{"question": "q", "answer": text, "n": 1.5} for text in texts])
    score(source, first, config(moody))
    steady = estimator_on(FakeBackend(logit=by_word))
    made = score(first, second, config(steady, only_failed=True))
    assert list(confidences(first)) == [0.95, None, None, 0.05]
    assert list(confidences(second)) == [0.95, 0.5, None, 0.05]
    before, after = (list(open_rows(path)) for path in (first, second))
    assert list(after[0].fields) == list(before[0].fields)  # no column twice
    for at in (0, 2, 3):
        assert after[at].fields == before[at].fields
    assert (made.summary.rows, made.summary.kept, made.summary.failed) == (4, 2, 0)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_what_ran_out_of_tokens_is_marked_and_a_policy_can_act_on_it(
    moody: Moody, tmp_path: Path, suffix: str
) -> None:
    source, scored, again = (tmp_path / f"{name}{suffix}" for name in ("in", "one", "two"))
    ends = ["stop", "length", None]
    write(source, [{"question": "q", "answer": "sure", "finish_reason": end} for end in ends])
    policy = Require(policy=Threshold(threshold=0.5), cut_off=False)
    score(source, scored, config(moody, policy=policy))
    score(scored, again, config(moody, policy=policy, only_failed=True))
    for path in (scored, again):
        rows = [row.fields for row in open_rows(path)]
        assert [row["action"] for row in rows] == ["pass", "abstain", "pass"]
        assert [str(row["cut_off"]).lower() for row in rows] == ["false", "true", "false"]


@pytest.mark.parametrize("written", ["True", "TRUE", "1", "1.0", 1, 1.0])
def test_truth_values_that_another_program_saved_again_are_read(
    moody: Moody, tmp_path: Path, written: object
) -> None:
    source, scored, again = (tmp_path / f"{name}.jsonl" for name in ("in", "one", "two"))
    write(source, [{"question": "q", "answer": "sure", "finish_reason": "length"}])
    score(source, scored, config(moody))
    (row,) = [row.fields for row in open_rows(scored)]
    write(scored, [{**row, "cut_off": written}])
    score(scored, again, config(moody, only_failed=True))
    assert [row.fields["cut_off"] for row in open_rows(again)] == [True]


def test_another_scorers_rows_are_not_mixed_with_this_ones(moody: Moody, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    write(source, [{"question": "q", "answer": "a", "confidence": 0.5, "scorer": "other"}])
    with pytest.raises(InputError, match="line 1: field 'scorer' is not this estimator's"):
        score(source, tmp_path / "out.jsonl", config(moody, only_failed=True))
    scorer = moody.manifest.scorer
    write(source, [{"question": "q", "answer": "a", "confidence": 5, "scorer": scorer}])
    with pytest.raises(InputError, match="field 'confidence' is not what scoring writes"):
        score(source, tmp_path / "other.jsonl", config(moody, only_failed=True))


def test_an_interrupted_run_over_what_failed_resumes(moody: Moody, tmp_path: Path) -> None:
    source, first, second = (tmp_path / f"{name}.jsonl" for name in ("in", "one", "two"))
    write(source, [{"question": "q", "answer": a} for a in ("sure", "bad", "stop")])
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    done = {"confidence": 0.9, "status": "ok", "scorer": moody.manifest.scorer}
    write(first, [{**rows[0], **done}, rows[1], rows[2]])
    with pytest.raises(Stopped):
        score(first, second, config(moody, only_failed=True))
    with pytest.raises(UsageError, match="another only_failed"):
        score(first, second, config(moody, resume=True))


def test_a_summary_says_what_the_run_did(moody: Moody, runs: Path) -> None:
    place = runs.parent / "summary.json"
    write(runs / "a.jsonl", [
        {"question": "q", "answer": "sure", "correct": True},
        {"question": "q", "answer": "unsure", "correct": False},
        {"question": "q", "answer": "bad"},
    ])  # fmt: skip
    score(runs / "a.jsonl", runs.parent / "out.jsonl", config(moody, summary=place))
    told = json.loads(place.read_text())
    assert (told["rows"], told["failed"], told["statuses"]) == (3, 1, {"ok": 2, "error": 1})
    assert told["quality"]["auroc"] == 1.0
    assert told["policy"] == "threshold 0.5"
    assert told["inputs"] == [str(runs / "a.jsonl")]
    assert told["outputs"].keys() == {str(runs.parent / "out.jsonl")}
    with pytest.raises(OutputExistsError, match="another `summary`"):
        score(runs / "a.jsonl", runs.parent / "two.jsonl", config(moody, summary=place))
    more = config(moody, summary=place, overwrite=True)
    score(runs / "b.csv", runs.parent / "two.jsonl", more)
    quality = json.loads(place.read_text())["quality"]
    assert quality["auroc"] is None
    assert quality["why_none"] == "no row has both `correct` and a confidence"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"limit": 0}, "`limit` is a number of at least 1"),
        ({"seed": 3}, "`seed` is for `sample`"),
        ({"workers": 2}, "`workers` is for `engine` ray"),
        ({"gpus_per_worker": 0.5}, "`gpus_per_worker` is for `engine` ray"),
        ({"engine": "spark"}, "`engine` is local or ray"),
        ({"engine": "ray"}, "give its name"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    fields: dict[str, Any], said: str, moody: Moody, runs: Path
) -> None:
    with pytest.raises(FieldError, match=said):
        score(runs, runs.parent / "out.jsonl", config(moody, **fields))
    assert [path.name for path in runs.parent.iterdir()] == ["runs"]
