"""One adapter learns from whole answers and from their fields, through the one tuning path."""

import json
from pathlib import Path

import pytest

from ct_guard import load_estimator
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.datasets import read_graded
from ct_guard.errors import FieldError, InputError, UsageError
from ct_guard.estimators.fields import reader_of
from ct_guard.fields.rows import FIELDS_CORRECT
from ct_guard.query import FIELD_QUERY_HASH, build_query
from ct_guard.records import GradedAnswer, QuestionAnswer
from ct_guard.store import BaseModelRef
from ct_guard.tuning import TuningConfig
from ct_guard.tuning.augment import with_attacks
from ct_guard.tuning.data import render_graded
from ct_guard.tuning.estimator import EstimatorPlan, make_estimator
from ct_guard.tuning.prefixes import Prefixes
from ct_guard.tuning.trainer import tune
from ct_guard.workflows.recipes import TuneConfig, check_settings

CONFIG = TuningConfig(
    rank=2, targets=("q_proj",), batch_size=8, steps=2, warmup=1, evaluate_every=2, patience=0
)


def records(count: int, offset: int = 0) -> list[GradedAnswer]:
    """Towns that shout are right, and numbers are now and then."""
    made = []
    for n in range(offset, offset + count):
        right = {"town": bool(n % 2), "n": n % 3 > 0}
        answer = json.dumps({"town": "YES!" if n % 2 else "no", "n": n % 5})
        qa = QuestionAnswer(question=f"Number {n}?", answer=answer)
        made.append(GradedAnswer(qa=qa, correct=all(right.values()), fields=right))
    return made


@pytest.fixture(scope="module")
def parts() -> dict[str, list[GradedAnswer]]:
    return {
        "tuning": records(24),
        "validation": records(12, 500),
        "calibration": records(40, 900),
    }


def plan(base: Path, calibrator: str | None) -> EstimatorPlan:
    reference = BaseModelRef(id=str(base))
    return EstimatorPlan(reference, "query", "chat_turn", CONFIG, calibrator, fields=True)


def test_a_record_is_learnt_from_whole_and_field_by_field(backend: TransformersBackend) -> None:
    query = build_query("chat_turn", backend.encoder)
    reader = reader_of("chat_turn", backend, query)
    rows = render_graded(
        records(2), style="chat_turn", backend=backend, query=query, budget=512, reader=reader
    )
    assert [row.correct for row in rows] == [False, False, False, True, True, True]
    assert len({row.prefix for row in rows}) == 2
    assert [bool(row.query) for row in rows] == [False, True, True] * 2
    asked = backend.encoder.decode(rows[1].query)
    assert asked.endswith("- town: no?")
    prefixes = Prefixes(backend)
    prefixes.room = 1 << 20
    heard: list[tuple[int, int]] = []
    prefixes.keep(rows, lambda *done: heard.append(done))
    assert heard[-1] == (2, 2)  # question and answer are read once for all that is asked of them


def test_a_budget_leaves_room_for_the_longest_query(backend: TransformersBackend) -> None:
    query = build_query("chat_turn", backend.encoder)
    reader = reader_of("chat_turn", backend, query)
    rows = render_graded(
        records(2), style="chat_turn", backend=backend, query=query, budget=130, reader=reader
    )
    asked = [len(row.context) + len(row.answer) + len(row.query or query.ids) for row in rows]
    assert max(asked) <= 130


def test_a_twin_that_forges_has_no_fields() -> None:
    made = with_attacks(records(10), share=1.0)
    assert [row.fields is None for row in made] == [False] * 10 + [True] * 10


@pytest.mark.filterwarnings("ignore:higher logits")  # two steps teach nothing
def test_what_is_made_reads_fields_and_calibrates_them(
    backend: TransformersBackend,
    parts: dict[str, list[GradedAnswer]],
    tiny_base: Path,
    tmp_path: Path,
) -> None:
    target = tmp_path / "made"
    made = make_estimator(backend, parts, target, plan(tiny_base, "platt"), runs=tmp_path / "runs")
    assert made is not None
    assert made.fields is not None
    assert made.fields.query_hash == FIELD_QUERY_HASH
    assert made.fields.adapter is None  # the one that judges whole answers
    assert made.fields.calibrators["*"].n == 2 * len(parts["calibration"])
    served = load_estimator(target, device="cpu")
    (one,) = served.score([records(1, 3000)[0].qa.model_copy(update={"fields": ()})])
    assert one.fields is not None
    assert {path: field.calibrated for path, field in one.fields.items()} == {
        "town": True,
        "n": True,
    }


def test_without_a_calibrator_fields_are_read_as_they_are(
    backend: TransformersBackend,
    parts: dict[str, list[GradedAnswer]],
    tiny_base: Path,
    tmp_path: Path,
) -> None:
    some = {name: rows for name, rows in parts.items() if name != "calibration"}
    made = make_estimator(
        backend, some, tmp_path / "made", plan(tiny_base, None), runs=tmp_path / "runs"
    )
    assert made is not None
    assert made.fields is not None
    assert made.fields.calibrators == {}


def test_only_an_adapter_on_the_query_learns_of_fields(
    backend: TransformersBackend, parts: dict[str, list[GradedAnswer]], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="activation 'query'"):
        tune(
            backend,
            parts["tuning"],
            parts["validation"],
            style="chat_turn",
            folder=tmp_path,
            config=TuningConfig(activation="all"),
            fields=True,
        )
    for settings in ({"method": "probe"}, {"activation": "all"}, {"label_orders": "both"}):
        config = TuneConfig(base="mini", fields=True, **settings)  # type: ignore[arg-type]
        with pytest.raises(FieldError, match="`fields`"):
            check_settings(config, ("validation", "calibration"))


def write(path: Path, grades: object) -> Path:
    row = {"question": "?", "answer": {"a": 1}, "correct": True, FIELDS_CORRECT: grades}
    path.write_text(json.dumps(row) + "\n")
    return path


def test_grades_of_fields_are_read_from_their_column(tmp_path: Path) -> None:
    (row,) = read_graded(write(tmp_path / "a.jsonl", {"a": False}), fields=True).rows
    assert (row.fields, row.grades) == ({"a": False}, (True, False))
    assert row.qa.answer == '{"a": 1}'
    with pytest.raises(InputError, match="neither true nor"):
        read_graded(write(tmp_path / "b.jsonl", {"a": "maybe"}), fields=True)
    with pytest.raises(InputError, match="grade --fields"):
        read_graded(write(tmp_path / "c.jsonl", None), fields=True)
