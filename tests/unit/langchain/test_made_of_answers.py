"""What a chain makes of an answer, beside it: objects under a key that is known, questions that it
asks anew, and whatever repeats an answer that is withheld."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard_langchain import ConfidenceGuard, get_confidence
from ct_guard_langchain.replacing import with_answer
from tests.rule_model import RuleChatModel

ASKED = {"question": "What is the capital?"}
SECRET = "I am unsure of the secret"
LEFT = "I don't know."
NEW = AIMessage(LEFT, response_metadata={"ct_guard": {"p": 0.1}})
POLICIES = pytest.mark.parametrize("policy", [0.3, "annotate"])

assign = RunnablePassthrough.assign


def text(said: str) -> Any:
    return RunnableLambda(str) | RuleChatModel(reply=said) | StrOutputParser()


def read(said: Any) -> Any:
    """A model that says this as JSON, which is parsed."""
    return RunnableLambda(str) | RuleChatModel(reply=json.dumps(said)) | JsonOutputParser()


class Reply(BaseModel):
    answer: str
    context: str


class Words(BaseModel):
    text: str


@dataclass
class Note:
    text: str


# --- objects --------------------------------------------------------------------------------------


@POLICIES
@pytest.mark.parametrize("key", ["answer", "result", "reply"])
def test_an_object_beside_the_question_is_judged_as_its_json(
    estimator: Estimator, policy: Any, key: str
) -> None:
    said = {"answer": "sure", "context": "a map"}
    guarded = ConfidenceGuard(estimator, policy).wrap(assign(**{key: read(said)}))
    made = guarded.invoke(ASKED)
    assert made["output"] == {**ASKED, key: said}
    assert made["confidence"]["p"] == pytest.approx(0.95, abs=0.01)


def test_an_object_that_was_changed_since_is_found_by_its_key(estimator: Estimator) -> None:
    said = read({"answer": "unsure", "context": "a map"})
    chain = assign(answer=said | RunnableLambda(lambda v: Words(text=v["answer"].upper())))
    made = ConfidenceGuard(estimator, 0.3).wrap(chain).invoke(ASKED)
    assert made["output"] == {**ASKED, "answer": Words(text="UNSURE")}
    assert made["confidence"]["p"] == 0.5


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("by", ["text", "call of a tool"])
def test_an_object_is_withheld_whole_whatever_its_keys(
    estimator: Estimator, by: str, nested: bool
) -> None:
    said = {"answer": SECRET, "context": "the secret"}
    structured: Any = RunnableLambda(
        lambda v: f"'{SECRET}'"
    ) | RuleChatModel().with_structured_output({**Reply.model_json_schema(), "title": "Reply"})
    chain = read(said) if by == "text" else structured
    guarded = ConfidenceGuard(estimator, 0.7).wrap(assign(answer=chain) if nested else chain)
    output = guarded.invoke(ASKED)["output"]
    assert output == ({**ASKED, "answer": None} if nested else None)


# --- questions ------------------------------------------------------------------------------------


@POLICIES
@pytest.mark.parametrize("key", ["standalone_question", "search_query", "queries"])
def test_a_question_that_a_model_rewrote_is_no_answer(
    estimator: Estimator, policy: Any, key: str
) -> None:
    chain = assign(**{key: text("Which town is the capital?")}) | assign(answer=text("sure"))
    output = ConfidenceGuard(estimator, policy).wrap(chain).invoke(ASKED)["output"]
    assert output == {**ASKED, key: "Which town is the capital?", "answer": "sure"}


def test_a_question_that_is_asked_anew_stays_beside_a_withheld_answer(
    estimator: Estimator,
) -> None:
    queries: Any = RunnableLambda(lambda v: ["which town is the capital", "capital"])
    chain = assign(queries=queries) | assign(
        answer=text("unsure which town is the capital, or where")
    )
    output = ConfidenceGuard(estimator, 0.7).wrap(chain).invoke(ASKED)["output"]
    assert output == {**ASKED, "queries": ["which town is the capital", "capital"], "answer": LEFT}


def test_another_answer_is_still_refused(estimator: Estimator) -> None:
    chain = assign(questions_answered=text("Paris")) | assign(answer=text("sure"))
    with pytest.raises(UsageError, match="'questions_answered'"):
        ConfidenceGuard(estimator, 0.3).wrap(chain).invoke(ASKED)


# --- repeated -------------------------------------------------------------------------------------

REPEATED: dict[str, tuple[Any, Any]] = {
    "in a longer text": (f"Human: what is it, please? AI: {SECRET}, so it is", None),
    "with a label": (f"**Answer:** {SECRET}", None),
    "in capitals": (SECRET.upper(), None),
    "its words": (SECRET.split(), None),
    "in a tuple": ((SECRET, 1), (LEFT, 1)),
    "in a set": ({SECRET, "more"}, {"more"}),
    "in a dataclass": (Note(SECRET), None),
    "in a model": ({"inside": Words(text=SECRET)}, {"inside": None}),
    "as a document": ([Document(SECRET)], [None]),
}
KEPT: dict[str, Any] = {
    "a passage that holds it": [Document(f"It says: {SECRET} here")],
    "another text": "nothing of the kind",
    "a class": Note,
    "an object": Words(text="other"),
    "numbers": (1, 2.5, None),
    "an empty list": [],
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_withheld_answer_is_in_nothing_that_was_made_of_it(name: str) -> None:
    value, left = REPEATED[name]
    made = with_answer({"answer": SECRET, "more": value}, NEW, replaced=True, answer="answer")
    assert made == {"answer": LEFT, "more": left}


@pytest.mark.parametrize("name", KEPT)
def test_what_does_not_repeat_it_is_the_very_same(name: str) -> None:
    output = {"answer": SECRET, "more": KEPT[name]}
    assert with_answer(output, NEW, replaced=True, answer="answer")["more"] is KEPT[name]


def test_a_history_and_steps_that_hold_it_hold_what_is_delivered(estimator: Estimator) -> None:
    chain = assign(answer=text(SECRET)) | assign(
        chat_history=lambda v: [HumanMessage("Hi"), AIMessage(v["answer"])],
        intermediate_steps=lambda v: [("looked", v["answer"])],
    )
    output = ConfidenceGuard(estimator, 0.7).wrap(chain).invoke(ASKED)["output"]
    assert "secret" not in repr(output)
    assert [said.text for said in output["chat_history"]] == ["Hi", LEFT]
    assert output["intermediate_steps"] == [("looked", LEFT)]


def test_an_answer_that_one_agent_hands_on_from_another_is_withheld_in_both(
    estimator: Estimator,
) -> None:
    def says(name: str) -> Any:
        return lambda state: {"messages": [AIMessage(SECRET, id=name)]}

    graph = StateGraph(MessagesState)
    graph.add_node("worker", says("worker")).add_node("supervisor", says("supervisor"))
    graph.add_edge(START, "worker").add_edge("worker", "supervisor")
    earlier = [HumanMessage("Hi"), AIMessage(SECRET, id="earlier"), HumanMessage("And?")]
    guarded = ConfidenceGuard(estimator, 0.7).wrap(graph.compile())
    messages = guarded.invoke({"messages": earlier})["output"]["messages"]
    assert [(said.id, said.text) for said in messages[1:2]] == [("earlier", SECRET)]
    assert [(said.id, said.text) for said in messages[3:]] == [
        ("worker", LEFT), ("supervisor", LEFT),
    ]  # fmt: skip
    assert get_confidence(messages[-1]) is not None


@pytest.mark.parametrize("asked", [("user", "And?"), {"role": "user", "content": "And?"}, "And?"])
def test_turns_before_the_question_stay_in_whatever_form(asked: Any) -> None:
    said = {"role": "assistant", "content": SECRET}
    made = with_answer([said, asked, Document("more"), said, said], NEW, replaced=True)
    left = {"role": "assistant", "content": LEFT}
    assert made == [said, asked, Document("more"), left, left]
