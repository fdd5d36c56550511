"""Chat completions: what is said in them, whole or in a stream."""

from typing import Any

import pytest

from ct_guard.serving.completions import Asked, Heard, Said, harmless, instead


def chunk(index: int = 0, logprobs: Any = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
    return {"id": "1", "model": "m", "object": "chat.completion.chunk", "choices": [choice]}


def said_by(*chunks: dict[str, Any]) -> list[Said]:
    heard = Heard()
    for one in chunks:
        heard.add(one)
    return [Said.of(choice) for choice in heard.choices()]


def test_an_answer_is_its_text() -> None:
    said = Said.of({"index": 1, "message": {"content": "twelve"}})
    assert (said.index, said.text, said.turn, said.parts()) == (1, "twelve", "answer", ["twelve"])


def test_or_the_refusal_that_stands_in_its_place() -> None:
    assert Said.of({"message": {"content": None, "refusal": "No."}}).text == "No."


def test_text_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "twelve"}, {"type": "text", "text": "!"}]
    assert Said.of({"message": {"content": parts}}).text == "twelve!"


def test_calls_of_tools_have_one_form() -> None:
    calls = [
        {"id": "a", "function": {"name": "pay", "arguments": '{"to": "x", "by": 1}'}},
        {"id": "b", "function": {"name": "look", "arguments": ""}},
    ]
    said = Said.of({"message": {"content": "Well", "tool_calls": calls}})
    assert said.calls == ('pay({"by": 1, "to": "x"})', "look({})")
    assert said.names == ("pay", "look")
    assert said.parts() == ['Well\npay({"by": 1, "to": "x"})', "Well\nlook({})"]


@pytest.mark.parametrize(
    "choice", [{}, {"message": "text"}, {"message": {"tool_calls": [{}]}}, {"index": "x"}]
)
def test_what_is_no_choice_is_an_error(choice: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"choice|calls"):
        Said.of(choice)


def test_a_stream_says_what_its_chunks_say_together() -> None:
    tokens = {"content": [{"token": "twel", "logprob": -0.5}]}
    first, second = said_by(
        chunk(0, role="assistant", content=""),
        chunk(1, role="assistant", content=""),
        chunk(0, tokens, content="twel"),
        chunk(1, content="thir"),
        chunk(0, {"content": [{"token": "ve", "logprob": -0.1}]}, content="ve"),
        chunk(1, content="teen"),
        {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
        {"id": "1", "choices": [], "usage": {"total_tokens": 3}},
    )
    assert (first.text, second.text) == ("twelve", "thirteen")
    assert [token["logprob"] for token in first.logprobs["content"]] == [-0.5, -0.1]
    assert second.logprobs is None
    assert (first.finish, second.finish) == ("length", None)


def test_calls_are_put_together_from_their_pieces() -> None:
    def piece(at: int, **function: str) -> dict[str, Any]:
        return chunk(tool_calls=[{"index": at, "function": function}])

    (said,) = said_by(
        piece(0, name="pay", arguments=""),
        piece(0, arguments='{"to"'),
        piece(1, name="look", arguments="{}"),
        piece(0, arguments=': "x"}'),
    )
    assert said.calls == ('pay({"to": "x"})', "look({})")


def test_the_older_form_of_a_call_is_known() -> None:
    (said,) = said_by(
        chunk(function_call={"name": "pay", "arguments": "{"}),
        chunk(function_call={"arguments": "}"}),
    )
    assert said.calls == ("pay({})",)


def test_of_a_withheld_answer_nothing_is_left_that_can_hold_its_words() -> None:
    about = {"id": "1", "model": "m", "usage": None, "citations": ["secret"]}
    assert harmless(about) == {"id": "1", "model": "m", "usage": None}
    assert instead("Who knows?", wants_object=False) == {
        "role": "assistant",
        "content": "Who knows?",
    }


def test_where_an_object_was_wanted_it_is_a_refusal() -> None:
    asked = Asked(b"", {"response_format": {"type": "json_schema"}})
    told = instead("Who knows?", wants_object=asked.wants_object)
    assert (told["content"], told["refusal"]) == (None, "Who knows?")


def test_a_request_for_its_own_model_goes_on_as_it_came() -> None:
    asked = Asked(b'{"model":  "small"}', {"model": "small", "messages": []})
    assert asked.body_for("small") == b'{"model":  "small"}'
    assert asked.body_for("large") == b'{"model": "large", "messages": []}'
