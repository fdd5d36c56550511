"""`wrap()`: whatever answers, guarded, and guarded once."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableBinding, RunnableConfig, RunnableWithFallbacks
from langchain_core.tools import tool

from ct_guard.certificates import Certificate
from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.policies import Certified, Threshold
from ct_guard_langchain import ConfidenceGuard, GuardedChatModel, wrap
from tests.confidences import p_of, record_of
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator


@tool
def be_sure(about: str) -> str:
    """Be sure about something."""
    return about


def low(answer: Any) -> bool:
    return bool(answer.content == "I don't know." and record_of(answer)["action"] == "abstain")


async def test_a_chat_model(estimator: Estimator) -> None:
    model = wrap(RuleChatModel(reply="unsure"), estimator=estimator, policy=0.7)
    assert isinstance(model, GuardedChatModel)
    assert low(model.invoke("?"))
    assert low(await model.ainvoke("?"))


def test_what_is_bound_stays_bound(estimator: Estimator) -> None:
    inner = RuleChatModel()
    bound = inner.bind_tools([be_sure], tool_choice="any").with_config(tags=["mine"])
    model = wrap(bound, estimator=estimator, policy=0.7)
    assert isinstance(model, RunnableBinding)
    assert model.config["tags"] == ["mine"]
    answer = model.invoke("?")
    assert answer.tool_calls
    assert record_of(answer)["turn"] == "tool_call"
    assert set(inner.asked[0]) == {"tools", "tool_choice"}
    assert low(model.invoke("unsure"))


def test_what_was_bound_before_does_not_replace_a_stronger_models_own(estimator: Estimator) -> None:
    inner, own, bare = [RuleChatModel(reply="unsure") for _ in range(3)]
    model = wrap(
        inner.bind(temperature=0),
        estimator=estimator,
        policy=0.7,
        models=[own.bind(top_p=0.5), bare],
    )
    model.invoke("?", seed=1)
    assert inner.asked == [{"temperature": 0, "seed": 1}]
    assert own.asked == [{"top_p": 0.5, "seed": 1}]
    assert bare.asked == [{"temperature": 0, "seed": 1}]


def test_each_of_several_fallbacks(estimator: Estimator) -> None:
    class Down(RuleChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise ConnectionError

    first = Down().with_fallbacks([RuleChatModel(reply="unsure").bind(temperature=0)])
    model = wrap(first, estimator=estimator, policy=0.7)
    assert isinstance(model, RunnableWithFallbacks)
    assert low(model.invoke("?"))
    assert low(model.bind_tools([be_sure]).invoke("?"))


def test_a_model_that_is_tried_again(estimator: Estimator) -> None:
    model = wrap(RuleChatModel(reply="unsure").with_retry(), estimator=estimator, policy=0.7)
    assert low(model.invoke("?"))


def test_a_chain(estimator: Estimator) -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
    chain = prompt | RuleChatModel(reply="unsure") | StrOutputParser()
    made = wrap(chain, estimator=estimator, policy=0.7).invoke({"question": "?"})
    assert made["output"] == "I don't know."
    assert record_of(made)["action"] == "abstain"


def test_a_chain_with_stronger_ones(estimator: Estimator) -> None:
    chains = [RuleChatModel(reply=reply) | StrOutputParser() for reply in ("unsure", "now sure")]
    made = wrap(chains[0], estimator=estimator, policy=0.7, models=chains[1:]).invoke("?")
    assert made["output"] == "now sure"
    assert record_of(made)["model_index"] == 1


def test_an_agent(estimator: Estimator) -> None:
    from langchain.agents import create_agent

    agent = create_agent(RuleChatModel(reply="unsure"), tools=[])
    made = wrap(agent, estimator=estimator, policy=0.7).invoke({"messages": [HumanMessage("?")]})
    record = record_of(made)
    assert (record["action"], record["original"]) == ("abstain", None)


def test_what_makes_no_sense_around_a_chain_is_refused(estimator: Estimator) -> None:
    chain = RuleChatModel() | StrOutputParser()
    with pytest.raises(UsageError, match="wrap has no option 'threshold': give policy"):
        wrap(chain, estimator=estimator, threshold=0.9)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="answer cannot be set around a RuleChatModel"):
        wrap(RuleChatModel(), estimator=estimator, answer="answer")


@pytest.mark.parametrize(
    "guard",
    [
        lambda model, estimator, **given: wrap(model, estimator=estimator, **given),
        lambda model, estimator, **given: wrap(
            model | StrOutputParser(), estimator=estimator, **given
        ),
        lambda model, estimator, **given: GuardedChatModel(
            inner=model, estimator=estimator, **given
        ),
        lambda model, estimator, **given: ConfidenceGuard(estimator).wrap(
            model | StrOutputParser(), **given
        ),
    ],
    ids=["wrap a model", "wrap a chain", "GuardedChatModel", "ConfidenceGuard.wrap"],
)
def test_stronger_models_have_one_name(estimator: Estimator, guard: Any) -> None:
    with pytest.raises(UsageError, match=r"no option 'stronger': stronger models, .* 'models'"):
        guard(RuleChatModel(), estimator, stronger=[RuleChatModel()])


# --- once -----------------------------------------------------------------------------------------


def test_a_guarded_model_is_guarded_once_and_keeps_its_settings(estimator: Estimator) -> None:
    inner, large = RuleChatModel(reply="unsure", tags=["a"]), RuleChatModel(reply="unsure")
    once = wrap(inner, estimator=estimator, policy=0.7, models=[large])
    twice = wrap(once, abstain_message="No.")
    assert twice.inner is inner
    assert (twice.models, twice.policy, twice.tags) == ((large,), Threshold(threshold=0.7), ["a"])
    assert twice.estimator is estimator
    assert record_of(twice.invoke("?"))["attempts"] == 2
    assert twice.invoke("?").content == "No."
    assert once.abstain_message == "I don't know."
    assert wrap(once, policy=0.2).policy == Threshold(threshold=0.2)


def test_a_bound_guarded_model_is_guarded_once(estimator: Estimator) -> None:
    once = wrap(RuleChatModel(), estimator=estimator, policy=0.7).bind_tools([be_sure])
    twice = wrap(once, policy=0.9)
    assert isinstance(once, RunnableBinding)
    assert isinstance(twice, RunnableBinding)
    assert isinstance(twice.bound, GuardedChatModel)
    assert isinstance(twice.bound.inner, RuleChatModel)
    assert twice.bound.policy == Threshold(threshold=0.9)
    assert twice.kwargs == once.kwargs


def test_another_estimator_brings_its_own_certificate(make_estimator: MakeEstimator) -> None:
    def certified(threshold: float | None) -> Estimator:
        known = Certificate(
            alpha=0.1, delta=0.1, threshold=threshold, n=9, answered=4, errors=0
        ).model_dump()
        return make_estimator(certificates=[known])

    once = wrap(RuleChatModel(), estimator=certified(0.6))
    twice = wrap(once, estimator=certified(0.8))
    assert isinstance(twice.policy, Certified)
    assert twice.policy.certificate.threshold == 0.8


def test_a_guarded_chain_is_guarded_once(estimator: Estimator) -> None:
    chain = RuleChatModel(reply="unsure") | StrOutputParser()
    twice = wrap(wrap(chain, estimator=estimator, policy=0.7), abstain_message="No.")
    made = twice.invoke("?")
    assert made["output"] == "No."
    assert record_of(made)["policy"] == "threshold 0.7"


# --- chosen at run time ---------------------------------------------------------------------------


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`init_chat_model` with a provider whose models reply with their own name."""
    from langchain.chat_models import init_chat_model

    def create(model: str, **kwargs: Any) -> RuleChatModel:
        return RuleChatModel(reply=model, model_name=model, **kwargs)

    # what is found once is kept for the process: no other test takes this provider
    monkeypatch.setitem(sys.modules, "langchain_xai", SimpleNamespace(ChatXAI=create))
    return init_chat_model("unsure", model_provider="xai", configurable_fields=("model",))


