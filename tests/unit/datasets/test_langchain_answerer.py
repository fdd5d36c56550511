"""LangChain chat models as answerers."""

from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import (
    BaseChatModel,
    FakeListChatModel,
    FakeMessagesListChatModel,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from ct_guard.datasets.answerers import LangChainAnswerer, Reply, Request, Sampling
from ct_guard.errors import UsageError
from ct_guard.records import Message

KEY = "sk-very-secret-key-0123456789"


class Echo(BaseChatModel):
    """Says back what it was asked and how it was set up; fails on what begins with "bad"."""

    max_tokens: int
    temperature: float

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = messages[-1].text
        if asked.startswith("bad"):
            raise RuntimeError(f"refused\nfor {KEY}")
        kinds = "".join(message.type[0] for message in messages)
        said = f"{asked} {kinds} {self.max_tokens} {self.temperature}"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=said))])


@pytest.fixture
def echo() -> LangChainAnswerer:
    return LangChainAnswerer(
        "echo:1", lambda tokens, heat: Echo(max_tokens=tokens, temperature=heat), concurrency=2
    )


def asking(text: str, temperature: float = 0.0) -> Request:
    turns = [Message(role="system", content="s"), Message(role="user", content=text)]
    return Request(tuple(turns), Sampling(9, temperature))


def test_replies_come_in_order_each_drawn_as_asked(echo: LangChainAnswerer) -> None:
    replies = echo.answer([asking("a"), asking("b", 0.5), asking("c")])
    assert [reply.text for reply in replies] == ["a sh 9 0.0", "b sh 9 0.5", "c sh 9 0.0"]


def test_one_failure_is_its_own_in_one_line_without_keys(
    echo: LangChainAnswerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_API_KEY", KEY)
    bad, good = echo.answer([asking("bad"), asking("good")])
    assert bad == Reply(None, "refused for ***")
    assert good.text is not None


def test_when_all_fail_it_is_no_use_to_go_on(echo: LangChainAnswerer) -> None:
    asked = [asking(f"bad {number}") for number in range(5)]
    assert all(reply.stop for reply in echo.answer(asked))


def test_a_question_that_is_always_declined_stops_nothing(echo: LangChainAnswerer) -> None:
    replies = echo.answer([asking("bad", heat) for heat in (0.0, 0.5, 0.6, 0.7, 0.8)])
    assert [(reply.text, reply.stop) for reply in replies] == [(None, False)] * 5


def test_questions_that_fail_in_a_row_are_counted_over_all_calls(echo: LangChainAnswerer) -> None:
    heats = [0.0, *(0.5,) * 20]
    first = echo.answer([asking(f"bad {n}", heat) for n in range(3) for heat in heats])
    assert not any(reply.stop for reply in first)
    good, *rest = echo.answer([asking("good"), *(asking(f"bad {n}") for n in range(4))])
    assert good.text is not None
    assert not any(reply.stop for reply in rest)
    [last] = echo.answer([asking("bad 5")])
    assert last.stop
    assert "refused for" in str(last.error)
    assert "5 questions in a row" in str(last.error)


def test_an_outage_stops_what_came_after_the_last_reply_only(echo: LangChainAnswerer) -> None:
    asked = [asking("bad 0"), asking("good"), *(asking(f"bad {n}") for n in range(1, 6))]
    assert [reply.stop for reply in echo.answer(asked)] == [False] * 2 + [True] * 5


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (AIMessage("12", response_metadata={"finish_reason": "stop"}), Reply("12")),
        (
            AIMessage("To", response_metadata={"stop_reason": "max_tokens"}),
            Reply("To", cut_off=True),
        ),
        (AIMessage("", additional_kwargs={"refusal": "I will not."}), Reply("I will not.")),
    ],
)  # fmt: skip
def test_how_a_reply_ended_is_known(message: AIMessage, expected: Reply) -> None:
    answerer = LangChainAnswerer(
        "fixed:1", lambda *_: FakeMessagesListChatModel(responses=[message])
    )
    assert answerer.answer([asking("hi")]) == [expected]


def test_a_reply_without_an_answer_says_why() -> None:
    message = AIMessage("", response_metadata={"finish_reason": "length"})
    answerer = LangChainAnswerer(
        "fixed:1", lambda *_: FakeMessagesListChatModel(responses=[message])
    )
    [reply] = answerer.answer([asking("hi")])
    assert reply.text is None
    assert "9 tokens were used up before an answer" in str(reply.error)


def test_any_chat_model_will_do() -> None:
    model = FakeListChatModel(responses=["x", "y"])
    answerer = LangChainAnswerer("fake", lambda tokens, heat: model)
    assert {reply.text for reply in answerer.answer([asking("a"), asking("b")])} == {"x", "y"}


@pytest.mark.parametrize("name", ["nonsense:model", "anthropic:", ":", "cohere:command"])
def test_a_model_that_cannot_be_set_up_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError, match="cannot set up") as refused:
        LangChainAnswerer.load(name)
    assert "\n" not in str(refused.value)
