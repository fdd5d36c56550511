"""From fields to records: what is accepted, and what is said of the rest."""

import math
from typing import Any

import pytest

from ct_guard.files import Rejected, Row, Told, correct_of, question_answer, texts_of, told_by
from ct_guard.records import Message, QuestionAnswer


def row(**fields: Any) -> Row:
    return Row(3, fields, None, "in.jsonl, line 3")


def parsed(**fields: Any) -> QuestionAnswer:
    qa = question_answer(row(**fields))
    assert isinstance(qa, QuestionAnswer), qa
    return qa


def rejected(**fields: Any) -> Rejected:
    refusal = question_answer(row(**fields))
    assert isinstance(refusal, Rejected), refusal
    return refusal


def test_all_columns() -> None:
    qa = parsed(question="q", answer="a", id=7, context="c", model="m", other=[1])
    assert qa == QuestionAnswer(question="q", answer="a", id="7", context="c", model="m")


def test_empty_text_in_optional_columns_means_absent() -> None:
    qa = parsed(question="q", answer="a", id="", context="", model="", messages="", correct="")
    assert qa == QuestionAnswer(question="q", answer="a")


@pytest.mark.parametrize(("answer", "text"), [(None, ""), (42, "42"), (0, "0"), (0.5, "0.5")])
def test_answers_that_are_no_text(answer: Any, text: str) -> None:
    assert parsed(question="q", answer=answer).answer == text


@pytest.mark.parametrize("question", [{}, {"question": None}, {"question": ""}])
def test_messages_that_end_in_a_user_turn_need_no_question(question: dict[str, Any]) -> None:
    messages = [{"role": "ai", "content": "Hi"}, {"role": "human", "content": "2+2?"}]
    qa = parsed(answer="4", messages=messages, **question)
    assert qa.messages == (
        Message(role="assistant", content="Hi"),
        Message(role="user", content="2+2?"),
    )
    assert qa.question == ""


def test_messages_may_be_json_text() -> None:
    qa = parsed(answer="4", messages='[{"role": "user", "content": "2+2?"}]')
    assert qa.messages == (Message(role="user", content="2+2?"),)


@pytest.mark.parametrize("blank", ["  ", "\t\n", "\u200b", "\ufeff \u2060", "\x00"])
def test_text_that_shows_nothing_means_absent(blank: str) -> None:
    qa = parsed(question="?", answer=blank, context=blank, model=blank, id=blank)
    assert qa == QuestionAnswer(question="?", answer="")
    assert "field 'question' is empty" in rejected(question=blank, answer="4").message
    assert "field 'question' is missing" in rejected(answer="4").message
    told = told_by(row(question=blank, answer="4"))
    assert isinstance(told, Rejected)


@pytest.mark.parametrize("sign", [".", "\ue000", "\U0001fae9", "\u0301"])
def test_a_single_sign_is_an_answer(sign: str) -> None:
    assert parsed(question=sign, answer=sign).answer == sign


def test_text_parts_are_joined_and_a_null_content_is_empty() -> None:
    parts = [{"type": "text", "text": "2+"}, "2", {"type": "text", "text": "?"}]
    messages = [{"role": "assistant", "content": None}, {"role": "user", "content": parts}]
    assert [m.content for m in parsed(answer="4", messages=messages).messages] == ["", "2+2?"]


@pytest.mark.parametrize("kind", ["image_url", "input_audio"])
def test_a_part_that_is_not_text_is_unsupported_rather_than_invalid(kind: str) -> None:
    part = {"type": kind, kind: "…"}
    refusal = rejected(answer="a", messages=[{"role": "user", "content": [part]}])
    assert refusal.status == "unsupported"
    assert refusal.message == (
        f"in.jsonl, line 3: field 'messages[0].content[0]' is of type '{kind}'; only text is scored"
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"answer": "a"}, "question"),
        ({"question": None, "answer": "a"}, "question"),
        ({"question": 5, "answer": "a"}, "question"),
        ({"question": "q"}, "answer"),
        ({"question": "q", "answer": True}, "answer"),
        ({"question": "q", "answer": ["a"]}, "answer"),
        ({"question": "q", "answer": "a", "id": True}, "id"),
        ({"question": "q", "answer": "a", "context": ["c"]}, "context"),
        ({"question": "q", "answer": "a", "model": 4}, "model"),
        ({"question": "q", "answer": "a", "messages": "{not json"}, "messages"),
        ({"question": "q", "answer": "a", "messages": {"role": "user"}}, "messages"),
        ({"question": "q", "answer": "a", "messages": ["hi"]}, "messages[0]"),
        ({"question": "q", "answer": "a", "messages": [{"role": "bot"}]}, "messages[0].role"),
        ({"question": "q", "answer": "a", "messages": [{"role": "user"}]}, "messages[0].content"),
        (
            {"answer": "a", "messages": [{"role": "user", "content": [{}]}]},
            "messages[0].content[0]",
        ),
        (
            {"answer": "a", "messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        ({"answer": "a", "messages": [{"role": "ai", "content": "x"}]}, "question"),
    ],
)
def test_what_is_missing_or_of_the_wrong_type_is_named(fields: dict[str, Any], field: str) -> None:
    refusal = rejected(**fields)
    assert refusal.status == "invalid"
    assert refusal.message.startswith(f"in.jsonl, line 3: field '{field}' ")


