"""GuardedChatModel among LangChain's own parts: caches, fallbacks, retries, configuration."""

import pickle
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import ConfigurableField, RunnableConfig
from langchain_core.tools import tool
from pydantic import BaseModel

from ct_guard.errors import BackendError
from ct_guard.estimators import Estimator
from ct_guard.testing import FakeBackend
from ct_guard_langchain import GuardedChatModel, get_confidence
from tests.confidences import p_of, record_of
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator


@tool
def be_sure(about: str) -> str:
    """Be sure about something."""
    return about


class Person(BaseModel):
    """A person."""

    name: str


# --- caches ---------------------------------------------------------------------------------------


async def test_a_cached_answer_keeps_its_record_and_is_not_asked_again(
    estimator: Estimator,
) -> None:
    inner = RuleChatModel(reply="I am sure")
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, cache=InMemoryCache())
    first, again, later = model.invoke("?"), model.invoke("?"), await model.ainvoke("?")
    assert first.content == again.content == later.content == "I am sure"
    assert get_confidence(first) == get_confidence(again) == get_confidence(later)
    assert p_of(first) > 0.9
    assert len(inner.asked) == 1


def test_a_decision_is_cached_with_its_answer(estimator: Estimator) -> None:
    inner, large = RuleChatModel(reply="unsure"), RuleChatModel(reply="very sure")
    model = GuardedChatModel(
        inner=inner, estimator=estimator, policy=0.7, models=[large], cache=InMemoryCache()
    )
    assert [model.invoke("?").content for _ in range(2)] == ["very sure"] * 2
    assert (len(inner.asked), len(large.asked)) == (1, 1)


def test_models_that_differ_in_anything_never_share_an_entry(make_estimator: MakeEstimator) -> None:
    cache = InMemoryCache()
    estimator, other = make_estimator(), make_estimator(logit=lambda _: 0.0)
    other.fingerprint = "beef"
    inner = {"reply": "I am sure"}
    options: list[dict[str, Any]] = [
        {},
        {"estimator": other},
        {"policy": 0.8},
        {"policy": {"kind": "escalate", "threshold": 0.8}},
        {"on_error": "pass"},
        {"deadline": 60.0},
        {"abstain_message": "No idea."},
        {"inner": RuleChatModel(reply="so sure")},
        {"inner": RuleChatModel(**inner, model_name="rule-2")},
        {"models": [RuleChatModel(**inner)]},
        {"models": [RuleChatModel(**inner).bind(temperature=0)]},
        {"models": [RuleChatModel(**inner, model_name="rule-2")]},
        {"models": [RuleChatModel(**inner), RuleChatModel(**inner)]},
    ]
    for option in options:
        made: dict[str, Any] = {
            "inner": RuleChatModel(**inner), "estimator": estimator, "policy": 0.7, **option
        }  # fmt: skip
        GuardedChatModel(**made, cache=cache).invoke("?")
    assert len(cache._cache) == len(options)
    RuleChatModel(**inner, cache=cache).invoke("?")
    bound = GuardedChatModel(**{**made, **options[0]}, cache=cache).bind_tools([be_sure])
    bound.invoke("?")
    assert len(cache._cache) == len(options) + 2


def test_structured_answers_do_not_share_an_entry_with_tool_calls(estimator: Estimator) -> None:
    """The same keywords, and another text that is scored: the JSON, not the call."""
    cache = InMemoryCache()
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, cache=cache, policy=0.3)
    model.with_structured_output(Person).invoke("'Ann'")
    model.bind_tools([Person], tool_choice="any").invoke("'Ann'")
    assert len(cache._cache) == 2


# --- around it ------------------------------------------------------------------------------------


class Deaf(FakeBackend):
    def score(self, *args: Any, **kwargs: Any) -> Any:
        raise BackendError("the engine failed")


async def test_fallbacks_take_over_where_on_error_raises(
    make_estimator: MakeEstimator, estimator: Estimator
) -> None:
    model = GuardedChatModel(
        inner=RuleChatModel(reply="first, sure"),
        estimator=make_estimator(backend=Deaf()),
        on_error="raise",
    )
    second = GuardedChatModel(inner=RuleChatModel(reply="second, sure"), estimator=estimator)
    safe = model.with_fallbacks([second])
    for answer in (safe.invoke("?"), await safe.ainvoke("?")):
        assert answer.content == "second, sure"
        assert p_of(answer) > 0.9