SURE: RunnableConfig = {"configurable": {"model": "sure"}}


async def test_whichever_init_chat_model_chooses(estimator: Estimator, chosen: Any) -> None:
    model = wrap(chosen, estimator=estimator, policy=0.7)
    assert low(model.invoke("?"))
    assert low(await model.ainvoke("?"))
    assert model.invoke("?", SURE).content == "sure"
    assert p_of(model.invoke("?", SURE)) > 0.9
    assert p_of(list(model.stream("?", SURE))[-1]) > 0.9
    assert [low(each) for each in model.batch(["?", "?"], [SURE, {}])] == [False, True]
    assert model.with_config(SURE).invoke("?").content == "sure"


def test_what_is_declared_on_a_choice_is_declared_on_the_guarded_model(
    estimator: Estimator, chosen: Any
) -> None:
    bound = wrap(chosen, estimator=estimator, policy=0.7).bind_tools([be_sure], tool_choice="any")
    answer = bound.invoke("?", SURE)
    assert answer.tool_calls
    assert record_of(answer)["turn"] == "tool_call"
    schema = {"title": "Named", "description": "x", "type": "object", "properties": {"name": {}}}
    structured = wrap(chosen, estimator=estimator).with_structured_output(schema)
    assert structured.invoke("'Ann'") == {"name": "Ann"}


def test_a_choice_is_guarded_once(estimator: Estimator, chosen: Any) -> None:
    twice = wrap(wrap(chosen, estimator=estimator, policy=0.7), abstain_message="No.")
    answer = twice.invoke("?")
    assert answer.content == "No."
    assert record_of(answer)["policy"] == "threshold 0.7"
    assert isinstance(twice._model().inner, RuleChatModel)
