"""What the estimator reads of LangChain messages."""

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from ct_guard.errors import UsageError
from ct_guard.records import Message
from ct_guard_langchain.messages import question_answer, replace_answer, text_of

CALL = {"name": "add", "args": {"a": 2, "b": "ü"}, "id": "call-1"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}


def test_system_history_and_the_last_human_turn_are_the_conversation():
    qa = question_answer(
        [
            SystemMessage("Be short."),
            HumanMessage("What is 2 plus 2?"),
            AIMessage("4"),
            HumanMessage("And 3 plus 3?"),
        ],
        AIMessage("6"),
        model="small",
    )
    assert qa.conversation() == (
        Message(role="system", content="Be short."),
        Message(role="user", content="What is 2 plus 2?"),
        Message(role="assistant", content="4"),
        Message(role="user", content="And 3 plus 3?"),
    )
    assert (qa.answer, qa.model) == ("6", "small")


def test_tool_calls_and_results_are_turns_and_the_question_is_asked_again_behind_them():
    qa = question_answer(
        [
            HumanMessage("What is 2 plus 2?"),
            AIMessage("Let me see.", tool_calls=[CALL]),
            ToolMessage("4", tool_call_id="call-1"),
        ],
        AIMessage("4"),
    )
    assert [(turn.role, turn.content) for turn in qa.conversation()] == [
        ("user", "What is 2 plus 2?"),
        ("assistant", 'Let me see.\n{"name": "add", "args": {"a": 2, "b": "ü"}}'),
        ("tool", "4"),
        ("user", "What is 2 plus 2?"),
    ]


def test_an_answer_of_tool_calls_alone_is_their_json():
    assert (
        text_of(AIMessage("", tool_calls=[CALL])) == '{"name": "add", "args": {"a": 2, "b": "ü"}}'
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([], ""),
        (["one ", {"type": "text", "text": "two"}, {"text": " three"}], "one two three"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}], "4"),
        ([{"type": "reasoning", "reasoning": "hm"}, {"type": "tool_use", "name": "f"}], ""),
    ],
)
def test_text_parts_are_joined_and_thoughts_left_out(content, text):
    assert text_of(AIMessage(content)) == text


def test_a_chunk_reads_like_the_message_that_it_becomes():
    chunk = AIMessageChunk("4") + AIMessageChunk("2")
    assert question_answer([HumanMessage("?")], chunk).answer == "42"


@pytest.mark.parametrize(
    ("role", "known"), [("human", "user"), ("developer", "system"), ("AI", "assistant")]
)
def test_named_roles_are_understood(role, known):
    turns = question_answer([ChatMessage("hello", role=role), HumanMessage("?")]).messages
    assert turns[0].role == known


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (HumanMessage([{"type": "text", "text": "What is this?"}, IMAGE]), "image_url"),
        (ToolMessage([{"type": "image", "base64": "aaaa"}], tool_call_id="1"), "image"),
        (AIMessage([{"type": "audio", "base64": "aaaa"}]), "audio"),
        (ChatMessage("hello", role="narrator"), "narrator"),
        (RemoveMessage(id="1"), "remove"),
    ],
)
def test_what_is_not_text_is_named(message, named):
    with pytest.raises(UsageError, match=named):
        question_answer([message, HumanMessage("?")])


def test_a_replaced_answer_keeps_who_and_what_it_cost_but_nothing_that_was_said():
    said = AIMessage(
        "Calling.",
        id="message-1",
        tool_calls=[CALL],
        additional_kwargs={"tool_calls": [{"id": "call-1"}], "reasoning_content": "hm"},
        response_metadata={"model_name": "small"},
        usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    )
    now = replace_answer(said, "I don't know.")
    assert now == AIMessage(
        "I don't know.",
        id="message-1",
        response_metadata={"model_name": "small"},
        usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    )
    assert said.content == "Calling."
    assert said.tool_calls
