"""ConfidenceGuard over pairs: answers that are there already, with their questions."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnablePassthrough
from langchain_core.tracers.context import collect_runs

from ct_guard.errors import BackendError, PolicyError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceGuard, get_confidence
from tests.confidences import p_of
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator

SURE, UNSURE = (
    {"input": "2 plus 2?", "output": "I am sure: 4."},
    {"input": "3 plus 3?", "output": "unsure"},
)
HOLDING: RunnableConfig = {"configurable": {"ct_guard_policy": 0.7}}


class Choosy(FakeBackend):
    """Cannot score an answer that says `broken`."""

    def score(self, items: Any, *args: Any, **kwargs: Any) -> Any:
        if any("broken" in self.encoder.decode(item.answer) for item in items):
            raise BackendError("the engine failed")
        return super().score(items, *args, **kwargs)


# --- one pair -------------------------------------------------------------------------------------


async def test_a_pair_gets_its_confidence_and_keeps_everything_else(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, policy=0.7)
    pair = {**SURE, "source": "notes.txt"}
    made: Any
    for made in (guard.invoke(pair), await guard.ainvoke(pair)):
        record = made.pop("confidence")
        assert made == pair
        assert (record["action"], record["turn"]) == ("pass", "answer")
        assert record["p"] == pytest.approx(0.9526, abs=1e-4)


def test_an_answer_that_is_abstained_from_is_replaced_and_kept_in_the_record(
    estimator: Estimator,
) -> None:
    made = ConfidenceGuard(estimator, policy=0.7, abstain_message="No idea.").invoke(UNSURE)
    assert made["output"] == "No idea."
    assert made["confidence"]["original"] is None


@pytest.mark.parametrize("below", ["retry", "escalate", "human"])
def test_what_only_the_caller_can_do_is_left_to_it(estimator: Estimator, below: str) -> None:
    policy = {"kind": "threshold", "threshold": 0.7, "below": below}
    made = ConfidenceGuard(estimator, policy=policy).invoke(UNSURE)
    assert (made["output"], made["confidence"]["action"]) == ("unsure", below)


def test_a_message_carries_its_record_too(estimator: Estimator) -> None:
    output = AIMessage("I am sure.")
    pair = {"input": [HumanMessage("2 plus 2?")], "output": output}
    made = ConfidenceGuard(estimator).invoke(pair)
    assert get_confidence(made["output"]) == get_confidence(made) == made["confidence"]
    assert output.response_metadata == {}


def test_structured_output_is_judged_by_its_json(estimator: Estimator) -> None:
    made = ConfidenceGuard(estimator, policy=0.7, keep_original=True).invoke(
        {"input": "Who?", "output": {"name": "Ada", "age": "unsure"}}
    )
    assert made["output"] is None
    assert made["confidence"]["original"] == '{"age": "unsure", "name": "Ada"}'


def test_the_answering_model_selects_the_calibrator(make_estimator: MakeEstimator) -> None:
    flat = {"kind": "platt", "params": {"a": 0.0, "b": 0.0}, "n": 10}
    guard = ConfidenceGuard(make_estimator(calibrators={"small-1": flat}))
    said = AIMessage("I am sure.", response_metadata={"model_name": "small-1"})
    assert guard.invoke({"input": "?", "output": said})["confidence"]["p"] == 0.5
    assert p_of(guard.invoke({"input": "?", "output": said.text})) > 0.9


def test_question_and_answer_can_lie_under_other_keys(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, policy=0.7, input_key="question", output_key="answer")
    made = guard.invoke({"question": "2 plus 2?", "answer": "unsure", "docs": ["a"]})
    assert {**made, "confidence": None} == {
        "question": "2 plus 2?", "answer": "I don't know.", "docs": ["a"], "confidence": None,
    }  # fmt: skip


# --- what is missing ------------------------------------------------------------------------------


async def test_model_then_guard_without_the_question_is_one_clear_error(
    estimator: Estimator,
) -> None:
    chain = RuleChatModel(reply="I am sure.") | ConfidenceGuard(estimator)
    for ask in (
        lambda: chain.invoke("2 plus 2?"),
        lambda: chain.batch(["2 plus 2?"]),
        lambda: list(chain.stream("2 plus 2?")),
    ):
        with pytest.raises(UsageError, match=r"got AIMessage.*use guard\.wrap\(chain\)"):
            ask()
    with pytest.raises(UsageError, match=r"use guard\.wrap\(chain\)"):
        await chain.ainvoke("2 plus 2?")


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("4", "got str"),
        ({"output": "4"}, r"got the keys \['output'\]"),
        ({"input": "?"}, r"got the keys \['input'\]"),
        ({"input": {"topic": "cats"}, "output": "4"}, "none of the keys 'topic'"),
        ({"input": 4, "output": "4"}, "int is no question"),
    ],
)
def test_a_pair_without_question_or_answer_is_refused(
    estimator: Estimator, pair: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        ConfidenceGuard(estimator).invoke(pair)


def test_what_is_not_text_goes_by_on_error(estimator: Estimator) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    pair = {"input": [HumanMessage([image])], "output": "A cat."}
    blocked = ConfidenceGuard(estimator, policy=0.7).invoke(pair)
    passed = ConfidenceGuard(estimator, policy=0.7, on_error="pass").invoke(pair)
    assert (blocked["output"], passed["output"]) == ("I don't know.", "A cat.")
    assert blocked["confidence"]["status"] == passed["confidence"]["status"] == "unsupported"
    with pytest.raises(BackendError, match="unsupported"):
        ConfidenceGuard(estimator, on_error="raise").invoke(pair)


# --- batches --------------------------------------------------------------------------------------


async def test_a_batch_is_scored_as_one_and_keeps_its_order(make_estimator: MakeEstimator) -> None:
    for ask in ("batch", "abatch"):
        backend = FakeBackend(logit=lambda answer: float(answer))
        guard = ConfidenceGuard(make_estimator(backend=backend))
        pairs = [{"input": "?", "output": str(n)} for n in range(12)]
        made = guard.batch(pairs) if ask == "batch" else await guard.abatch(pairs)
        assert backend.calls == [12]
        assert [each["output"] for each in made] == [str(n) for n in range(12)]
        assert [each["confidence"]["logit"] for each in made] == [float(n) for n in range(12)]


def test_an_empty_batch(estimator: Estimator) -> None:
    assert ConfidenceGuard(estimator).batch([]) == []


async def test_with_return_exceptions_each_row_has_its_own_error(
    make_estimator: MakeEstimator,
) -> None:
    guard = ConfidenceGuard(make_estimator(backend=Choosy()), on_error="raise")
    pairs = [SURE, {"input": "?", "output": "broken"}, "no pair", UNSURE]
    for made in (
        guard.batch(pairs, return_exceptions=True),
        await guard.abatch(pairs, return_exceptions=True),
    ):
        assert [type(each).__name__ for each in made] == [
            "dict", "BackendError", "UsageError", "dict",
        ]  # fmt: skip
        assert made[0]["output"] == SURE["output"]
    with pytest.raises(BackendError):
        guard.batch(pairs[:2])
    with pytest.raises(UsageError):
        await guard.abatch([SURE, "no pair"])


def test_every_pair_is_a_run_of_its_own(estimator: Estimator) -> None:
    with collect_runs() as seen:
        ConfidenceGuard(estimator, policy=0.7).batch([SURE, UNSURE])
    assert [run.name for run in seen.traced_runs] == ["ConfidenceGuard"] * 2
    assert [(run.outputs or {})["output"] for run in seen.traced_runs] == [
        "I am sure: 4.", "I don't know.",
    ]  # fmt: skip


# --- another policy for one call ------------------------------------------------------------------


async def test_config_sets_the_policy_of_one_call(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, policy=0.7)
    lax: RunnableConfig = {"configurable": {"ct_guard_policy": 0.01}}
    assert guard.invoke(UNSURE, lax)["confidence"]["action"] == "pass"
    assert (await guard.ainvoke(UNSURE, lax))["confidence"]["action"] == "pass"
    assert guard.invoke(UNSURE)["confidence"]["action"] == "abstain"
    named = guard.with_config(lax).invoke(UNSURE)
    assert named["confidence"]["policy"] == "threshold 0.01"
    assert [spec.id for spec in guard.config_specs] == ["ct_guard_policy"]


def test_each_input_of_a_batch_can_have_its_own_and_equal_ones_share_a_batch(
    make_estimator: MakeEstimator,
) -> None:
    backend = FakeBackend(logit=lambda answer: 0.0)
    guard = ConfidenceGuard(make_estimator(backend=backend), policy=0.7)
    policies = (0.4, 0.6, 0.4, "annotate")
    configs: list[RunnableConfig] = [{"configurable": {"ct_guard_policy": p}} for p in policies]
    made = guard.batch([SURE] * 4, configs)
    assert [each["confidence"]["action"] for each in made] == ["pass", "abstain", "pass", "pass"]
    assert sorted(backend.calls) == [1, 1, 2]


def test_many_policies_are_not_all_remembered(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator)
    for n in range(100):
        guard.invoke(SURE, {"configurable": {"ct_guard_policy": n / 100}})
    assert len(guard.guarding.guards._others) == 32


def test_a_policy_that_makes_no_sense_is_refused(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator)
    with pytest.raises(PolicyError, match="between 0 and 1"):
        guard.invoke(SURE, {"configurable": {"ct_guard_policy": 7}})
    with pytest.raises(PolicyError, match="sometimes"):
        ConfidenceGuard(estimator, policy="sometimes")


# --- streams --------------------------------------------------------------------------------------


async def test_a_stream_of_pairs_passes_through_with_the_confidence_in_its_last_part(
    estimator: Estimator,
) -> None:
    model = RuleChatModel(reply="I am sure of it") | StrOutputParser()
    chain = {"input": RunnablePassthrough(), "output": model} | ConfidenceGuard(
        estimator, policy="annotate"
    )
    for parts in (list(chain.stream("?")), [part async for part in chain.astream("?")]):
        assert "".join(part.get("output", "") for part in parts) == "I am sure of it"
        assert len(parts) >= 4
        assert ["confidence" in part for part in parts] == [False] * (len(parts) - 1) + [True]
        whole: Any = parts[0]
        for part in parts[1:]:
            whole = whole + part
        assert {"input": "?", "output": "I am sure of it"}.items() <= whole.items()
        assert p_of(whole) > 0.9


async def test_where_the_policy_can_replace_the_answer_the_stream_is_held(
    estimator: Estimator,
) -> None:
    model = RuleChatModel(reply="unsure of it") | StrOutputParser()
    chain = {"input": RunnablePassthrough(), "output": model} | ConfidenceGuard(
        estimator, policy="annotate"
    )
    for parts in (
        list(chain.stream("?", HOLDING)),
        [part async for part in chain.astream("?", HOLDING)],
    ):
        (part,) = parts
        assert (part["output"], part["confidence"]["action"]) == ("I don't know.", "abstain")


def test_a_streamed_message_carries_the_record_on_its_last_chunk_alone(
    estimator: Estimator,
) -> None:
    model = RuleChatModel(reply="I am sure of it")
    chain = {"input": RunnablePassthrough(), "output": model} | ConfidenceGuard(
        estimator, policy="annotate"
    )
    chunks = [part["output"] for part in chain.stream("?") if "output" in part]
    assert [get_confidence(chunk) is not None for chunk in chunks] == [
        *[False] * (len(chunks) - 1), True,
    ]  # fmt: skip
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert whole.text == "I am sure of it"
    assert p_of(whole) > 0.9


# --- a good LangChain citizen ---------------------------------------------------------------------


def test_the_result_is_a_dict_for_lcels_own_tools(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, policy=0.7)
    assert guard.pick("output").invoke(SURE) == SURE["output"]
    assert guard.assign(length=lambda made: len(made["output"])).invoke(SURE)["length"] == 13
    prompt: Any = ChatPromptTemplate.from_template("{output} ({confidence})")
    assert "I am sure: 4. ({'p': 0.95" in (guard | prompt).invoke(SURE).to_string()


def test_it_can_be_drawn(estimator: Estimator) -> None:
    chain = RunnableLambda(lambda value: value) | ConfidenceGuard(estimator)
    assert "ConfidenceGuard" in {node.name for node in chain.get_graph().nodes.values()}
