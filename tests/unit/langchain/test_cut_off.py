"""Answers for which the tokens did not suffice: the record says so, and a policy can act on it."""

from operator import itemgetter
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from ct_guard.policies import Require, Threshold
from ct_guard_langchain import ConfidenceGuard, GuardedChatModel, get_confidence
from ct_guard_langchain.messages import question_answer
from tests.unit.langchain.conftest import MakeEstimator

WHOLE = Require(policy=Threshold(threshold=0.5), cut_off=False)


@pytest.mark.parametrize(
    "metadata",
    [
        {"finish_reason": "length"},
        {"finish_reason": "MAX_TOKENS"},
        {"stop_reason": "max_tokens"},
        {"done_reason": "length"},
        {"stopReason": "max_tokens"},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    ],
    ids=["openai", "google", "anthropic", "ollama", "bedrock", "responses"],
)
def test_providers_say_it_each_in_its_way(metadata: dict[str, Any]) -> None:
    said = AIMessage("It is", response_metadata=metadata)
    assert question_answer([HumanMessage("?")], said).cut_off


@pytest.mark.parametrize(
    "metadata",
    [{}, {"finish_reason": "stop"}, {"stop_reason": None}, {"incomplete_details": None}],
)
def test_any_other_answer_is_whole(metadata: dict[str, Any]) -> None:
    said = AIMessage("It is 4.", response_metadata=metadata)
    assert not question_answer([HumanMessage("?")], said).cut_off


def test_the_parts_of_a_stream_say_it_at_its_end() -> None:
    end = AIMessageChunk(content="", response_metadata={"finish_reason": "length"})
    assert question_answer([HumanMessage("?")], AIMessageChunk(content="It") + end).cut_off


def cut(text: str = "sure, it") -> GenericFakeChatModel:
    said = AIMessage(text, response_metadata={"finish_reason": "length"})
    return GenericFakeChatModel(messages=iter([said] * 9))


async def test_a_policy_keeps_back_what_ran_out_of_tokens(make_estimator: MakeEstimator) -> None:
    model = GuardedChatModel(inner=cut(), estimator=make_estimator(), policy=WHOLE)
    streamed = [part async for part in model.astream("?")]
    for answer in (model.invoke("?"), await model.ainvoke("?"), *model.batch(["?"]), streamed[-1]):
        record = get_confidence(answer)
        assert record is not None
        assert (record["action"], record["cut_off"]) == ("abstain", True)
        assert record["p"] == pytest.approx(0.95, abs=0.01)


def test_without_such_a_policy_the_record_alone_says_so(make_estimator: MakeEstimator) -> None:
    guard = ConfidenceGuard(estimator=make_estimator(), policy=0.5)
    record = guard.wrap(cut()).invoke("?")["confidence"]
    assert (record["action"], record["cut_off"]) == ("pass", True)


MADE: dict[str, Any] = {
    "a part of it": cut() | StrOutputParser() | (lambda said: said.split(",")[0]),
    "JSON that breaks off": cut('{"answer": "sure') | JsonOutputParser(),
    "a field of it": cut('{"answer": "sure') | JsonOutputParser() | itemgetter("answer"),
    "under a key": RunnableLambda(lambda v: {"question": v})
    | RunnablePassthrough.assign(
        answer=RunnableLambda(itemgetter("question")) | cut() | (lambda m: m.text[:4])
    ),
}


@pytest.mark.parametrize("name", MADE)
async def test_what_is_made_of_such_an_answer_has_run_out_as_well(
    make_estimator: MakeEstimator, name: str
) -> None:
    guarded = ConfidenceGuard(estimator=make_estimator(), policy=WHOLE).wrap(MADE[name])
    for made in (guarded.invoke("?"), await guarded.ainvoke("?"), *guarded.stream("?")):
        record = made["confidence"]
        assert (record["action"], record["cut_off"]) == ("abstain", True)
        assert "sure" not in repr(made["output"])
