"""What the estimator reads of LangChain messages."""

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from ct_guard.errors import UsageError
from ct_guard.records import Message
from ct_guard_langchain.delivery import replace_answer
from ct_guard_langchain.messages import (
    question_answer,
    render_call,
    text_of,
    turn_of,
)

CALL = {"name": "add", "args": {"a": 2, "b": "ü"}, "id": "call-1"}
HUMAN = HumanMessage("?")
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}


def conversation(*messages: BaseMessage) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in question_answer(messages).conversation()]


def test_system_history_and_the_last_human_turn_are_the_question() -> None:
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
    assert (qa.answer, qa.model, qa.group) == ("6", "small", None)


def test_a_follow_up_is_another_question_than_the_same_words_alone() -> None:
    follow_up = HumanMessage("And 3 plus 3?")
    alone = question_answer([follow_up])
    after = question_answer([HumanMessage("What is 2 plus 2?"), AIMessage("4"), follow_up])
    assert alone.question_key() != after.question_key()


def test_tool_results_stand_in_front_of_the_question_that_they_were_made_for() -> None:
    assert conversation(
        HumanMessage("What is 2 plus 2?"),
        AIMessage("Let me see.", tool_calls=[CALL, {**CALL, "name": "mul", "id": "call-2"}]),
        ToolMessage("8", tool_call_id="call-2"),
        ToolMessage("4", tool_call_id="call-1"),
    ) == [
        (
            "user",
            'Let me see.\nadd({"a": 2, "b": "ü"}) -> 4\nmul({"a": 2, "b": "ü"}) -> 8\n\n'
            "What is 2 plus 2?",
        ),
    ]


def test_tool_results_of_earlier_turns_stay_with_those_turns() -> None:
    assert conversation(
        HumanMessage("What is 2 plus 2?"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("4", tool_call_id="call-1"),
        AIMessage("It is 4."),
        HumanMessage("And 3 plus 3?"),
    ) == [
        ("user", 'add({"a": 2, "b": "ü"}) -> 4\n\nWhat is 2 plus 2?'),
        ("assistant", "It is 4."),
        ("user", "And 3 plus 3?"),
    ]


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([], [("user", "")]),
        ([SystemMessage("Say hello.")], [("user", "Say hello.")]),
        ([AIMessage("Hello!"), HumanMessage("?")], [("assistant", "Hello!"), ("user", "?")]),
        ([HumanMessage("One."), HumanMessage("Two?")], [("user", "One.\n\nTwo?")]),
        ([HumanMessage("?"), AIMessage("Let me think.")], [("user", "Let me think.\n\n?")]),
        (
            [SystemMessage("Short."), HumanMessage("?"), SystemMessage("In French.")],
            [("system", "Short.\n\nIn French."), ("user", "?")],
        ),
        (
            [ToolMessage("4", tool_call_id="lost", name="add"), HumanMessage("?")],
            [("user", "add -> 4\n\n?")],
        ),
    ],
    ids=[
        "nothing",
        "the system asks",
        "a greeting",
        "two human messages",
        "a reply cut short",
        "late instructions",
        "a result without its call",
    ],
)
def test_unusual_conversations_still_alternate_and_end_in_what_was_asked(
    messages: list[Any], turns: list[tuple[str, ...]]
) -> None:
    assert conversation(*messages) == turns


def test_a_tool_call_turn_is_the_rendered_call_and_of_its_own_group() -> None:
    call = {"name": "add", "args": {"b": "ü", "a": 2}, "id": "call-1"}
    answer = AIMessage("Adding.", tool_calls=[call])
    qa = question_answer([HumanMessage("?")], answer)
    assert qa.answer == 'Adding.\nadd({"a": 2, "b": "ü"})'
    assert qa.group == "tool_call"
    assert turn_of(answer) == "tool_call"


def test_equal_calls_read_the_same_in_any_order_of_arguments() -> None:
    args = {"z": [1, {"y": None, "x": True}], "a": "text"}
    turned = {"a": "text", "z": [1, {"x": True, "y": None}]}
    rendered = 'f({"a": "text", "z": [1, {"x": true, "y": null}]})'
    assert render_call({"name": "f", "args": args}) == rendered
    assert render_call({"name": "f", "args": turned}) == rendered


def test_a_call_that_is_not_valid_json_is_kept_as_the_model_wrote_it() -> None:
    broken = {"name": "add", "args": '{"a": 2', "id": "call-1", "error": "cut"}
    answer = AIMessage("", invalid_tool_calls=[broken])
    assert (text_of(answer), turn_of(answer)) == ('add({"a": 2)', "tool_call")