def test_tools_and_schemas_pass_through_fallbacks(estimator: Estimator) -> None:
    first, second = [
        GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=0.3) for _ in range(2)
    ]
    safe = first.with_fallbacks([second])
    answer = safe.bind_tools([be_sure], tool_choice="any").invoke("?")
    assert answer.tool_calls
    assert p_of(answer) > 0.9
    assert safe.with_structured_output(Person).invoke("'Ann'") == Person(name="Ann")


def test_with_retry_tries_again_what_failed(estimator: Estimator) -> None:
    class Flaky(RuleChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            made = super()._generate(*args, **kwargs)
            if len(self.asked) == 1:
                raise ConnectionError
            return made

    inner = Flaky(reply="I am sure")
    model = GuardedChatModel(inner=inner, estimator=estimator)
    patient = model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert record_of(patient.invoke("?"))["attempts"] == 1
    assert len(inner.asked) == 2


def test_fields_are_configurable_per_call(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=RuleChatModel(reply="hm"), estimator=estimator, policy=0.3)
    adjustable: Any = model.configurable_fields(
        policy=ConfigurableField(id="policy"), abstain_message=ConfigurableField(id="message")
    )
    strict: RunnableConfig = {"configurable": {"policy": 0.9, "message": "Not sure enough."}}
    assert adjustable.invoke("?").content == "hm"
    assert adjustable.invoke("?", strict).content == "Not sure enough."
    assert adjustable.bind_tools([be_sure]).invoke("?").content == "hm"
    streamed = [chunk.content for chunk in adjustable.stream("?", strict)]
    assert "".join(streamed) == "Not sure enough."


def test_alternatives_are_chosen_per_call(estimator: Estimator) -> None:
    careful, bold = [
        GuardedChatModel(inner=RuleChatModel(reply="hm"), estimator=estimator, policy=policy)
        for policy in (0.9, 0.1)
    ]
    either = careful.configurable_alternatives(ConfigurableField(id="manner"), bold=bold)
    assert either.invoke("?").content == "I don't know."
    assert either.invoke("?", {"configurable": {"manner": "bold"}}).content == "hm"


# --- usage ----------------------------------------------------------------------------------------


def test_usage_is_that_of_the_answer_and_the_rest_is_in_the_record(estimator: Estimator) -> None:
    def model(*replies: str) -> GuardedChatModel:
        inner, *large = [RuleChatModel(reply=reply, model_name=reply) for reply in replies]
        return GuardedChatModel(inner=inner, estimator=estimator, policy=0.7, models=large)

    with get_usage_metadata_callback() as counted:
        answer = model("so very unsure", "unsure", "now sure").invoke("really ?")
    said = {"input_tokens": 2, "output_tokens": 2, "total_tokens": 4}
    others = {"input_tokens": 4, "output_tokens": 4, "total_tokens": 8}
    assert answer.usage_metadata == said
    assert counted.usage_metadata == {"now sure": said}
    assert record_of(answer)["discarded_usage"] == others
    assert "discarded_usage" not in record_of(model("sure", "sure").invoke("?"))


def test_models_that_do_not_count_leave_no_usage(estimator: Estimator) -> None:
    models = [FakeMessagesListChatModel(responses=[AIMessage("unsure")]) for _ in range(2)]
    model = GuardedChatModel(inner=models[0], estimator=estimator, policy=0.7, models=models[1:])
    assert "discarded_usage" not in record_of(model.invoke("?"))


# --- identity -------------------------------------------------------------------------------------


def test_it_cannot_be_pickled_and_says_why(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator)
    with pytest.raises(TypeError, match="cannot be pickled: make it where it is used"):
        pickle.dumps(model)
    assert '"not_implemented"' in dumps(model)


def test_it_counts_tokens_and_names_itself_as_the_inner_model(estimator: Estimator) -> None:
    class Counting(RuleChatModel):
        def get_token_ids(self, text: str) -> list[int]:
            return [1] * len(text.split())

    model = GuardedChatModel(inner=Counting(profile={"tool_calling": True}), estimator=estimator)
    assert model.get_num_tokens("two words") == 2
    assert model.get_token_ids("two words") == [1, 1]
    assert model.profile == {"tool_calling": True}
    params = model._get_ls_params(stop=["x"], model="rule-9")
    assert (params["ls_model_name"], params["ls_stop"]) == ("rule-9", ["x"])
    about = model._identifying_params
    assert about["model_name"] == "rule-1"
    assert about["ct_guard"]["fingerprint"] == "f00d"
    assert about["ct_guard"]["inner"].endswith("Counting")