def test_a_lone_surrogate_becomes_a_control_character_that_cleaning_reports() -> None:
    assert parsed(question="q", answer="cut \ud83d").answer == "cut \x1a"


@pytest.mark.parametrize(
    ("value", "correct"),
    [
        *(
            (v, True)
            for v in (True, 1, 1.0, "true", "TRUE", " True ", "1", "1.0", "1.00", "1e0", "correct")
        ),
        *(
            (v, False)
            for v in (False, 0, 0.0, "false", "False", "0", "0.0", "-0", "0E-10", "Incorrect")
        ),
        *((v, None) for v in (None, "", math.nan, "nan", " ", "None", "null", "N/A", "NA", "<NA>")),
    ],
)
def test_correct_in_its_spellings(value: Any, correct: bool | None) -> None:
    assert correct_of(row(correct=value)) is correct


def test_correct_may_be_absent() -> None:
    assert correct_of(row()) is None


@pytest.mark.parametrize(
    "value", [2, -1, 0.5, "yes", "Y", "richtig", "1.1", "1,0", "inf", 10**400, [1], {}]
)
def test_any_other_correct_is_an_error(value: Any) -> None:
    refusal = correct_of(row(correct=value))
    assert isinstance(refusal, Rejected)
    assert "in.jsonl, line 3: field 'correct' must be true or false" in refusal.message


def test_an_unreadable_row_keeps_its_error() -> None:
    bad = Row(3, {"raw": "oops"}, "in.jsonl, line 3: is not JSON", "in.jsonl, line 3")
    expected = Rejected("invalid", "in.jsonl, line 3: is not JSON")
    assert question_answer(bad) == correct_of(bad) == expected


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ("a", ("a",)),
        (7, ("7",)),
        (["a", 7, None, ""], ("a", "7")),
        ('["a", "b"]', ("a", "b")),
        (' ["a"]', ("a",)),
        ("[1, 2]", ("[1, 2]",)),
        ("[a]", ("[a]",)),
        ("[" * 100_000, ("[" * 100_000,)),
    ],
)
def test_a_field_holds_one_text_or_several(value: Any, texts: tuple[str, ...]) -> None:
    assert texts_of(row(gold=value), "gold") == texts
    assert texts_of(row(), "gold") == ()


@pytest.mark.parametrize("value", [True, {"a": 1}, [["a"]], [{}]])
def test_what_is_no_text_in_it_is_named(value: Any) -> None:
    refusal = texts_of(row(gold=value), "gold")
    assert isinstance(refusal, Rejected)
    assert refusal.message.startswith("in.jsonl, line 3: field 'gold' must be text or a number")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ([], None),
        ([-0.5, 0], (-0.5, 0.0)),
        ("[-0.5, -1]", (-0.5, -1.0)),
    ],
)
def test_log_probabilities_are_a_list_or_its_json(value: Any, expected: Any) -> None:
    item = question_answer(row(question="q", answer="a", logprobs=value))
    assert not isinstance(item, Rejected)
    assert item.logprobs == expected


@pytest.mark.parametrize(
    "value",
    [
        *(-1.0, "x", "{}", [0.5], ["-1"], [True], [None], {"text": []}, {"content": 5}),
        *({"token_logprobs": 5}, {"token_logprobs": {"a": -1}}, '{"token_logprobs": true}'),
    ],
)
def test_other_log_probabilities_are_refused_by_name(value: Any) -> None:
    refusal = question_answer(row(question="q", answer="a", logprobs=value))
    assert isinstance(refusal, Rejected)
    assert refusal.message.startswith("in.jsonl, line 3: field 'logprobs' ")


@pytest.mark.parametrize(
    "fields",
    [
        {"question": "q?", "answer": "a", "id": 7, "model": "m", "logprobs": [-0.5]},
        {"question": "q?", "answer": 12, "context": "passage"},
        {"question": "q?", "answer": None, "messages": None},
        {"question": "q?", "answer": "a", "messages": [{"role": "system", "content": "be brief"}]},
        {"messages": [{"role": "user", "content": "q?"}], "answer": "a"},
    ],
)
def test_what_is_told_in_short_is_what_the_record_says(fields: dict[str, Any]) -> None:
    one = row(**fields)
    item, told = question_answer(one), told_by(one)
    assert isinstance(item, QuestionAnswer)
    assert isinstance(told, Told)
    assert (told.key, told.asked) == (item.question_key(), item.asked())
    assert told[2:] == (item.answer, item.id, item.model, item.logprobs)


@pytest.mark.parametrize(
    "fields",
    [
        {"question": 5, "answer": "a"},
        {"answer": "a"},
        {"question": "q?"},
        {"question": "q?", "answer": ["a"]},
        {"question": "q?", "answer": "a", "logprobs": "high"},
        {"question": "q?", "answer": "a", "messages": {}},
        {"question": "q?", "answer": "a", "messages": 0},
        {"question": "q?", "answer": "a", "messages": False},
    ],
)
def test_what_cannot_be_read_is_refused_alike_in_short(fields: dict[str, Any]) -> None:
    one = row(**fields)
    assert told_by(one) == question_answer(one)
