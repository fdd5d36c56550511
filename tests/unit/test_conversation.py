"""Conversations in which tools are called: human and assistant turns that alternate."""

import pytest

from ct_guard.conversation import ChatTurn, alternating, is_cut_off
from ct_guard.records import Message

CALL = ChatTurn("assistant", "I look it up.", calls=(("c1", 'find({"x": 1})'),))
RESULT = ChatTurn("tool", "42", call="c1")


def test_a_result_stands_behind_its_call_and_all_of_it_before_the_question() -> None:
    system, (exchange,) = alternating(
        [ChatTurn("system", "Be brief."), ChatTurn("user", "What is x?"), CALL, RESULT]
    )
    assert system == ["Be brief."]
    assert exchange.question() == 'I look it up.\nfind({"x": 1}) -> 42\n\nWhat is x?'


def test_a_result_without_its_call_is_named_by_its_tool() -> None:
    _, (exchange,) = alternating([ChatTurn("user", "Go."), ChatTurn("tool", "42", name="find")])
    assert exchange.question() == "find -> 42\n\nGo."


def test_a_human_turn_behind_a_reply_begins_another_exchange() -> None:
    turns = [ChatTurn("user", "1?"), ChatTurn("assistant", "One."), ChatTurn("user", "2?")]
    _, (first, second) = alternating(turns)
    assert first.messages() == [
        Message(role="user", content="1?"),
        Message(role="assistant", content="One."),
    ]
    assert second.question() == "2?"


def test_what_seemed_to_be_the_reply_was_said_on_the_way_where_tools_follow() -> None:
    _, (exchange,) = alternating([ChatTurn("user", "x?"), ChatTurn("assistant", "Wait."), CALL])
    assert exchange.replies == []
    assert exchange.work[:2] == ["Wait.", "I look it up."]


@pytest.mark.parametrize(
    "reason",
    [
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "max_output_tokens",
        " length ",
        "FinishReason.MAX_TOKENS",
        "model_context_window_exceeded",
    ],
)
def test_an_answer_is_cut_off_where_the_tokens_ran_out(reason: str) -> None:
    assert is_cut_off(reason)


@pytest.mark.parametrize(
    "reason", ["stop", "end_turn", "tool_calls", "content_filter", "", None, 1]
)
def test_no_other_end_of_an_answer_cuts_it_off(reason: object) -> None:
    assert not is_cut_off(reason)
