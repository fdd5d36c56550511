"""The record: exact keys, plain JSON, readable wherever a message goes."""

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    ToolMessage,
    message_to_dict,
)
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langgraph.types import Command, GraphOutput

from ct_guard.records import Assessment, Confidence, Decision
from ct_guard_langchain import get_confidence
from ct_guard_langchain.record import attach, call_digest, confidence_in, make_record

ASSESSMENT = Assessment(
    confidence=Confidence(p=0.75, logit=1.1, calibrated=True, estimator="mini", backend="fake"),
    decision=Decision(action="pass", policy="threshold 0.7", threshold=0.7),
)
RECORD = {
    "p": 0.75,
    "logit": 1.1,
    "status": "ok",
    "calibrated": True,
    "truncated": False,
    "estimator": "mini",
    "action": "pass",
    "attempts": 1,
    "model_index": 0,
    "policy": "threshold 0.7",
    "error": None,
    "turn": "answer",
}


def test_the_record_is_exactly_this_json() -> None:
    assert make_record(ASSESSMENT) == RECORD
    assert json.loads(json.dumps(make_record(ASSESSMENT), allow_nan=False)) == RECORD


def test_what_is_asked_for_most_is_at_hand() -> None:
    message = attach(AIMessage("Paris"), make_record(ASSESSMENT))
    found = get_confidence(message)
    assert found is not None
    assert (found.p, found.action, found.fields) == (found["p"], found["action"], {})


def test_the_confidence_can_be_read_back() -> None:
    kept = ASSESSMENT.confidence.model_copy(update={"backend": ""})
    assert confidence_in(make_record(ASSESSMENT)) == kept


def test_errors_of_the_confidence_and_of_the_way_there_stand_together() -> None:
    late = ASSESSMENT.confidence.model_copy(update={"p": None, "error": "late"})
    record = make_record(ASSESSMENT.model_copy(update={"confidence": late}), error="model 1 failed")
    assert record["error"] == "late; model 1 failed"


def test_a_call_of_tools_is_told_apart_from_an_answer() -> None:
    assert make_record(ASSESSMENT, turn="tool_call")["turn"] == "tool_call"


def test_what_was_found_out_on_the_way_can_be_read_back() -> None:
    odd = Confidence(p=0.5, sanitized=True, ood=0.01, estimator="mini")
    record = make_record(Assessment(confidence=odd, decision=ASSESSMENT.decision))
    assert (record["sanitized"], record["ood"]) == (True, 0.01)
    assert confidence_in(record) == odd


def test_a_turn_of_calls_has_the_score_of_each_by_its_position() -> None:
    sure, weak = Confidence(p=0.9), Confidence(p=0.2)
    calls = [{"name": name, "args": {"x": 1}, "id": "0"} for name in ("search", "delete")]
    made = Assessment(confidence=weak, decision=ASSESSMENT.decision, calls=(sure, weak))
    first, second = make_record(made, turn="tool_call", calls=calls)["calls"]
    assert (first["p"], second["p"]) == (0.9, 0.2)
    assert first["call"] == call_digest({"name": "search", "args": {"x": 1}, "id": "another"})
    assert second["call"] != call_digest({"name": "delete", "args": {"x": 2}, "id": "0"})


def test_attaching_leaves_the_original_alone() -> None:
    message = AIMessage("4", response_metadata={"model_name": "small"})
    attached = attach(message, make_record(ASSESSMENT))
    assert attached.response_metadata == {"model_name": "small", "ct_guard": RECORD}
    assert "ct_guard" not in message.response_metadata


MESSAGE = attach(AIMessage("4"), make_record(ASSESSMENT))
CHUNK = attach(AIMessageChunk(content="4", chunk_position="last"), make_record(ASSESSMENT))
GENERATION = ChatGeneration(message=MESSAGE)


@pytest.mark.parametrize(
    "source",
    [
        MESSAGE,
        CHUNK,
        AIMessageChunk(content="2 + 2 is ") + CHUNK,
        GENERATION,
        ChatResult(generations=[GENERATION]),
        LLMResult(generations=[[GENERATION]]),
        [HumanMessage("?"), AIMessage("I call."), MESSAGE, ToolMessage("5", tool_call_id="1")],
        [AIMessageChunk(content="2 + 2 is "), CHUNK],
        (CHUNK, {"langgraph_node": "model"}),
        {"messages": [HumanMessage("?"), MESSAGE]},
        {"ct_guard": RECORD},
        {"input": "?", "output": "4", "confidence": RECORD},
        {"raw": MESSAGE, "parsed": 4, "parsing_error": None},
        MESSAGE.model_dump(),
        message_to_dict(MESSAGE),
        {"messages": [HumanMessage("?").model_dump(), MESSAGE.model_dump()]},
        {"retrieve": None, "model": {"messages": [MESSAGE]}},
        {"model": [{"messages": [MESSAGE]}]},
        ("updates", {"model": {"messages": [MESSAGE]}}),
        (("outer:1",), "messages", (CHUNK, {"langgraph_node": "model"})),
        {"type": "updates", "ns": (), "data": {"model": {"messages": [MESSAGE]}}},
        GraphOutput({"messages": [HumanMessage("?"), MESSAGE]}),
        Command(update={"messages": [MESSAGE]}),
        {"type": "ct_guard.confidence", **RECORD},
    ],
    ids=[
        "message",
        "chunk",
        "merged chunks",
        "generation",
        "ChatResult",
        "LLMResult",
        "messages",
        "chunks",
        "chunk with metadata",
        "result of an agent",
        "state without messages",
        "result of a guard",
        "raw and parsed",
        "message as JSON",
        "message as a dict with its type",
        "state as JSON",
        "part of updates",
        "part of updates of a node with several",
        "part of several modes",
        "part of a subgraph",
        "part of version 2",
        "result of version 2",
        "command",
        "custom event",
    ],
)
def test_the_record_is_found_in(source: Any) -> None:
    found = get_confidence(source)
    assert found is not None
    assert {key: value for key, value in found.items() if key in RECORD} == RECORD


@pytest.mark.parametrize(
    "source",
    [
        AIMessage("4"),
        ChatResult(generations=[]),
        LLMResult(generations=[[]]),
        [MESSAGE, HumanMessage("And then?"), AIMessage("5")],
        [HumanMessage("?")],
        {"messages": [MESSAGE, AIMessage("5")]},
        {"messages": [HumanMessage("?"), AIMessage("5")], "ct_guard": RECORD},  # of an earlier turn
        {"messages": []},
        {"confidence": 0.5},
        {},
        "4",
        None,
    ],
)
def test_without_a_record_there_is_none(source: Any) -> None:
    assert get_confidence(source) is None
