"""Chains that return several answers: the one that is judged is the only one, or is named."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard_langchain import ConfidenceGuard, get_confidence
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator
from tests.unit.langchain.test_guarded_chain import Listening
from tests.unit.langchain.test_withheld import Hears, answered

ASKED = {"question": "What is the capital?"}
WAYS = pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "batch"])
POLICIES = pytest.mark.parametrize("policy", [0.3, "annotate"])

assign = RunnablePassthrough.assign


def says(text: str) -> Any:
    """A model that says this, as a message."""
    return RunnableLambda(str) | RuleChatModel(reply=text)


def text(said: str, *then: Callable[[str], Any]) -> Any:
    """A model that says this, and what is made of it."""
    chain = says(said) | StrOutputParser()
    for each in then:
        chain = chain | RunnableLambda(each)
    return chain


class City(BaseModel):
    name: str


@dataclass
class Place:
    name: str


def city(name: str) -> Any:
    return RunnableLambda(lambda v: f"'{name}'") | RuleChatModel().with_structured_output(City)


class State(MessagesState, total=False):
    draft: str
    final: str


def graph(**nodes: Any) -> Any:
    """A graph whose nodes answer one after the other, each under its name."""
    built = StateGraph(State)
    for at, (name, chain) in enumerate(nodes.items()):
        key = name.removeprefix("to_")

        def node(state: Any, chain: Any = chain, key: str = key) -> Any:
            return {key: chain.invoke("?")}

        built.add_node(name, node)
        built.add_edge(START if at == 0 else list(nodes)[at - 1], name)
    return built.compile()


SEVERAL: dict[str, tuple[Any, list[str]]] = {
    "side by side": (RunnableParallel(a=text("Paris"), b=text("London")), ["a", "b"]),
    "messages": (RunnableParallel(a=says("Paris"), b=says("London")), ["a", "b"]),
    "after a draft": (
        assign(draft=text("Paris")) | assign(final=text("London")), ["draft", "final"],
    ),
    "in capitals": (
        assign(a=text("Paris", str.upper)) | assign(b=text("London")), ["a", "b"],
    ),
    "with a label": (
        assign(a=text("Paris", "Draft: {}".format)) | assign(b=text("London")), ["a", "b"],
    ),
    "a list beside": (
        assign(all=text("Paris, Rome", lambda said: said.split(", ")))
        | assign(answer=text("London")),
        ["all", "answer"],
    ),
    "nested beside": (
        assign(tried=RunnableParallel(a=text("Paris"), b=text("Rome")))
        | assign(final=text("London")),
        ["tried.a", "tried.b", "final"],
    ),
    "an object beside": (assign(place=city("Paris")) | assign(answer=text("London")),
                         ["place", "answer"]),
    "in an object beside": (assign(place=text("Paris", lambda said: City(name=said)))
                            | assign(answer=text("London")), ["place.name", "answer"]),
    "in a dataclass beside": (assign(place=text("Paris", Place)) | assign(answer=text("London")),
                              ["place.name", "answer"]),
    "a sentence of it": (
        assign(a=text("Paris is big. It lies on the Seine.", lambda said: said.split(".")[0]))
        | assign(b=text("London")),
        ["a", "b"],
    ),
    "without its thoughts": (
        assign(a=text("<think>So it is, I am told</think>Paris", lambda said: said[-5:]))
        | assign(b=text("London")),
        ["a", "b"],
    ),
    "a tuple of messages": (
        RunnableParallel(a=says("Paris"), b=says("London")) | (lambda said: (said["a"], said["b"])),
        ["0"],
    ),
    "a list of messages": (
        RunnableParallel(a=says("Paris"), b=says("London")) | (lambda said: [said["a"], said["b"]]),
        ["0"],
    ),
    "two keys that answer": (
        RunnableLambda(lambda v: {**v, "answer": "Paris", "output": "London"}),
        ["answer", "output"],
    ),
    "a graph": (graph(to_draft=text("Paris"), to_final=text("London")), ["draft", "final"]),
    "a state and a key": (graph(messages=says("Paris"), to_final=text("London")),
                          ["messages", "final"]),
}  # fmt: skip


def asked_of(name: str) -> Any:
    is_state = name in ("a graph", "a state and a key")
    return {"messages": [HumanMessage("?")]} if is_state else ASKED


@WAYS
@pytest.mark.parametrize("name", SEVERAL)
async def test_several_answers_are_refused_by_the_names_of_their_keys(
    estimator: Estimator, name: str, way: str
) -> None:
    chain, keys = SEVERAL[name]
    guarded = ConfidenceGuard(estimator, 0.3).wrap(chain)
    with pytest.raises(UsageError, match=r"several answers.*guard\.wrap\(chain, answer=") as raised:
        await answered(guarded, way, asked_of(name), {})
    assert all(repr(key) in str(raised.value) for key in keys)


@WAYS
@pytest.mark.parametrize("name", SEVERAL)
async def test_where_nothing_is_withheld_a_warning_says_which_there_are(
    estimator: Estimator, name: str, way: str
) -> None:
    chain, keys = SEVERAL[name]
    guarded = ConfidenceGuard(estimator, "annotate").wrap(chain)
    with pytest.warns(UserWarning, match="several answers") as told:
        said = await answered(guarded, way, asked_of(name), {})
    assert all(repr(key) in str(told[0].message) for key in keys)
    last = said[-1] if isinstance(said, list) else said
    assert last["confidence"]["p"] is not None


@pytest.mark.parametrize("way", ["batch", "abatch"])
async def test_only_the_row_with_several_answers_has_none(estimator: Estimator, way: str) -> None:
    def chain(asked: str) -> Any:
        other = "London" if asked == "both" else "sure"
        return RunnableParallel(a=text("sure"), b=text(other))

    guarded = ConfidenceGuard(estimator, 0.7).wrap(RunnableLambda(chain))
    asked = ["one", "both"]
    if way == "batch":
        made: list[Any] = guarded.batch(asked, return_exceptions=True)
    else:
        made = await guarded.abatch(asked, return_exceptions=True)
    assert made[0]["output"] == {"a": "sure", "b": "sure"}
    assert isinstance(made[1], UsageError)


@WAYS
async def test_what_is_refused_is_heard_by_nobody(estimator: Estimator, way: str) -> None:
    hears = Hears()
    guarded = ConfidenceGuard(estimator, 0.3).wrap(SEVERAL["after a draft"][0])
    with pytest.raises(UsageError):
        await answered(guarded, way, ASKED, {"callbacks": [hears]})
    assert "Paris" not in hears.heard
    assert "London" not in hears.heard


def test_a_stream_that_is_not_held_though_gated_ends_in_the_refusal_and_no_confidence(
    estimator: Estimator,
) -> None:
    parts: list[Any] = []
    guard = ConfidenceGuard(estimator, 0.3, hold_stream=False)
    with pytest.raises(UsageError, match="several answers"):
        parts += guard.wrap(SEVERAL["messages"][0]).stream(ASKED)
    assert not any("confidence" in part for part in parts)


# --- the one that is named ------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize(
    ("selector", "left"),
    [
        ("final", {"draft": "sure of the draft", "final": "I don't know."}),
        (lambda output: output["final"], None),
    ],
)
async def test_the_answer_that_is_named_is_judged_and_the_others_are_left(
    estimator: Estimator, selector: Any, left: Any, way: str
) -> None:
    chain = assign(draft=text("sure of the draft")) | assign(final=text("unsure"))
    said = await answered(
        ConfidenceGuard(estimator, 0.7).wrap(chain, answer=selector), way, ASKED, {}
    )
    (made,) = said if isinstance(said, list) else [said]
    assert made["confidence"]["action"] == "abstain"
    assert made["output"] == (None if left is None else {**ASKED, **left})


@pytest.mark.parametrize(("key", "asked"), [("a", "of a?"), ("b", "of b?")])
def test_the_question_is_that_of_the_model_that_gave_the_answer(
    make_estimator: MakeEstimator, key: str, asked: str
) -> None:
    backend = Listening()
    chain = RunnableParallel(
        a=RunnableLambda(lambda v: "of a?") | text("sure a"),
        b=RunnableLambda(lambda v: "of b?") | text("sure b"),
    )
    ConfidenceGuard(make_estimator(backend=backend), 0.7).wrap(chain, answer=key).invoke("?")
    assert backend.heard == [(asked, f"sure {key}")]


def test_the_messages_of_a_state_that_are_not_the_answer_stay(estimator: Estimator) -> None:
    chain: Any = graph(messages=says("sure"), to_final=text("I am sure"))
    guarded = ConfidenceGuard(estimator, 0.7).wrap(chain, answer="final")
    output = guarded.invoke({"messages": [HumanMessage("?")]})["output"]
    assert [each.text for each in output["messages"]] == ["?", "sure"]
    guarded = ConfidenceGuard(estimator, 0.7).wrap(chain, answer="messages")
    output = guarded.invoke({"messages": [HumanMessage("?")]})["output"]
    assert (output["messages"][-1].text, output["final"]) == ("sure", "I am sure")
    assert get_confidence(output) is not None


def test_messages_that_are_withheld_stand_under_no_other_key(estimator: Estimator) -> None:
    chain: Any = RunnableLambda(
        lambda v: {"messages": [HumanMessage("?"), AIMessage("unsure")], "final": "unsure"}
    )
    guarded = ConfidenceGuard(estimator, 0.7).wrap(chain, answer="messages")
    assert "unsure" not in repr(guarded.invoke("?")["output"])


# --- what is no other answer ----------------------------------------------------------------------


def agent(said: str) -> Any:
    return create_agent(RuleChatModel(reply=said), [])


ALONE: dict[str, Any] = {
    "the same twice": assign(a=text("sure")) | assign(b=text("sure")),
    "the question": assign(answer=text("sure")),
    "a rewritten question that is not returned": (
        text("The capital?") | RunnableParallel(answer=text("sure"), n=lambda v: 1)
    ),
    "a rewritten question under its key": assign(query=text("of France"))
    | assign(answer=text("sure")),
    "passages that a model wrote": assign(context=text("Paris it is"))
    | assign(answer=text("sure")),
    "passages that were read": assign(docs=lambda v: [Document("Paris")])
    | assign(rewritten=text("capital") | (lambda v: None))
    | assign(answer=text("sure")),
    "a flag by a grader": assign(
        web=city("no") | (lambda v: "No"), question=lambda v: v["question"]
    )
    | assign(answer=text("sure")),
    "all of it as one object": RunnableParallel(a=city("Paris"), b=city("sure")),
    "nested, as one object": RunnableParallel(of=RunnableParallel(a=text("Paris"), b=text("sure"))),
    "raw and parsed": RunnableLambda(lambda v: "'sure'")
    | RuleChatModel().with_structured_output(City, include_raw=True),
    "an agent's state": RunnableLambda(lambda v: {"messages": [HumanMessage("?")]})
    | agent("sure"),
    "turns of one conversation": RunnableLambda(lambda v: {"messages": [HumanMessage("?")]})
    | graph(messages=says("let me see"), to_messages=says("sure")),
}  # fmt: skip


@WAYS
@POLICIES
@pytest.mark.parametrize("name", ALONE)
async def test_what_is_no_other_answer_is_delivered_beside_it(
    estimator: Estimator, name: str, policy: Any, way: str
) -> None:
    guarded = ConfidenceGuard(estimator, policy).wrap(ALONE[name])
    assert "sure" in repr(await answered(guarded, way, ASKED, {}))


@POLICIES
def test_what_was_given_to_the_chain_may_stand_under_any_key(
    estimator: Estimator, policy: Any
) -> None:
    given = {**ASKED, "text": "a passage", "language": "French"}
    chain = assign(_=text("French") | (lambda v: None)) | assign(answer=text("sure"))
    output = ConfidenceGuard(estimator, policy).wrap(chain).invoke(given)["output"]
    assert output == {**given, "_": None, "answer": "sure"}


def test_pairs_with_several_answers_are_refused_alike(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, 0.3)
    both = {"question": "?", "answer": "Paris", "output": "London"}
    with pytest.raises(UsageError, match="under 'answer' and 'output'"):
        guard.invoke({"input": "?", "output": both})
    echo = {"question": "?", "answer": "sure", "text": "read this"}
    assert guard.invoke({"input": {"question": "?", "text": "read this"}, "output": echo})


# --- the rest of what the model said --------------------------------------------------------------


SAID = {"answer": "unsure 13", "explanation": "It is 13", "sure": True, "steps": ["7", "5 more"]}


@WAYS
@pytest.mark.parametrize("selector", [None, "answer"])
async def test_what_a_model_said_beside_a_withheld_answer_goes_with_it(
    estimator: Estimator, way: str, selector: Any
) -> None:
    read = says(json.dumps(SAID)) | JsonOutputParser()
    chain = RunnableParallel(read=read, asked=RunnablePassthrough()) | (
        lambda v: {
            **v["asked"],
            "why": v["read"]["explanation"],
            "raw": json.dumps(SAID),
            **v["read"],
        }
    )
    guarded = ConfidenceGuard(estimator, 0.7).wrap(chain, answer=selector)
    said = await answered(guarded, way, ASKED, {})
    (made,) = said if isinstance(said, list) else [said]
    output = dict(made["output"])
    named = "raw" if selector is None else "answer"  # without, it is what the model said, whole
    assert output.pop(named) == "I don't know."
    assert output["question"] == ASKED["question"]
    assert "13" not in repr(output)
    assert (output["explanation"], output["sure"], output["steps"]) == (None, None, None)


def test_what_a_model_said_beside_an_answer_that_passes_stays(estimator: Estimator) -> None:
    said = {**SAID, "answer": "sure 12"}
    chain = assign(read=says(json.dumps(said)) | JsonOutputParser()) | (
        lambda v: {"question": v["question"], **v["read"]}
    )
    output = ConfidenceGuard(estimator, 0.7).wrap(chain).invoke(ASKED)["output"]
    assert output == {**ASKED, **said}


def test_lines_of_a_withheld_text_go_with_it(estimator: Estimator) -> None:
    both = "Answer: unsure\nBecause 7 and 5 are 13"
    chain = RunnableParallel(said=text(both), question=lambda v: v["question"]) | (
        lambda v: {
            "question": v["question"],
            "answer": "unsure",
            "why": v["said"].splitlines()[1],
            "n": 1,
        }
    )
    output = ConfidenceGuard(estimator, 0.7).wrap(chain).invoke(ASKED)["output"]
    assert output == {**ASKED, "answer": "I don't know.", "why": None, "n": 1}
