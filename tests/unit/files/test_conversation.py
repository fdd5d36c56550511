"""Calls of tools in `messages`: read as text, whoever wrote them, and as LangChain's are."""

import json
from typing import Any

import pytest

from ct_guard.files import Rejected, Row, question_answer
from ct_guard.records import Message, QuestionAnswer

ASKED = {"role": "user", "content": "How many legs have 3 spiders?"}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "24"}
CALL = 'multiply({"a": 3, "b": 8})'


def parsed(**fields: Any) -> QuestionAnswer:
    found = question_answer(Row(1, fields, None, "in.jsonl, line 1"))
    assert isinstance(found, QuestionAnswer), found
    return found


def refused(**fields: Any) -> Rejected:
    found = question_answer(Row(1, fields, None, "in.jsonl, line 1"))
    assert isinstance(found, Rejected), found
    return found


def calling(name: str = "multiply", arguments: Any = '{"b":8,"a":3}') -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    call = {"id": "c1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


WRITTEN = {
    "openai": [calling(), RESULT],
    "langchain": [
        {
            "role": "ai",
            "content": "",
            "tool_calls": [{"name": "multiply", "args": {"b": 8, "a": 3}, "id": "c1"}],
        },
        RESULT,
    ],
    "anthropic": [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Eight legs each."},
                {"type": "tool_use", "id": "c1", "name": "multiply", "input": {"b": 8, "a": 3}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "24"}],
        },
    ],
    "older": [
        {"role": "assistant", "function_call": {"name": "multiply", "arguments": '{"b":8,"a":3}'}},
        {"role": "function", "content": "24"},
    ],
    "responses": [
        {"type": "reasoning", "summary": []},
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "multiply",
            "arguments": '{"b":8,"a":3}',
        },
        {"type": "function_call_output", "call_id": "c1", "output": "24"},
    ],
    "gemini": [
        {
            "role": "model",
            "parts": [{"functionCall": {"name": "multiply", "args": {"b": 8, "a": 3}}}],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "multiply", "response": 24}}],
        },
    ],
    "gemini in Python": [
        {
            "role": "model",
            "parts": [{"function_call": {"name": "multiply", "args": {"b": 8, "a": 3}}}],
        },
        {
            "role": "tool",
            "parts": [{"function_response": {"name": "multiply", "response": 24}}],
        },
    ],
    "bedrock": [
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "c1", "name": "multiply", "input": {"b": 8, "a": 3}}}
            ],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "c1", "content": [{"json": 24}]}}],
        },
    ],
    "ollama": [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "multiply", "arguments": {"b": 8, "a": 3}}}],
        },
        {"role": "tool", "tool_name": "multiply", "content": "24"},
    ],
    "inspect": [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": "multiply", "arguments": {"b": 8, "a": 3}}],
        },
        RESULT,
    ],
    "langchain with the provider's": [
        {
            "type": "ai",
            "content": "",
            "additional_kwargs": {"tool_calls": calling()["tool_calls"]},
            "tool_calls": [],
        },
        {"type": "tool", "tool_call_id": "c1", "content": "24"},
    ],
    "result before its call": [RESULT, calling()],
}


@pytest.mark.parametrize("work", WRITTEN.values(), ids=WRITTEN)
def test_a_call_and_its_result_stand_before_what_was_asked(work: list[dict[str, Any]]) -> None:
    qa = parsed(messages=[ASKED, *work], answer="24")
    assert qa.messages == (
        Message(role="user", content=f"{CALL} -> 24\n\nHow many legs have 3 spiders?"),
    )


def test_a_file_is_read_as_the_same_conversation_in_langchain() -> None:
    from langchain_core.messages import convert_to_messages

    from ct_guard_langchain.messages import question_answer as of_langchain

    turns = [
        {"role": "system", "content": "Be brief."},
        ASKED,
        calling(),
        RESULT,
        {"role": "assistant", "content": "24 legs."},
        {"role": "user", "content": "And 4?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": calling()["tool_calls"]},
        {"role": "tool", "tool_call_id": "c1", "content": "32"},
    ]
    assert (
        parsed(messages=turns, answer="32").messages
        == of_langchain(convert_to_messages(json.loads(json.dumps(turns)))).messages
    )


