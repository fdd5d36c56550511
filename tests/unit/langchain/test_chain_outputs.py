"""What chains are given and return, as messages, and back."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    message_to_dict,
)
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langgraph.types import GraphOutput, Interrupt
from pydantic import BaseModel

from ct_guard.errors import UsageError
from ct_guard_langchain.envelopes import is_paused, messages_in
from ct_guard_langchain.guarding import joined
from ct_guard_langchain.outputs import (
    answer_of,
    asked_of,
)
from ct_guard_langchain.replacing import with_answer


class Person(BaseModel):
    name: str
    age: int


class Colour(Enum):
    RED = "red"


@dataclass
class Pet:
    name: str
    owner: Person | None = None


ADA = Person(name="Ada", age=36)
CALL = AIMessage("", tool_calls=[{"name": "Person", "args": {"name": "Ada"}, "id": "1"}])
SYSTEM, HUMAN = SystemMessage("Be short."), HumanMessage("2 plus 2?")


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("2 plus 2?", [HUMAN]),
        (HUMAN, [HUMAN]),
        ([SYSTEM, HUMAN], [SYSTEM, HUMAN]),
        ([("system", "Be short."), {"role": "user", "content": "2 plus 2?"}], [SYSTEM, HUMAN]),
        (ChatPromptValue(messages=[SYSTEM, HUMAN]), [SYSTEM, HUMAN]),
        (StringPromptValue(text="2 plus 2?"), [HUMAN]),
        ({"messages": [SYSTEM, HUMAN], "question": "other"}, [SYSTEM, HUMAN]),
        ({"question": "2 plus 2?", "docs": []}, [HUMAN]),
        ({"input": {"question": "2 plus 2?"}}, [HUMAN]),
        ([message_to_dict(SYSTEM), dumpd(HUMAN)], [SYSTEM, HUMAN]),
    ],
)
def test_what_was_asked(value: Any, asked: list[Any]) -> None:
    assert asked_of(value) == asked


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"topic": "cats", "n": 3}, "none of the keys 'topic', 'n'"),
        (4, "int is no question"),
        (None, "NoneType is no question"),
    ],
)
def test_what_is_no_question_says_what_to_give(value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        asked_of(value)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("4", "4"),
        (AIMessage("4"), "4"),
        ([HUMAN, AIMessage("3"), AIMessage("4"), HUMAN], "4"),
        ([HUMAN], ""),
        ({"messages": [HUMAN, AIMessage("4")], "other": 1}, "4"),
        (ADA, '{"age": 36, "name": "Ada"}'),
        ({"name": "Ada", "age": 36}, '{"age": 36, "name": "Ada"}'),
        ({"raw": CALL, "parsed": ADA, "parsing_error": None}, '{"age": 36, "name": "Ada"}'),
        ({"raw": AIMessage("no"), "parsed": None, "parsing_error": ValueError()}, "no"),
        (["a", "b"], '["a", "b"]'),
        (4.5, "4.5"),
        (True, "true"),
        (None, ""),
        (Pet("Rex", ADA), '{"name": "Rex", "owner": {"age": 36, "name": "Ada"}}'),
        ([ADA], '[{"age": 36, "name": "Ada"}]'),
        (
            {"who": ADA, "colour": Colour.RED},
            '{"colour": "red", "who": {"age": 36, "name": "Ada"}}',
        ),
        (Colour.RED, '"red"'),
        ([HUMAN, ChatMessage(role="assistant", content="4")], "4"),
        ([("user", "2 plus 2?"), ("assistant", [{"type": "text", "text": "4"}])], "4"),
        ({"messages": [message_to_dict(HUMAN), message_to_dict(AIMessage("4"))]}, "4"),
        ({"messages": [dumpd(HUMAN), dumpd(AIMessage("4"))]}, "4"),
        ({"messages": [message_to_dict(HUMAN), message_to_dict(AIMessageChunk(content="4"))]}, "4"),
        ({"role": "assistant", "content": "4"}, "4"),
        (AIMessage("4").model_dump(), "4"),
        (message_to_dict(AIMessage("4")), "4"),
        (GraphOutput(value={"messages": [HUMAN, AIMessage("4")]}), "4"),
        (GraphOutput(value=ADA), '{"age": 36, "name": "Ada"}'),
        ({"output": "4", "intermediate_steps": []}, "4"),
    ],
)
def test_what_was_answered(output: Any, text: str) -> None:
    assert answer_of(output).text == text


def test_an_output_that_has_no_canonical_json_says_so() -> None:
    with pytest.raises(UsageError, match="this dict cannot be read as an answer"):
        answer_of({1: "a", "b": 2})


NEW = AIMessage("I don't know.", response_metadata={"ct_guard": {"p": 0.1}})


@pytest.mark.parametrize(
    ("output", "now"),
    [
        ("4", "I don't know."),
        (AIMessage("4"), NEW),
        ([HUMAN, AIMessage("4"), HUMAN], [HUMAN, NEW, HUMAN]),
        ({"messages": [HUMAN, AIMessage("4")], "n": 1}, {"messages": [HUMAN, NEW], "n": 1}),
        ({"messages": [HUMAN]}, {"messages": [HUMAN, NEW]}),
        (ADA, None),
        ({"name": "Ada"}, None),
        ({"raw": CALL, "parsed": ADA, "more": 1}, {"raw": NEW, "parsed": None, "more": 1}),
        ({"role": "assistant", "content": "4", "x": 1}, {"role": "assistant", "content": NEW.text}),
        (
            {"messages": [message_to_dict(AIMessage("4", additional_kwargs={"said": "4"}))]},
            {
                "messages": [
                    {
                        "type": "ai",
                        "data": {"type": "ai", "id": None, "name": None, "content": NEW.text},
                    }
                ]
            },
        ),
        (
            [
                {
                    "lc": 1,
                    "type": "constructor",
                    "id": ["AIMessage"],
                    "kwargs": {"type": "ai", "content": "4", "additional_kwargs": {"said": "4"}},
                }
            ],
            [
                {
                    "lc": 1,
                    "type": "constructor",
                    "id": ["AIMessage"],
                    "kwargs": {"type": "ai", "content": NEW.text},
                }
            ],
        ),
        (
            GraphOutput(value={"messages": [HUMAN, AIMessage("4")]}),
            GraphOutput(value={"messages": [HUMAN, NEW]}),
        ),
        (
            {"messages": [HUMAN, AIMessage("4")], "final": "4", "all": ["4", "5"], "input": "4"},
            {"messages": [HUMAN, NEW], "final": NEW.text, "all": [NEW.text, "5"], "input": "4"},
        ),
    ],
)
def test_a_replaced_answer_takes_the_form_of_the_output(output: Any, now: Any) -> None:
    assert with_answer(output, NEW, replaced=True) == now


@pytest.mark.parametrize("output", ["4", ADA, {"name": "Ada"}, None, 4])
def test_what_cannot_carry_a_record_stays_as_it_is(output: Any) -> None:
    assert with_answer(output, NEW, replaced=False) == output


def test_a_raw_message_carries_the_record_of_what_was_parsed() -> None:
    made = with_answer({"raw": CALL, "parsed": ADA}, NEW, replaced=False)
    assert made["raw"].tool_calls == CALL.tool_calls
    assert made["raw"].response_metadata == NEW.response_metadata
    assert made["parsed"] is ADA


def test_a_graph_that_waits_is_known_in_either_version() -> None:
    waits = (Interrupt(value="?"),)
    assert is_paused({"messages": [HUMAN], "__interrupt__": waits})
    assert is_paused(GraphOutput(value={"messages": [HUMAN]}, interrupts=waits))
    assert messages_in(GraphOutput(value={"messages": [HUMAN]}, interrupts=waits)) == [HUMAN]
    assert not is_paused(GraphOutput(value={"messages": [HUMAN]}))
    assert not is_paused("4")


def test_an_input_is_not_changed_in_place() -> None:
    state = {"messages": [HUMAN, AIMessage("4")]}
    with_answer(state, NEW, replaced=True)
    assert state["messages"][1].text == "4"


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["2 ", "plus ", "2"], "2 plus 2"),
        ([{"a": 1}, {"a": 1, "b": 2}], {"a": 1, "b": 2}),
        ([None, "4"], "4"),
    ],
)
def test_parts_add_up_where_they_can(parts: list[Any], whole: Any) -> None:
    said = None
    for part in parts:
        said = joined(said, part)
    assert said == whole


def test_message_chunks_add_up() -> None:
    assert (
        joined(AIMessageChunk(content="I am"), AIMessageChunk(content=" sure")).text == "I am sure"
    )


def test_a_withheld_answer_stands_under_no_other_key() -> None:
    output = {
        "answer": "Lyon",
        "generation": "Lyon",
        "reply": AIMessage(" Lyon "),
        "question": "Lyon",
        "context": "Lyon",
        "source": "a map of Lyon",
    }
    made = with_answer(output, NEW, replaced=True, answer="answer")
    assert made["answer"] == made["generation"] == NEW.text
    assert made["reply"].text == NEW.text
    for name in ("question", "context", "source"):
        assert made[name] == output[name]
    assert with_answer(output, NEW, replaced=False, answer="answer")["generation"] == "Lyon"