def test_a_structured_answer_is_its_json_and_no_tool_call() -> None:
    call = {"name": "Person", "args": {"name": "Ada", "age": 36}, "id": "call-1"}
    answer = AIMessage("Here:", tool_calls=[call])
    qa = question_answer([HumanMessage("Who?")], answer, schemas=["Person"])
    assert (qa.answer, qa.group) == ('{"age": 36, "name": "Ada"}', None)
    assert turn_of(answer, ["Person"]) == "answer"
    assert turn_of(answer, ["Company"]) == "tool_call"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([], ""),
        (["one ", {"type": "text", "text": "two"}, {"text": " three"}], "one two three"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}], "4"),
        ([{"type": "reasoning", "reasoning": "hm"}, {"type": "tool_use", "name": "f"}], ""),
        ([{"type": "reasoning_content", "reasoning_content": {"text": "hm"}}, "4"], "4"),
        ([{"type": "text", "text": "hm", "thought": True}, {"type": "text", "text": "4"}], "4"),
        ([{"type": "refusal", "refusal": "I can't help with that."}], "I can't help with that."),
        ([{"type": "non_standard", "value": {"type": "redacted_thinking"}}], ""),
    ],
)
def test_text_parts_are_joined_and_thoughts_left_out(content: Any, text: str) -> None:
    assert text_of(AIMessage(content)) == text


def test_a_refusal_that_the_provider_reports_apart_is_what_was_said() -> None:
    said = AIMessage("", additional_kwargs={"refusal": "I can't help with that."})
    assert text_of(said) == "I can't help with that."


def test_v1_content_reads_like_the_plain_text() -> None:
    call: Any = {"type": "tool_call", "name": "add", "args": {"a": 2}, "id": "call-1"}
    blocks: list[Any] = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "4"}]
    assert text_of(AIMessage(content_blocks=blocks)) == "4"
    assert text_of(AIMessage(content_blocks=[*blocks, call])) == '4\nadd({"a": 2})'


def test_a_chunk_reads_like_the_message_that_it_becomes() -> None:
    chunk = AIMessageChunk(content="4") + AIMessageChunk(content="2")
    assert question_answer([HumanMessage("?")], chunk).answer == "42"


@pytest.mark.parametrize(
    ("role", "known"), [("human", "user"), ("developer", "system"), ("AI", "assistant")]
)
def test_named_roles_are_understood(role: str, known: str) -> None:
    turns = question_answer([ChatMessage(content="hello", role=role), HumanMessage("?")]).messages
    assert turns[0].role == known


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (HumanMessage([{"type": "text", "text": "What is this?"}, IMAGE]), "image_url"),
        (ToolMessage([{"type": "image", "base64": "aaaa"}], tool_call_id="1"), "image"),
        (AIMessage([{"type": "audio", "base64": "aaaa"}]), "audio"),
        (HumanMessage([{"type": "file", "base64": "aaaa"}]), "file"),
        (AIMessage([{"type": "non_standard", "value": {"type": "hologram"}}]), "hologram"),
        (ChatMessage(content="hello", role="narrator"), "narrator"),
        (RemoveMessage(id="1"), "remove"),
    ],
)
def test_what_is_not_text_is_named(message: Any, named: str) -> None:
    said = isinstance(message, AIMessage)
    asked, answer = ([HUMAN], message) if said else ([message, HUMAN], None)
    with pytest.raises(UsageError, match=named):
        question_answer(asked, answer)


def test_what_is_not_text_in_an_earlier_turn_is_a_word_in_brackets() -> None:
    """Only what is asked now has to be read: an image that was talked about before does not make
    every later answer unreadable."""
    asked = HumanMessage([{"type": "text", "text": "What is this? "}, IMAGE])
    turns = question_answer([asked, AIMessage("A cat."), HUMAN]).conversation()
    assert [turn.content for turn in turns] == ["What is this? [image_url]", "A cat.", "?"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>Seven and five.</think>\n\n12", "12"),
        ("<think>\n\n</think>\n\n12", "12"),
        ("Seven and five.</think>12", "12"),
        ("<thinking>a</thinking>b<thinking>c</thinking>", "b"),
        ("<think>It is 12, or", ""),
        ("[THINK]Seven and five.[/THINK]12", "12"),
        ("analysisSeven and five.assistantfinal12", "12"),
        ("I think so: 12 < 13", "I think so: 12 < 13"),
        ("`<think>` and `</think>` mark it", "`<think>` and `</think>` mark it"),
    ],
)
def test_thoughts_in_the_text_are_no_part_of_the_answer(text: str, said: str) -> None:
    assert question_answer([HUMAN], AIMessage(text)).answer == said
    assert text_of(HumanMessage(text)) == text


def test_a_replaced_answer_keeps_who_and_what_it_cost_but_nothing_that_was_said() -> None:
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