def test_other_calls_are_another_conversation() -> None:
    def of(work: dict[str, Any]) -> tuple[Message, ...]:
        return parsed(messages=[ASKED, work, RESULT], answer="24").messages

    assert of(calling()) != of(calling("add"))
    assert of(calling()) != of(calling(arguments='{"a":3,"b":9}'))
    assert of(calling()) == of(calling(arguments={"a": 3, "b": 8}))
    assert "multiply(no JSON)" in of(calling(arguments="no JSON"))[0].content


def test_a_call_without_a_result_and_a_result_without_a_call_are_kept() -> None:
    turns = [ASKED, calling(), {"role": "tool", "name": "look_up", "content": "8 legs"}]
    assert (
        parsed(messages=turns, answer="24")
        .messages[0]
        .content.startswith(f"{CALL}\nlook_up -> 8 legs\n\n")
    )


@pytest.mark.parametrize(
    ("question", "content"),
    [
        ("How many legs have 3 spiders?", f"{CALL} -> 24\n\nHow many legs have 3 spiders?"),
        ("Sure?", f"{CALL} -> 24\n\nHow many legs have 3 spiders?\n\nSure?"),
    ],
)
def test_a_question_beside_a_trace_is_asked_once(question: str, content: str) -> None:
    qa = parsed(question=question, messages=[ASKED, calling(), RESULT], answer="24")
    assert qa.conversation()[-1].content == content


def test_without_an_answer_the_last_turn_is_judged() -> None:
    turns = [ASKED, calling(), RESULT, {"role": "assistant", "content": "24"}]
    qa = parsed(messages=turns)
    assert (qa.answer, qa.messages) == ("24", parsed(messages=turns[:-1], answer="24").messages)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [ASKED]},
        {"messages": [ASKED, calling()]},
        {"question": "q", "messages": [ASKED, {"role": "assistant", "content": "24"}]},
        {"question": "q"},
    ],
)
def test_where_nothing_is_to_be_judged_the_answer_is_what_is_missing(
    fields: dict[str, Any],
) -> None:
    assert "field 'answer' is missing" in refused(**fields).message


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
def test_text_parts_of_every_chat_api_are_text(kind: str) -> None:
    asked = {"role": "user", "content": [{"type": kind, "text": "2+2?"}]}
    assert parsed(messages=[asked], answer="4").messages[0].content == "2+2?"


@pytest.mark.parametrize(
    "thought",
    [
        {"type": "thinking", "thinking": "25?"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "25?"}]},
        {"type": "reasoning", "text": "25?"},
        {"type": "text", "text": "25?", "thought": True},
    ],
)
def test_thoughts_among_the_parts_of_a_turn_are_not_said(thought: dict[str, Any]) -> None:
    said = {"role": "assistant", "content": [thought, {"type": "text", "text": "24"}]}
    assert parsed(messages=[ASKED, said]).answer == "24"


def test_a_refusal_beside_the_content_is_the_answer() -> None:
    said = {"role": "assistant", "content": None, "refusal": "I cannot say."}
    assert parsed(messages=[ASKED, said]).answer == "I cannot say."


@pytest.mark.parametrize("calls", ["multiply", [7], [{"id": "c1"}], [{"function": "multiply"}]])
def test_a_call_that_is_none_is_named(calls: Any) -> None:
    turn = {"role": "assistant", "content": "", "tool_calls": calls}
    assert "field 'messages[1].tool_calls' must" in refused(messages=[ASKED, turn]).message


def test_arguments_that_name_one_thing_twice_stay_as_they_are_written() -> None:
    twice = '{"a": 1, "a": 2}'
    item = parsed(messages=[ASKED, calling(arguments=twice)], answer="1")
    assert f"multiply({twice})" in item.asked()


def test_arguments_that_no_json_can_be_written_of_are_refused_by_name() -> None:
    refusal = refused(messages=[ASKED, calling(arguments=nested(100_000))], answer="1")
    assert "'messages[1].tool_calls' must hold calls" in refusal.message


def test_messages_in_a_cell_that_name_one_thing_twice_are_refused() -> None:
    cell = '[{"role": "user", "content": "a", "content": "b"}]'
    assert "'content' stands twice" in refused(messages=cell, answer="1").message


