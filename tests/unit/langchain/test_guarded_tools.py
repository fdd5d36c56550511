"""GuardedChatModel with tools and structured output, for each model in its own form."""

import json
from typing import Annotated, Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding, RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from ct_guard.errors import LowConfidenceError, UsageError
from ct_guard.estimators import Estimator
from ct_guard_langchain import GuardedChatModel
from tests.confidences import record_of
from tests.rule_model import RuleChatModel
from tests.unit.langchain.conftest import MakeEstimator

LOW, HIGH = 0.7, 0.3
"""Thresholds around what an answer without `sure` and `unsure` gets: p = 0.5."""


@tool
def be_sure(about: str) -> str:
    """Be sure about something."""
    return about


class Own(RuleChatModel):
    """Of a provider with a form of its own for tools."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        bound: Any = super().bind_tools(tools, **kwargs)
        return self.bind(own_tools=[each["function"]["name"] for each in bound.kwargs["tools"]])


# --- tools ----------------------------------------------------------------------------------------


async def test_a_model_with_tools_bound_is_still_guarded(estimator: Estimator) -> None:
    inner = RuleChatModel()
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=LOW)
    bound = model.bind_tools([be_sure], tool_choice="any", parallel_tool_calls=False)
    assert isinstance(bound, RunnableBinding)
    assert bound.kwargs["tools"][0]["function"]["name"] == "be_sure"
    assert bound.kwargs["tool_choice"] == "any"
    for answer in (bound.invoke("?"), await bound.ainvoke("?")):
        assert [call["name"] for call in answer.tool_calls] == ["be_sure"]
        record = record_of(answer)
        assert (record["action"], record["turn"]) == ("pass", "tool_call")
    assert inner.asked[0]["parallel_tool_calls"] is False


def test_calls_that_are_abstained_from_are_taken_away(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=LOW)
    answer = model.bind_tools([be_sure], tool_choice="any").invoke("unsure")
    assert (answer.content, answer.tool_calls) == ("I don't know.", [])
    record = record_of(answer)
    assert record["turn"] == "tool_call"
    assert record["original"] is None


async def test_tools_are_bound_to_each_model_in_its_own_form(estimator: Estimator) -> None:
    inner, plain, own = RuleChatModel(reply="unsure"), RuleChatModel(reply="unsure"), Own()
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=LOW, models=[plain, own])
    bound = model.bind_tools([be_sure]).bind(temperature=0.5)
    bound.invoke("?")
    await bound.ainvoke("?")
    for asked in (inner.asked, plain.asked):
        assert [set(call) for call in asked] == [{"tools", "temperature"}] * 2
    assert own.asked == [{"own_tools": ["be_sure"], "temperature": 0.5}] * 2


def test_what_a_call_says_goes_before_what_was_bound(estimator: Estimator) -> None:
    inner, large = RuleChatModel(reply="unsure"), RuleChatModel(reply="unsure")
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=LOW, models=[large])
    model.bind_tools([be_sure], tool_choice="any").invoke("?", tool_choice="none")
    assert [call["tool_choice"] for call in (*inner.asked, *large.asked)] == ["none", "none"]


def test_stronger_models_keep_their_own_keywords(estimator: Estimator) -> None:
    inner, large = RuleChatModel(reply="unsure"), RuleChatModel(reply="unsure")
    model = GuardedChatModel(
        inner=inner,
        estimator=estimator,
        policy=LOW,
        models=[large.bind(temperature=0.1).with_config(tags=["large"])],
    )
    model.bind_tools([be_sure]).invoke("?")
    assert set(inner.asked[0]) == {"tools"}
    assert set(large.asked[0]) == {"tools", "temperature"}


def test_a_model_without_tools_says_so(estimator: Estimator) -> None:
    mute = FakeMessagesListChatModel(responses=[AIMessage("sure")])
    for models in ([mute], [RuleChatModel(), mute]):
        model = GuardedChatModel(inner=models[0], estimator=estimator, models=models[1:])
        with pytest.raises(NotImplementedError):
            model.bind_tools([be_sure])


def test_what_is_no_chat_model_is_refused(estimator: Estimator) -> None:
    chain = RuleChatModel() | RunnableLambda(lambda message: message)
    with pytest.raises(UsageError, match="RunnableSequence is no chat model"):
        GuardedChatModel(inner=RuleChatModel(), estimator=estimator, models=[chain])
    configured: Any = RuleChatModel().with_config(tags=["a"])
    with pytest.raises(UsageError, match=r"RunnableBinding is no chat model.*wrap"):
        GuardedChatModel(inner=configured, estimator=estimator)


# --- structured output ----------------------------------------------------------------------------


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: Annotated[str, ..., "the name"]
    age: Annotated[int, ..., "the age"]


SCHEMAS = {"pydantic": Person, "typeddict": PersonDict, "json": Person.model_json_schema()}
ASKED = "'Ann Sure' is 30"
ANN = {"name": "Ann Sure", "age": 30}

every_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
every_method = pytest.mark.parametrize("method", ["function_calling", "json_schema"])


def as_dict(parsed: Any) -> Any:
    return parsed.model_dump() if isinstance(parsed, BaseModel) else parsed


@every_schema
@every_method
async def test_structured_output_is_parsed(estimator: Estimator, schema: Any, method: str) -> None:
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=HIGH)
    structured = model.with_structured_output(schema, method=method)
    streamed = list(structured.stream(ASKED))
    for parsed in (structured.invoke(ASKED), await structured.ainvoke(ASKED), *streamed):
        assert as_dict(parsed) == ANN
        assert isinstance(parsed, BaseModel) == (schema is Person)
    assert len(streamed) == 1


@every_schema
@every_method
async def test_with_the_raw_message_comes_its_record(
    estimator: Estimator, schema: Any, method: str
) -> None:
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=HIGH)
    structured = model.with_structured_output(schema, method=method, include_raw=True)
    for made in (structured.invoke(ASKED), await structured.ainvoke(ASKED)):
        assert set(made) == {"raw", "parsed", "parsing_error"}
        assert as_dict(made["parsed"]) == ANN
        assert made["parsing_error"] is None
        record = record_of(made["raw"])
        assert (record["action"], record["turn"]) == ("pass", "answer")
        assert record["p"] == pytest.approx(0.5)


@every_method
def test_the_json_is_what_is_scored(make_estimator: MakeEstimator, method: str) -> None:
    heard: list[str] = []

    def logit(text: str) -> float:
        heard.append(text)
        return 3.0

    estimator = make_estimator(logit=logit)
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=HIGH)
    model.with_structured_output(Person, method=method).invoke(ASKED)
    assert [json.loads(text) for text in heard] == [ANN]


@every_method
async def test_an_answer_that_is_withheld_is_never_parsed(
    estimator: Estimator, method: str
) -> None:
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=LOW)
    structured = model.with_structured_output(Person, method=method)
    error = r"withheld by the policy 'threshold 0.7' \(p 0.500, status ok\)"
    with pytest.raises(LowConfidenceError, match=error):
        structured.invoke(ASKED)
    with pytest.raises(LowConfidenceError, match=error):
        await structured.ainvoke(ASKED)
    made = model.with_structured_output(Person, method=method, include_raw=True).invoke(ASKED)
    assert made["parsed"] is None
    assert isinstance(made["parsing_error"], LowConfidenceError)
    assert record_of(made["raw"])["original"] is None


async def test_each_models_answer_is_read_by_its_own_parser(make_estimator: MakeEstimator) -> None:
    """The stronger model answers in another form: native JSON instead of a call."""

    class Native(RuleChatModel):
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return super().with_structured_output(schema, **{**kwargs, "method": "json_schema"})

    scores = iter([-3.0, 3.0] * 2)
    estimator = make_estimator(logit=lambda _: next(scores))
    small, large = RuleChatModel(), Native()
    model = GuardedChatModel(inner=small, estimator=estimator, policy=LOW, models=[large])
    structured = model.with_structured_output(Person, include_raw=True)
    for made in (structured.invoke(ASKED), await structured.ainvoke(ASKED)):
        assert made["parsed"] == Person(**ANN)
        assert made["raw"].tool_calls == []
        record = record_of(made["raw"])
        assert (record["model_index"], record["attempts"]) == (1, 2)
    assert set(small.asked[0]) == {"tools", "tool_choice"}
    assert set(large.asked[0]) == {"response_format"}


def test_what_cannot_be_parsed_is_langchains_error(estimator: Estimator) -> None:
    class Broken(RuleChatModel):
        def _answer(self, *args: Any) -> Any:
            return "sure, but no JSON", []

    model = GuardedChatModel(inner=Broken(), estimator=estimator, policy=LOW)
    with pytest.raises(OutputParserException):
        model.with_structured_output(Person, method="json_schema").invoke(ASKED)
    made = model.with_structured_output(Person, method="json_schema", include_raw=True).invoke(
        ASKED
    )
    assert made["parsed"] is None
    assert isinstance(made["parsing_error"], OutputParserException)


def test_fallbacks_take_over_what_is_withheld(estimator: Estimator) -> None:
    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=LOW)
    fallback = RunnableLambda[Any, Person](lambda _: Person(name="nobody", age=0))
    structured = model.with_structured_output(Person).with_fallbacks([fallback])
    assert structured.invoke(ASKED).name == "nobody"


def test_models_without_structured_output_say_so(estimator: Estimator) -> None:
    mute = FakeMessagesListChatModel(responses=[AIMessage("sure")])
    model = GuardedChatModel(inner=mute, estimator=estimator)
    with pytest.raises(NotImplementedError, match="FakeMessagesListChatModel has no structured"):
        model.with_structured_output(Person)

    class Odd(RuleChatModel):
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return RunnableLambda(lambda _: None)

    model = GuardedChatModel(inner=Odd(), estimator=estimator)
    with pytest.raises(NotImplementedError, match=r"Odd\.with_structured_output has a form"):
        model.with_structured_output(Person)


def test_a_schema_field_that_is_missing_is_not_invented(estimator: Estimator) -> None:
    class Strict(BaseModel):
        """A person of age."""

        name: str
        age: int = Field(ge=18)

    model = GuardedChatModel(inner=RuleChatModel(), estimator=estimator, policy=HIGH)
    made = model.with_structured_output(Strict, include_raw=True).invoke("'Tim' is 3")
    assert made["parsed"] is None
    assert "greater than or equal to 18" in str(made["parsing_error"])
    assert record_of(made["raw"])["action"] == "pass"
