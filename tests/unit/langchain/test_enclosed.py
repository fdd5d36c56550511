"""Models that only the functions of a chain reach: what hears them would hear what is withheld."""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.graph import START, MessagesState, StateGraph

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard_langchain import ConfidenceGuard, ConfidenceMiddleware
from ct_guard_langchain.enclosed import enclosed
from tests.rule_model import RuleChatModel


class Ear(BaseCallbackHandler):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.heard.append(response.generations[0][0].text)


def unsure(*ears: Ear) -> BaseChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage("unsure")] * 3), callbacks=list(ears))


NAMED = unsure()


class Asking:
    def __init__(self, model: Runnable[Any, BaseMessage]) -> None:
        self.models = [model]

    def ask(self, value: Any) -> BaseMessage:
        return self.models[0].invoke(value)

    def __call__(self, value: Any) -> BaseMessage:
        return self.ask(value)


def graph(model: BaseChatModel) -> Runnable[Any, Any]:
    def ask(messages: Sequence[BaseMessage]) -> BaseMessage:
        return model.invoke(messages)

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [ask(state["messages"])]}

    made = StateGraph(MessagesState)
    made.add_node("ask", node)
    made.add_edge(START, "ask")
    return made.compile()


def given(value: Any, model: Runnable[Any, Any]) -> Any:
    return model.invoke(value)


def defaulting(model: BaseChatModel) -> Callable[[Any], Any]:
    def ask(value: Any, by: BaseChatModel = model) -> Any:
        return by.invoke(value)

    return ask


CHAINS: dict[str, Callable[[BaseChatModel], Runnable[Any, Any]]] = {
    "agent": lambda model: create_agent(model, []),
    "node of a graph": graph,
    "closure": lambda model: RunnableLambda(lambda value: model.invoke(value)),
    "method": lambda model: RunnableLambda(Asking(model).ask),
    "callable object": lambda model: RunnableLambda(Asking(model)),
    "decorated": lambda model: RunnableLambda(wraps(given)(partial(given, model=model))),
    "partial": lambda model: RunnableLambda(partial(given, model=model)),
    "default": lambda model: RunnableLambda(defaulting(model)),
    "bound": lambda model: RunnableLambda(Asking(model.bind(stop=["."])).ask),
    "in a sequence": lambda model: RunnableLambda(lambda v: v) | RunnableLambda(Asking(model).ask),
}
ASKED = {"messages": [("user", "?")]}


def asked(name: str) -> Any:
    return ASKED if name in ("agent", "node of a graph") else "?"


@pytest.mark.parametrize("name", CHAINS)
def test_their_own_callbacks_are_refused_where_an_answer_may_be_withheld(
    name: str, estimator: Estimator
) -> None:
    ear = Ear()
    guarded = ConfidenceGuard(estimator=estimator, policy=0.7).wrap(CHAINS[name](unsure(ear)))
    with pytest.raises(UsageError, match="would hear what is withheld"):
        guarded.invoke(asked(name))
    assert ear.heard == []


@pytest.mark.parametrize("name", CHAINS)
def test_a_model_that_nobody_hears_is_asked(name: str, estimator: Estimator) -> None:
    guarded = ConfidenceGuard(estimator=estimator, policy=0.7).wrap(CHAINS[name](unsure()))
    assert guarded.invoke(asked(name))["confidence"]["action"] == "abstain"


@pytest.mark.parametrize("name", CHAINS)
def test_where_nothing_is_withheld_they_hear_it(name: str, estimator: Estimator) -> None:
    ear = Ear()
    guard = ConfidenceGuard(estimator=estimator, policy="annotate")
    guard.wrap(CHAINS[name](unsure(ear))).invoke(asked(name))
    assert ear.heard == ["unsure"]


def test_what_a_function_names_is_reached() -> None:
    assert list(enclosed(RunnableLambda(lambda value: NAMED.invoke(value)))) == [NAMED]


def test_what_a_function_makes_as_it_runs_is_not() -> None:
    assert list(enclosed(RunnableLambda(lambda value: unsure().invoke(value)))) == []


def test_things_that_hold_each_other_and_long_lists_of_data_are_passed_over() -> None:
    loop: dict[str, Any] = {"data": list(range(2000))}
    loop["itself"] = loop
    assert list(enclosed(RunnableLambda(lambda value: loop["data"][value]))) == []


def test_callbacks_of_a_tool_that_answers_are_refused(estimator: Estimator) -> None:
    look = StructuredTool.from_function(lambda word: "unsure", name="look", description="Look.")
    guard, ear = ConfidenceGuard(estimator=estimator, policy=0.7), Ear()
    with pytest.raises(UsageError, match="the tool 'look' has would hear"):
        guard.wrap(look.model_copy(update={"callbacks": [ear]})).invoke({"word": "?"})
    model = unsure(ear)
    asks = StructuredTool.from_function(
        lambda word: model.invoke(word).text, name="asks", description="Ask."
    )
    with pytest.raises(UsageError, match="inside of asks"):
        guard.wrap(asks, question=lambda v: v["word"]).invoke({"word": "?"})
    assert ear.heard == []


def test_callbacks_of_a_tool_that_an_agent_reads_are_left(estimator: Estimator) -> None:
    look = StructuredTool.from_function(lambda word: "fine", name="look", description="Look.")
    tools = [look.model_copy(update={"callbacks": [Ear()]})]
    reading = create_agent(RuleChatModel(reply="unsure"), tools)
    guarded = ConfidenceGuard(estimator=estimator, policy=0.7).wrap(reading)
    assert guarded.invoke(ASKED)["confidence"]["action"] == "abstain"


async def test_callbacks_inside_a_tool_that_ends_an_agents_run_are_refused(
    estimator: Estimator,
) -> None:
    ear = Ear()
    model = unsure(ear)
    asks = StructuredTool.from_function(
        lambda word: model.invoke(word).text, name="asks", description="Ask.", return_direct=True
    )
    for policy, heard in ((0.7, []), ("annotate", ["unsure"])):
        middleware = ConfidenceMiddleware(estimator, policy)
        agent: Any = create_agent(RuleChatModel(reply="sure"), [asks], middleware=[middleware])
        if policy == "annotate":
            await agent.ainvoke(ASKED)
            asks.invoke({"word": "?"})
        else:
            with pytest.raises(UsageError, match="inside of asks has would hear"):
                await agent.ainvoke(ASKED)
        assert ear.heard == heard