STORED = {
    "dumped": lambda kind, content: {"type": kind, "content": content, "response_metadata": {}},
    "message_to_dict": lambda kind, content: {
        "type": kind, "data": {"content": content, "type": kind}
    },
    "dumps": lambda kind, content: {
        "lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "…"],
        "kwargs": {"content": content, "type": kind},
    },
}  # fmt: skip


@pytest.mark.parametrize("form", STORED)
@pytest.mark.parametrize("said", ["ai", "AIMessageChunk"])
def test_messages_as_langchain_stores_them(form: str, said: str) -> None:
    write = STORED[form]
    messages = [write("system", "Be short."), write("human", "2 plus 2?"), write(said, "4")]
    read = parsed(messages=messages)
    assert read.answer == "4"
    assert read.messages == (
        Message(role="system", content="Be short."),
        Message(role="user", content="2 plus 2?"),
    )


def test_calls_in_messages_as_langchain_stores_them() -> None:
    call = {"name": "multiply", "args": {"b": 8, "a": 3}, "id": "c1", "type": "tool_call"}
    calls = {"type": "ai", "data": {"type": "ai", "content": "", "tool_calls": [call]}}
    result = {"type": "tool", "data": {"type": "tool", "content": "24", "tool_call_id": "c1"}}
    read = parsed(messages=[ASKED, calls, result], answer="24")
    assert read.messages[-1].content == f"{CALL} -> 24\n\n{ASKED['content']}"


def test_a_part_that_is_no_message_is_refused_all_the_same() -> None:
    for message in (
        {"type": "human"},
        {"type": "robot", "content": "?"},
        {"data": {"content": ""}},
    ):
        assert "role" in refused(messages=[message], answer="4").message


def test_what_a_custom_tool_is_given_is_text() -> None:
    call = {"id": "c1", "type": "custom", "custom": {"name": "run", "input": "ls"}}
    qa = parsed(answer="24", messages=[ASKED, {"role": "assistant", "tool_calls": [call]}, RESULT])
    assert qa.messages[-1].content == f"run(ls) -> 24\n\n{ASKED['content']}"


@pytest.mark.parametrize("given", [0, False, [], "0", "false"])
def test_arguments_that_are_no_object_are_kept(given: Any) -> None:
    qa = parsed(answer="24", messages=[ASKED, calling(arguments=given)])
    shown = given if isinstance(given, str) else json.dumps(given)
    assert qa.messages[-1].content == f"multiply({shown})\n\n{ASKED['content']}"


@pytest.mark.parametrize("named", [True, False])
def test_parallel_calls_without_ids_get_their_own_results(named: bool) -> None:
    calls = [{"function": {"name": name, "arguments": "{}"}} for name in ("first", "second")]
    results = [
        {"role": "tool", "content": text, **({"name": name} if named else {})}
        for name, text in (("first", "1"), ("second", "2"))
    ]
    turns = [ASKED, {"role": "assistant", "tool_calls": calls}]
    said = "first({}) -> 1\nsecond({}) -> 2"
    for order in (results, results[::-1] if named else results):
        qa = parsed(answer="24", messages=[*turns, *order])
        assert qa.messages[-1].content == f"{said}\n\n{ASKED['content']}"


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "USER", "content": "Hi"},
        {"role": "user", "content": [{"text": "Hi"}]},
        {"role": "user", "parts": [{"text": "H"}, {"text": "i"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    ],
)
def test_turns_as_apis_write_them(turn: dict[str, Any]) -> None:
    assert parsed(answer="a", messages=[turn]).messages == (Message(role="user", content="Hi"),)


@pytest.mark.parametrize("question", [None, ASKED["content"]])
def test_the_answer_at_the_end_of_its_conversation_is_not_read_before_itself(
    question: str | None,
) -> None:
    turns = [ASKED, {"role": "assistant", "content": "24\n"}]
    qa = parsed(question=question, answer="24", messages=turns)
    assert qa.messages == (Message(role="user", content=ASKED["content"]),)


def test_the_same_answer_to_another_question_was_said_before() -> None:
    turns = [ASKED, {"role": "assistant", "content": "24"}]
    qa = parsed(question="And 12 cats, halved?", answer="24", messages=turns)
    assert [message.content for message in qa.messages] == [ASKED["content"], "24"]


def test_a_list_as_python_writes_it_is_refused_with_the_way_out() -> None:
    refusal = refused(answer="24", messages=str([ASKED]))
    assert "write it with json.dumps" in refusal.message
