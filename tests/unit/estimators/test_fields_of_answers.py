"""One reading of an answer serves it and its fields; what cannot be read so is read apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from ct_guard import Estimator, QuestionAnswer, load_estimator
from ct_guard.backends import GenerationSettings
from ct_guard.errors import MismatchError
from ct_guard.estimators.fields import calibrated_fields, field_reader_for
from ct_guard.records import CalibratorState
from ct_guard.store import FieldReading
from ct_guard.testing import FakeBackend

RECORD = QuestionAnswer(question="Who?", answer='{"town": "Kelso", "pets": []}', fields=())


def loaded(method: str = "zero-shot", backend: FakeBackend | None = None) -> Estimator:
    return load_estimator(method, base="any", backend=backend or FakeBackend())


@pytest.mark.parametrize("method", ["zero-shot", "likelihood", "perplexity"])
def test_the_answers_confidence_is_what_it_is_without_fields(method: str) -> None:
    estimator = loaded(method)
    plain, with_fields = estimator.score([RECORD.model_copy(update={"fields": None}), RECORD])
    assert with_fields.logit == pytest.approx(plain.logit)
    assert plain.fields is None
    assert with_fields.fields is not None
    assert set(with_fields.fields) == {"town", "pets"}


def test_one_reading_serves_both() -> None:
    backend = FakeBackend()
    estimator = loaded(backend=backend)
    before = len(backend.calls)
    estimator.score([RECORD])
    assert len(backend.calls) == before  # `score` was not asked


def test_an_answer_without_fields_is_scored_all_the_same() -> None:
    made = loaded().score([RECORD.model_copy(update={"answer": "Kelso"})])[0]
    assert made.p is not None
    assert made.fields is None
    assert made.error is not None
    assert "no JSON" in made.error


def test_what_is_decided_without_the_model_has_no_fields() -> None:
    made = loaded().score([RECORD.model_copy(update={"answer": " "})])[0]
    assert (made.status, made.fields) == ("empty", None)


def test_rows_with_and_without_fields_keep_their_order() -> None:
    estimator = loaded()
    plain = [QuestionAnswer(question=f"{n}?", answer=str(n)) for n in range(3)]
    together = estimator.score([plain[0], RECORD, plain[1], plain[2]])
    apart = [estimator.score([qa])[0] for qa in (plain[0], RECORD, plain[1], plain[2])]
    assert [one.logit for one in together] == pytest.approx([one.logit for one in apart])


def test_a_generated_answers_fields_are_read_over_its_cache() -> None:
    backend = FakeBackend(reply='{"town": "Kelso"}')
    estimator = loaded(backend=backend)
    qa = QuestionAnswer(question="Who?", answer="", fields=())
    prompt = estimator.render(qa.model_copy(update={"answer": "x"})).context
    (made,) = backend.generate([prompt], GenerationSettings(max_tokens=64))
    assert made.kv is not None
    scored = estimator.score_generated(qa.model_copy(update={"answer": made.text}), made.kv)
    assert scored.fields is not None
    assert list(scored.fields) == ["town"]


def test_long_answers_are_cut_for_the_room_that_their_queries_take() -> None:
    estimator = loaded()
    named = json.dumps({"a name that is longer than the query " * 4: "Kelso"})
    long = RECORD.model_copy(update={"question": "Who? " * 54, "answer": named})
    read = estimator.render(long)
    fits = len(read.context) + len(read.answer) + len(estimator.asked.ids)
    estimator.manifest = estimator.manifest.model_copy(update={"budget": fits})
    assert not estimator.score([long.model_copy(update={"fields": None})])[0].truncated
    made = estimator.score([long])[0]
    assert made.truncated
    assert made.fields is not None


def test_a_group_has_its_own_calibrator_and_others_the_common_one() -> None:
    shifted = CalibratorState(kind="platt", params={"a": 1.0, "b": -1.0}, n=100)
    plain = CalibratorState(kind="platt", params={"a": 1.0, "b": 0.0}, n=100)
    logits = np.array([1.0, 1.0])
    p, fitted = calibrated_fields({"*": plain, "town": shifted}, logits, ["town", "job"])
    assert p.tolist() == pytest.approx([0.5, 0.731], abs=1e-3)
    assert fitted.all()
    p, fitted = calibrated_fields({"town": shifted}, logits, ["town", "job"])
    assert fitted.tolist() == [True, False]


def test_another_query_about_fields_is_refused() -> None:
    estimator = loaded()
    other = estimator.manifest.model_copy(update={"fields": FieldReading(query_hash="0" * 64)})
    with pytest.raises(MismatchError, match="another query about fields"):
        field_reader_for(other, Path("mine"), FakeBackend(), estimator.asked, None)
