"""Confidence as a node of a graph of one's own."""

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.policies import Escalate, Retry, Review, Threshold
from ct_guard.testing import FakeBackend
from ct_guard_langchain import confidence_node, route_by_confidence
from tests.confidences import record_of
from tests.known_confidence import by_word
from tests.unit.langchain.conftest import MakeEstimator


def saying(*answers: str) -> Any:
    model = GenericFakeChatModel(messages=iter(answers))
    return lambda state: {"messages": [model.invoke(state["messages"])]}


def graph_of(guard: Guard, *, weak: Any, strong: Any, models: int | None = 1) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("weak", weak)
    graph.add_node("strong", strong)
    graph.add_node("confidence", confidence_node(guard, models=models))
    graph.add_edge(START, "weak")
    graph.add_edge("weak", "confidence")
    graph.add_edge("strong", "confidence")
    ways: dict[Hashable, str] = {
        "pass": END,
        "abstain": END,
        "human": END,
        "retry": "weak",
        "escalate": "strong",
    }
    graph.add_conditional_edges("confidence", route_by_confidence, ways)
    return graph.compile()


def asked(graph: Any, way: str = "invoke") -> list[Any]:
    given = {"messages": [("user", "How far?")]}
    state = graph.invoke(given) if way == "invoke" else asyncio.run(graph.ainvoke(given))
    messages: list[Any] = state["messages"]
    return messages


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_answer_gets_its_record_and_the_edge_follows_it(estimator: Estimator, way: str) -> None:
    guard = Guard(estimator, Escalate(threshold=0.7))
    messages = asked(graph_of(guard, weak=saying("unsure"), strong=saying("I am sure")), way)
    assert [m.text for m in messages] == ["How far?", "unsure", "I am sure"]
    records = [record_of(m) for m in messages[1:]]
    assert [record["action"] for record in records] == ["escalate", "pass"]
    assert (records[1]["model_index"], records[1]["attempts"]) == (1, 2)


def test_where_no_model_is_left_the_answer_is_abstained_from(estimator: Estimator) -> None:
    guard = Guard(estimator, Threshold(threshold=0.7))
    messages = asked(graph_of(guard, weak=saying("unsure"), strong=saying("unsure too")))
    assert messages[-1].text == "I don't know."
    assert record_of(messages[-1])["original"] is None


def test_retries_are_counted_in_the_history_and_end(estimator: Estimator) -> None:
    guard = Guard(estimator, Retry(threshold=0.7, times=2, otherwise=Review(threshold=0.7)))
    weak = saying("unsure", "unsure", "perhaps")
    messages = asked(graph_of(guard, weak=weak, strong=saying(), models=0))
    actions = [record_of(m)["action"] for m in messages[1:]]
    assert actions == ["retry", "retry", "human"]


def test_answers_that_were_sent_back_are_no_part_of_the_question(
    make_estimator: MakeEstimator,
) -> None:
    heard: list[str] = []

    class Listening(FakeBackend):
        def score(self, items: Any, *args: Any, **kwargs: Any) -> Any:
            heard.extend(self.encoder.decode(item.context) for item in items)
            return super().score(items, *args, **kwargs)

    guard = Guard(make_estimator(backend=Listening(logit=by_word)), Escalate(threshold=0.7))
    asked(graph_of(guard, weak=saying("unsure words"), strong=saying("I am sure")))
    assert len(heard) == 2
    assert heard[0] == heard[1]


def test_a_node_after_no_model_says_so(estimator: Estimator) -> None:
    node = confidence_node(Guard(estimator))
    states: list[Any] = [{"messages": [HumanMessage("?")]}, {"messages": []}, {}]
    for state in states:
        with pytest.raises(UsageError, match="comes after a model"):
            node.invoke(state)


def test_an_edge_without_a_confidence_says_so() -> None:
    states: list[Any] = [{"messages": [AIMessage("sure")]}, {"messages": []}]
    for state in states:
        with pytest.raises(UsageError, match="run a confidence_node before"):
            route_by_confidence(state)
