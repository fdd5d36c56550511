"""Questions as they stand in rows."""

from typing import Any

import pytest

from ct_guard.datasets import Question, question_of
from ct_guard.files import Rejected, Row


def read(gold_column: str = "gold", **fields: Any) -> Question:
    question = question_of(Row(3, fields, None, "q.jsonl, line 3"), gold=gold_column)
    assert isinstance(question, Question), question
    return question


def rejection(**fields: Any) -> str:
    rejected = question_of(Row(3, fields, None, "q.jsonl, line 3"))
    assert isinstance(rejected, Rejected)
    assert rejected.message.startswith("q.jsonl, line 3: ")
    return rejected.message


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ("Paris", ("Paris",)),
        (12, ("12",)),
        (["a", "b"], ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ("[1, 2]", ("[1, 2]",)),
        ("[oops", ("[oops",)),
        (["a", None, ""], ("a",)),
    ],
)
def test_one_gold_answer_or_several(gold: Any, expected: tuple[str, ...]) -> None:
    assert read(question="Which?", gold=gold).gold == expected


@pytest.mark.parametrize("gold", [None, "", [], "[]"])
def test_a_question_without_gold_is_rejected(gold: Any) -> None:
    assert "'gold'" in rejection(question="Which?", gold=gold)


@pytest.mark.parametrize("gold", [{"a": 1}, [["a"]], True])
def test_gold_of_another_kind_is_rejected(gold: Any) -> None:
    assert "'gold' must be text or a number" in rejection(question="Which?", gold=gold)


def test_a_row_without_a_question_is_rejected() -> None:
    assert "'question' is missing" in rejection(gold="x")


def test_the_gold_column_can_have_any_name() -> None:
    question = read("answer", question="Which?", answer="x", answers=["y"])
    assert question.gold == ("x",)
    assert question.given == ("y",)
    assert read("answers", question="Which?", answers=["x", "y"], answer="z").given == ("z",)


def test_choices_are_asked_with_the_question_unless_it_holds_them() -> None:
    listed = "Which?\n\nChoices:\n  (a): Rome\n  (b): Paris"
    question = read(question="Which?", gold="b", choices=["Rome", "Paris"])
    assert question.text == question.turns[-1].content == listed
    assert read(question=listed, gold="b", choices=["Rome", "Paris"]).text == listed
    assert "26 choices" in rejection(question="?", gold="a", choices=[str(n) for n in range(30)])


def test_context_and_earlier_turns_are_asked_too() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    question = read(question="Which?", gold="x", context="A passage.", messages=turns)
    assert [turn.content for turn in question.turns] == ["Hi", "Hello", "A passage.\n\nWhich?"]
    assert question.text == "Which?"
    asked = read(gold="x", messages=turns[:1])
    assert asked.text == asked.turns[-1].content == "Hi"


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({}, ()),
        ({"answer": None}, ("",)),
        ({"answer": ""}, ("",)),
        ({"answer": 12}, ("12",)),
        ({"answers": ["a", "b"], "answer": "c"}, ("a", "b")),
        ({"answers": [], "answer": "c"}, ("c",)),
    ],
)
def test_answers_of_the_row(fields: dict[str, Any], given: tuple[str, ...]) -> None:
    assert read(question="Which?", gold="x", **fields).given == given
