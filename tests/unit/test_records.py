"""The plain data: frozen, validated, JSON in and out."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from ct_guard.certificates import Certificate
from ct_guard.records import (
    Assessment,
    CalibratorState,
    Confidence,
    Decision,
    GradedAnswer,
    Message,
    QuestionAnswer,
    unchecked,
)

FULL = QuestionAnswer(
    question="Who?",
    answer="Ada\u00fc\u6771",
    context="P",
    messages=(Message(role="system", content="s"), Message(role="tool", content="t")),
    id="7",
    model="m",
)
RECORDS: list[BaseModel] = [
    FULL,
    GradedAnswer(qa=FULL, correct=True),
    Assessment(
        confidence=Confidence(p=0.5, logit=-1 / 3, calibrated=True),
        decision=Decision(action="pass", policy="p", threshold=0.1),
    ),
    CalibratorState(kind="k", params={"a": 1 / 3, "list": [0.1, 2.0]}, n=3),
    Certificate(alpha=0.1, delta=0.2, threshold=None, n=3, answered=0, errors=0, reason="r"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_json_brings_it_back(record: BaseModel) -> None:
    assert type(record).model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_nothing_can_be_changed_or_added(record: BaseModel) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, next(iter(type(record).model_fields)), None)
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(record).model_validate({**record.model_dump(), "surprise": 1})


@pytest.mark.parametrize("p", [-0.01, 1.01, math.nan, math.inf])
def test_a_probability_is_between_0_and_1(p: float) -> None:
    with pytest.raises(ValidationError):
        Confidence(p=p)
    with pytest.raises(ValidationError):
        Decision(action="pass", policy="p", threshold=p)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Confidence, {"p": 0.5, "logit": math.inf}),
        (Confidence, {"p": None, "status": "odd"}),
        (Decision, {"action": "shout", "policy": "p"}),
        (Message, {"role": "oracle", "content": ""}),
        (CalibratorState, {"kind": "k", "params": {"a": math.nan}, "n": 1}),
        (CalibratorState, {"kind": "k", "params": {}, "n": -1}),
    ],
)
def test_what_makes_no_sense_is_refused(kind: type[BaseModel], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate(fields)


def test_an_assessment_shows_what_matters() -> None:
    made = Assessment(confidence=Confidence(p=0.25), decision=Decision(action="retry", policy="p"))
    assert (made.p, made.action) == (0.25, "retry")


def test_coverage_is_the_share_that_is_answered() -> None:
    passed = Certificate(alpha=0.1, delta=0.1, threshold=0.5, n=40, answered=10, errors=0)
    assert passed.coverage == 0.25
    assert passed.model_copy(update={"threshold": None}).coverage is None
    assert passed.model_copy(update={"n": 0, "answered": 0}).coverage is None


# --- what was asked ------------------------------------------------------------------------------


def qa(**fields: Any) -> QuestionAnswer:
    return QuestionAnswer.model_validate({"question": "Q", "answer": "A", **fields})


def turn(role: str, content: str) -> Message:
    return Message.model_validate({"role": role, "content": content})


def test_a_question_alone_is_one_user_turn() -> None:
    assert qa().conversation() == (turn("user", "Q"),)


def test_the_question_follows_the_earlier_turns() -> None:
    earlier = (turn("system", "s"), turn("user", "u"), turn("assistant", "a"))
    assert qa(messages=earlier).conversation() == (*earlier, turn("user", "Q"))


def test_a_last_user_turn_wins_over_the_question() -> None:
    turns = (turn("assistant", "a"), turn("user", "u"))
    assert qa(messages=turns).conversation() == turns


def test_a_passage_stands_before_what_was_asked() -> None:
    assert qa(context="P").conversation() == (turn("user", "P\n\nQ"),)
    asked = (turn("system", "s"), turn("user", "u"))
    assert qa(context="P", messages=asked).conversation() == (
        turn("system", "s"),
        turn("user", "P\n\nu"),
    )
    assert qa(context="").conversation() == qa().conversation()


def test_answers_to_one_question_share_a_key_and_others_do_not() -> None:
    key = qa().question_key()
    assert qa(answer="B", id="9", model="m").question_key() == key
    assert qa(question="", messages=(turn("user", "Q"),)).question_key() == key
    for other in (qa(question="q"), qa(context="P"), qa(messages=(turn("system", "Q"),))):
        assert other.question_key() != key


@given(question=st.text(), context=st.text() | st.none())
def test_the_last_turn_is_always_the_users(question: str, context: str | None) -> None:
    asked = qa(question=question, context=context).conversation()[-1]
    assert asked.role == "user"
    assert asked.content.endswith(question)


def test_an_unchecked_record_is_the_checked_one() -> None:
    checked = qa(context="P", id="7", messages=(turn("user", "u"),), columns={"n": [1, None]})
    values = {name: getattr(checked, name) for name in QuestionAnswer.model_fields}
    made = unchecked(QuestionAnswer, values)
    assert made == checked
    assert repr(made) == repr(checked)
    assert made.model_dump_json() == checked.model_dump_json()
    changed = made.model_copy(update={"answer": "B"})
    assert (made.answer, changed.answer) == (checked.answer, "B")
    assert changed == checked.model_copy(update={"answer": "B"})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(made, "answer", "C")  # noqa: B010
